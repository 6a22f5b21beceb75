-- Loaded at startup, so it is small: until a pipeline file is opened, only `pipelens.files` is loaded.
if vim.g.loaded_pipelens then
  return
end
vim.g.loaded_pipelens = true

local group = vim.api.nvim_create_augroup('pipelens', {})

if vim.g.pipelens_enable ~= false then
  vim.api.nvim_create_autocmd('FileType', {
    group = group,
    desc = 'Start the pipelens language server',
    callback = function(event)
      if require('pipelens.files').is_ours(event.buf) then
        require('pipelens.client').start(event.buf)
      end
    end,
  })
end

vim.api.nvim_create_autocmd('LspAttach', {
  group = group,
  desc = 'Show lenses and the states of steps',
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    if client and client.name == 'pipelens' then
      require('pipelens.client').attached(client, event.buf)
    end
  end,
})

vim.api.nvim_create_user_command('Pipelens', function(arguments)
  require('pipelens.command').run(arguments.fargs)
end, {
  nargs = '*',
  desc = 'Run and watch pipelines',
  complete = function(lead, line, position)
    return require('pipelens.command').complete(lead, line:sub(1, position))
  end,
})

-- What people map: `vim.keymap.set('n', '<leader>r', '<Plug>(pipelens-step)')`.
for name, arguments in pairs({
  run = { 'run' },
  step = { 'step' },
  from = { 'from' },
  rerun = { 'rerun' },
  cancel = { 'cancel' },
  log = { 'log' },
  output = { 'output' },
  graph = { 'graph' },
  runs = { 'runs' },
  shell = { 'shell' },
  watch = { 'watch' },
  stop = { 'stop' },
  artifacts = { 'artifacts' },
  problems = { 'problems' },
}) do
  vim.keymap.set('n', ('<Plug>(pipelens-%s)'):format(name), function()
    require('pipelens.command').run(arguments)
  end, { desc = 'pipelens: ' .. name })
end
