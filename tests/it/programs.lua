-- Drives Neovim with a pipeline that is a program: its lens, a run whose step fails, the edit, the run that succeeds; beside another server.
vim.o.lines = 100

local function say(...)
  io.stdout:write(table.concat({ ... }, ' ') .. '\n')
end

local function fail(what)
  say('FAIL', what, vim.inspect(vim.api.nvim_buf_get_lines(0, 0, -1, false)), vim.inspect(vim.diagnostic.get(0)))
  io.stdout:flush()
  os.exit(1)
end

vim.schedule(function()
  if vim.v.errmsg ~= '' then
    fail(vim.v.errmsg)
  end
end)

local function wait(what, check)
  if not vim.wait(30000, check, 20) then
    fail(what)
  end
  say('ok', what)
end

local function check(what, value)
  if not value then
    fail(what)
  end
  say('ok', what)
end

local is_new = vim.fn.has('nvim-0.11') == 1
vim.g.pipelens_cmd = { vim.env.PIPELENS, 'lsp' }
vim.g.pipelens_settings =
  { runner = 'host', severity = { ['unpinned-image'] = 'off' }, programs = { commands = { ['gen/*.txt'] = { 'cat', '{file}' } } } }
vim.opt.runtimepath:prepend(vim.env.PIPELENS_PLUGIN)
vim.cmd('filetype plugin on')
vim.cmd('runtime! ftdetect/pipelens.lua plugin/pipelens.lua')
vim.notify = function(message)
  say('message', message)
end

-- The other server of the language, if there is one.
local other = vim.env.PIPELENS_TEST_BASEDPYRIGHT
if other and other ~= '' then
  vim.api.nvim_create_autocmd('FileType', {
    pattern = 'python',
    callback = function(event)
      vim.lsp.start({ name = 'basedpyright', cmd = { other, '--stdio' }, root_dir = vim.env.PIPELENS_PROJECT }, { bufnr = event.buf })
    end,
  })
end

local function client(buf, name)
  local found = vim.lsp.get_clients({ bufnr = buf, name = name or 'pipelens' })[1]
  return found and found.initialized and found
end

local function edit(path)
  vim.cmd.edit(vim.env.PIPELENS_PROJECT .. '/' .. path)
  return vim.api.nvim_get_current_buf()
end

