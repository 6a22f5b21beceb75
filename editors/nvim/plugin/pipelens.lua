-- Loaded at startup, so it is small: the server is not started until a pipeline file is opened.
if vim.g.loaded_pipelens then
  return
end
vim.g.loaded_pipelens = true

vim.treesitter.language.register('yaml', 'yaml.pipelens')
vim.treesitter.language.register('json', 'json.pipelens')

if vim.g.pipelens_enable ~= false then
  if vim.lsp.enable then
    vim.lsp.enable('pipelens')
  else
    vim.api.nvim_create_autocmd('FileType', {
      pattern = { 'yaml.pipelens', 'json.pipelens' },
      callback = function(event)
        vim.lsp.start(require('pipelens').config(), { bufnr = event.buf })
      end,
    })
  end
end

vim.api.nvim_create_autocmd('LspAttach', {
  group = vim.api.nvim_create_augroup('pipelens', {}),
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    if client and client.name == 'pipelens' then
      require('pipelens').attach(client, event.buf)
    end
  end,
})

vim.api.nvim_create_user_command('Pipelens', function(arguments)
  require('pipelens').command(arguments.fargs)
end, {
  nargs = '+',
  desc = 'Run and watch pipelines',
  complete = function(lead)
    return require('pipelens').complete(lead)
  end,
})
