-- Tries coc.nvim: finding, fix, lenses, a run from a code action, the failure's marks. Not part of any test run: coc.nvim is in no registry.
-- In a checkout of coc.nvim that is built, with a free folder PIPELENS_TRY:
--   PIPELENS=…/target/debug/pipelens COC=/path/to/coc.nvim PIPELENS_TRY=/tmp/try nvim --clean --headless -c 'luafile tests/editors/coc.lua'
local folder = vim.env.PIPELENS_TRY
local project = folder .. '/project'
vim.fn.mkdir(project, 'p')
vim.fn.mkdir(project .. '/.git', 'p')
vim.fn.writefile({
  'name: demo',
  'steps:',
  '  - key: compile',
  '    cmd: cc -c main.c -o main.o',
  '',
  '  - key: test',
  '    builds_in: compil',
  '    cmd: echo tested',
}, project .. '/pipeline.yml')
vim.fn.writefile({ 'int main(void) {', '  return missing;', '}' }, project .. '/main.c')
-- What the README says, with the path of the program and the runner.
vim.fn.writefile({
  vim.json.encode({
    ['codeLens.enable'] = true,
    languageserver = {
      pipelens = {
        command = vim.env.PIPELENS,
        args = { 'lsp' },
        filetypes = { 'yaml', 'json' },
        rootPatterns = { '.pipelens.yaml', '.git', '.hm' },
        initializationOptions = { runner = 'host', allowHostRunner = true },
      },
    },
  }),
}, folder .. '/coc-settings.json')

local function finish(what, code)
  io.stdout:write(what .. '\n')
  io.stdout:flush()
  os.exit(code)
end
local function wait(what, check)
  if not vim.wait(20000, check, 50) then
    finish('FAIL ' .. what .. ': ' .. vim.inspect(vim.fn.CocAction('diagnosticList')), 1)
  end
  io.stdout:write('ok ' .. what .. '\n')
end

vim.g.coc_config_home = folder
vim.g.coc_data_home = folder .. '/data'
vim.g.coc_disable_startup_warning = 1
vim.opt.runtimepath:prepend(vim.env.COC)
vim.cmd('filetype plugin on')
vim.cmd('runtime! plugin/coc.vim')
vim.o.lines = 60
vim.o.swapfile = false
vim.cmd.edit(project .. '/pipeline.yml')
if vim.v.vim_did_enter == 0 then
  vim.cmd('doautocmd VimEnter')
end

local function find(text)
  for _, finding in ipairs(vim.fn.CocAction('diagnosticList')) do
    if finding.message:find(text, 1, true) then
      return finding
    end
  end
end
wait('coc.nvim starts', function()
  return vim.g.coc_service_initialized == 1
end)
wait('the mistake is a finding', function()
  return find('compil')
end)
vim.api.nvim_win_set_cursor(0, { 7, 16 })
vim.fn.CocAction('doQuickfix')
wait('the fix is applied', function()
  return vim.api.nvim_buf_get_lines(0, 6, 7, false)[1] == '    builds_in: compile'
end)
local function lenses()
  for _, namespace in pairs(vim.api.nvim_get_namespaces()) do
    for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true })) do
      local drawn = vim.inspect({ mark[4].virt_text, mark[4].virt_lines })
      if drawn:find('Run step', 1, true) then
        return true
      end
    end
  end
end
wait('the lenses are drawn', lenses)
local actions = vim.fn.CocAction('codeActions', { 4, 0, 4, 0 }, { 'source.pipelens.run' })
local run = vim.tbl_filter(function(action)
  return action.title:find('Run step', 1, true)
end, actions)[1]
if not run then
  finish('FAIL no code action to run: ' .. vim.inspect(actions), 1)
end
vim.fn.CocAction('doCodeAction', run)
wait('the failure is marked on the step', function()
  return find('Step `compile` failed')
end)
wait('and on the source', function()
  local finding = find('undeclared')
  return finding and finding.file:find('main.c', 1, true) and finding.lnum == 2 and finding.col == 10
end)
finish('PASS coc.nvim', 0)