local before = edit('app.py')
local buf = edit('.hm/pipeline.py')
wait('the server is attached to the program', function()
  return client(buf)
end)
check('there is no filetype of its own', vim.bo[buf].filetype == 'python')
for _, path in ipairs({ 'app.py', '.hm/lib/helpers.py', '.hm/types.d.ts', 'src/app.ts', 'other.txt', 'plain.yaml' }) do
  local plain = edit(path)
  check('no client for ' .. path, #vim.lsp.get_clients({ bufnr = plain, name = 'pipelens' }) == 0)
end
check('nor for the file that was open before', #vim.lsp.get_clients({ bufnr = before, name = 'pipelens' }) == 0)
local script = edit('.hm/pipeline.ts')
wait('a TypeScript program has a client', function()
  return client(script)
end)
local generated = edit('gen/pipeline.txt')
wait('and so has a file that the user has a command for', function()
  return client(generated)
end)
check('there is one client', #vim.lsp.get_clients({ name = 'pipelens' }) == 1)
vim.api.nvim_set_current_buf(buf)

--- Returns the lenses of the program: those of one line, by the start of their titles.
local function lens(line, title)
  for _, entry in ipairs(vim.lsp.codelens.get(vim.fn.has('nvim-0.12') == 1 and { bufnr = buf } or buf)) do
    local found = entry.lens or entry
    if found.range.start.line == line and found.command and found.command.title:find(title, 1, true) then
      return found
    end
  end
end
local function click(line, title)
  local found
  wait('the lens ' .. title, function()
    found = lens(line, title)
    return found
  end)
  if is_new then
    client(buf):exec_cmd(found.command, { bufnr = buf })
  else
    client(buf):_exec_cmd(found.command, { bufnr = buf })
  end
end
local function line_of(text)
  for number, line in ipairs(vim.api.nvim_buf_get_lines(buf, 0, -1, false)) do
    if line:find(text, 1, true) then
      return number - 1
    end
  end
  return fail('no line with ' .. text)
end
local function outcome()
  local run = require('pipelens').runs()[1]
  return run and run.outcome
end

-- From reading alone: nothing was executed.
wait('the lens of the pipeline', function()
  return lens(line_of('hm.pipeline('), 'Run pipeline')
end)
check('a step has none before it is executed', not lens(line_of('label="bad"'), 'Run step'))
check('opening has executed nothing', vim.fn.filereadable(vim.env.PIPELENS_PROJECT .. '/executed') == 0)

click(line_of('hm.pipeline('), 'Run pipeline')
wait('the run fails', function()
  return outcome() == 'failed'
end)
local function failures()
  return vim.tbl_filter(function(found)
    return found.code == 'step-failed'
  end, vim.diagnostic.get(buf))
end
wait('the failure is marked', function()
  return #failures() == 1
end)
local failure = failures()[1]
local text = table.concat(vim.api.nvim_buf_get_text(buf, failure.lnum, failure.col, failure.end_lnum, failure.end_col, {}), '\n')
check('on what failed in the expression of the step: ' .. text, text == 'cat missing')
local function sign(line)
  local namespace = vim.api.nvim_get_namespaces()['pipelens.marks']
  local marks = vim.api.nvim_buf_get_extmarks(buf, namespace, { line, 0 }, { line, -1 }, { details = true })
  return marks[1] and vim.trim(marks[1][4].sign_text or '')
end
wait('the step has its sign', function()
  return sign(line_of('label="bad"')) == '✗' and sign(line_of('label="good"')) == '✓'
end)
check('keys of steps are completed', vim.fn.getcompletion('Pipelens step ba', 'cmdline')[1] == 'bad')

-- The edit, unsaved, and the step alone.
local line = line_of('label="bad"')
local fixed = vim.api.nvim_buf_get_lines(buf, line, line + 1, false)[1]:gsub('cat missing', 'cat out')
vim.api.nvim_buf_set_lines(buf, line, line + 1, false, { fixed })
local number = #require('pipelens').runs()
vim.api.nvim_win_set_cursor(0, { line + 1, 8 })
vim.cmd('Pipelens step bad')
wait('the step succeeds', function()
  return #require('pipelens').runs() > number and outcome() == 'succeeded'
end)
wait('its failure is gone', function()
  return #failures() == 0
end)
wait('and its sign says so', function()
  return sign(line_of('label="bad"')) == '✓'
end)
number = #require('pipelens').runs()
vim.cmd('Pipelens run')
wait('and so does the pipeline', function()
  return #require('pipelens').runs() > number and outcome() == 'succeeded'
end)

if other and other ~= '' then
  -- The other server has its findings and answers in the same buffer.
  local last = vim.api.nvim_buf_line_count(buf)
  vim.api.nvim_buf_set_lines(buf, last, last, false, { 'wrong: int = "text"' })
  wait('the other server marks its mistake', function()
    return vim.iter(vim.diagnostic.get(buf)):any(function(found)
      return found.source == 'basedpyright' and found.lnum == last and found.severity == vim.diagnostic.severity.ERROR
    end)
  end)
  check('both are attached', client(buf) and client(buf, 'basedpyright'))
  check('the other one has the other file, too', client(before, 'basedpyright'))
  wait('the lenses are still there', function()
    return lens(line_of('label="bad"'), 'Run step')
  end)
end

vim.cmd('checkhealth pipelens')
check(':checkhealth knows the program', table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n'):find('pipeline.py is a program', 1, true))

say('PASS', tostring(vim.version()))
vim.cmd('qa!')
