-- Drives Neovim from the inside: mistake, lenses, a run, its progress and log, a second run that is cancelled.
local is_0_12 = vim.fn.has('nvim-0.12') == 1

-- An error in this script ends the editor instead of leaving it there.
vim.schedule(function()
  if vim.v.errmsg ~= '' then
    io.stdout:write('FAIL ' .. vim.v.errmsg .. '\n')
    io.stdout:flush()
    os.exit(1)
  end
end)

-- Lenses are drawn where they can be seen.
vim.o.lines = 100

local function say(...)
  io.stdout:write(table.concat({ ... }, ' ') .. '\n')
end

local function fail(what)
  say('FAIL', what, vim.inspect(vim.api.nvim_buf_get_lines(0, 0, -1, false)))
  io.stdout:flush()
  -- Not by a command of the editor: that would wait for what went wrong.
  os.exit(1)
end

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

vim.g.pipelens_cmd = { vim.env.PIPELENS, 'lsp' }
vim.g.pipelens_settings = { runner = vim.env.PIPELENS_RUNNER }
vim.opt.runtimepath:prepend(vim.env.PIPELENS_PLUGIN)
vim.cmd('filetype plugin on')
vim.cmd('runtime! ftdetect/pipelens.lua plugin/pipelens.lua')

local progress = {}
vim.api.nvim_create_autocmd('LspProgress', {
  callback = function(event)
    local params = event.data.params
    progress[#progress + 1] = { token = params.token, value = params.value }
  end,
})
local shown = {}
vim.notify = function(message)
  shown[#shown + 1] = message
end
local function was_shown(text)
  for _, message in ipairs(shown) do
    if message:find(text, 1, true) then
      return true
    end
  end
  return false
end

-- `:help` finds every tag, and the committed list of them is that of the text.
local docs = vim.fn.tempname()
vim.fn.mkdir(docs)
vim.uv.fs_copyfile(vim.env.PIPELENS_PLUGIN .. '/doc/pipelens.txt', docs .. '/pipelens.txt')
vim.cmd.helptags(docs)
local function tags(folder)
  return table.concat(vim.fn.readfile(folder .. '/tags'), '\n')
end
check('the help tags are fresh', tags(docs) == tags(vim.env.PIPELENS_PLUGIN .. '/doc'))

-- A binary in the working directory, one in a folder of it that is on the PATH, and the user's own.
local place, path, here = vim.fn.tempname(), vim.env.PATH, vim.uv.cwd()
for _, folder in ipairs({ '/project', '/project/bin', '/own' }) do
  vim.fn.mkdir(place .. folder, 'p')
  vim.uv.fs_close(assert(vim.uv.fs_open(place .. folder .. '/pipelens', 'w', 493)))
end
vim.fn.chdir(place .. '/project')
vim.env.PATH = table.concat({ '.', '', place .. '/project', place .. '/project/bin', place .. '/own' }, ':')
local found = require('pipelens').find()
check('a binary of the working directory is never started', found == vim.uv.fs_realpath(place .. '/own/pipelens'))
vim.env.PATH = path
vim.fn.chdir(here)

vim.cmd.edit(vim.env.PIPELENS_FILE)
local buf = vim.api.nvim_get_current_buf()
check('the filetype is detected', vim.bo[buf].filetype == 'yaml.pipelens')

local function client()
  return vim.lsp.get_clients({ bufnr = buf, name = 'pipelens' })[1]
end
wait('the server is attached', function()
  return client() and client().initialized
end)

-- The mistake, and its fix.
local function errors()
  return vim.diagnostic.get(buf, { severity = vim.diagnostic.severity.ERROR })
end
wait('the mistake is shown', function()
  return #errors() == 1
end)
check('it says what to do', errors()[1].message:find('Did you mean `publish`?', 1, true))
vim.api.nvim_win_set_cursor(0, { errors()[1].lnum + 1, errors()[1].col })
vim.lsp.buf.code_action({
  apply = true,
  filter = function(action)
    return action.kind == 'quickfix'
  end,
})
wait('the fix is applied', function()
  return #errors() == 0 and vim.api.nvim_buf_get_lines(buf, -2, -1, false)[1]:find('publish', 1, true)
end)

-- The lenses, as drawn.
local function drawn(text)
  vim.cmd('redraw!')
  for _, namespace in pairs(vim.api.nvim_get_namespaces()) do
    for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(buf, namespace, 0, -1, { details = true })) do
      local chunks = vim.deepcopy(mark[4].virt_text or {})
      for _, line in ipairs(mark[4].virt_lines or {}) do
        vim.list_extend(chunks, line)
      end
      for _, chunk in ipairs(chunks) do
        if type(chunk[1]) == 'string' and chunk[1]:find(text, 1, true) then
          return true
        end
      end
    end
  end
  return false
end
wait('the lenses are drawn', function()
  return drawn('Run pipeline') and drawn('Run step') and drawn('Run from here')
end)

--- Runs the lens of a line whose title starts so, as soon as it is there.
local function click(line, title)
  local command
  wait('the lens ' .. title, function()
    for _, entry in ipairs(vim.lsp.codelens.get(is_0_12 and { bufnr = buf } or buf)) do
      local lens = entry.lens or entry
      if lens.range.start.line == line and lens.command and vim.startswith(lens.command.title, title) then
        command = lens.command
      end
    end
    return command
  end)
  -- What `vim.lsp.codelens.run` does with the chosen one.
  if vim.fn.has('nvim-0.11') == 1 then
    client():exec_cmd(command, { bufnr = buf })
  else
    client():_exec_cmd(command, { bufnr = buf })
  end
end

local function last_progress()
  return progress[#progress]
end
local function line_of(key)
  for number, line in ipairs(vim.api.nvim_buf_get_lines(buf, 0, -1, false)) do
    if line == '  - key: ' .. key then
      return number - 1
    end
  end
  return fail('no step ' .. key)
end

-- A run of one step with its lineage: progress, log, final message, the lens is the state.
click(line_of('unit'), '▶ Run step')
wait('progress begins', function()
  return #progress > 0 and progress[1].value.kind == 'begin'
end)
wait('progress ends', function()
  return last_progress().value.kind == 'end'
end)
check('the run succeeded', vim.startswith(last_progress().value.message, '✓'))
wait('the final message is shown', function()
  return was_shown('unit: ✓')
end)
local function log()
  return table.concat(vim.api.nvim_buf_get_lines(vim.fn.bufnr('pipelens://log'), 0, -1, false), '\n')
end
wait('the log is in its buffer', function()
  return vim.fn.bufnr('pipelens://log') > 0 and log():find('[compile] compiled', 1, true)
end)
wait('the lens says how it ended', function()
  return drawn('✓ ')
end)
vim.cmd('Pipelens output')
check('the output has a window', vim.api.nvim_buf_get_name(0):find('pipelens://log', 1, true))
vim.cmd('close')

-- The state beside the step: a sign, and text at the end of its line.
local function mark_of(key)
  local namespace = vim.api.nvim_get_namespaces()['pipelens.marks']
  local marks = vim.api.nvim_buf_get_extmarks(buf, namespace, { line_of(key), 0 }, { line_of(key), -1 }, { details = true })
  return marks[1] and marks[1][4]
end
wait('the step has a sign and its duration', function()
  local mark = mark_of('unit')
  return mark and vim.trim(mark.sign_text) == '✓' and mark.virt_text[1][1]:find('s$')
end)
check('the status line says how it ended: ' .. require('pipelens').statusline(), require('pipelens').statusline():find('^✓ .*s$'))

-- What can be typed.
local function completions(line)
  return table.concat(vim.fn.getcompletion(line, 'cmdline'), ' ')
end
check('subcommands are completed', completions('Pipelens re'):find('rerun', 1, true))
check('keys of steps are completed', completions('Pipelens step la') == 'last')
check('a subcommand without a step has none', completions('Pipelens graph l') == '')

-- The window with the runs.
vim.cmd('Pipelens runs')
local function window_text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
end
check('the runs have a window', vim.bo.filetype == 'pipelens-runs' and window_text():find('✓ unit', 1, true))
check('with the steps', window_text():find('✓ compile', 1, true))
vim.cmd('Pipelens runs')
check('which closes', vim.bo.filetype ~= 'pipelens-runs')

-- What can be run, for adapters of test runners.
local positions = require('pipelens').positions(buf)
check('pipelines and steps are positions', positions.type == 'file' and positions.children[1].children[1].type == 'test')
local unit = vim.iter(positions.children[1].children):find(function(position)
  return position.name == 'unit'
end)
check('a step ends where the next one begins', vim.deep_equal(unit.range, { line_of('unit'), 2, line_of('lint'), 0 }))
local results = require('pipelens').results(require('pipelens').runs()[1].id)
check('its result is known by its id', results[unit.id].status == 'passed' and vim.uv.fs_stat(results[unit.id].output))

-- `:checkhealth` asks with the settings of this editor.
local settings = vim.g.pipelens_settings
vim.g.pipelens_settings = { runner = 'docker', dockerHost = 'unix:///nonexistent/docker.sock' }
vim.cmd('checkhealth pipelens')
local health = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
check('what is wrong is an error', health:find('ERROR engine', 1, true) and health:find('/nonexistent/docker.sock', 1, true))
check('what is right is not', health:find('OK version', 1, true))
vim.cmd('bwipeout!')
vim.g.pipelens_settings = settings
vim.cmd('buffer ' .. buf)

-- A message with buttons that only lead somewhere is told; a question waits until nothing is being typed.
local questions, mode, select, answer = require('pipelens.questions'), vim.api.nvim_get_mode, vim.ui.select, nil
vim.ui.select = function(items, _, chosen)
  chosen(items[1])
end
vim.api.nvim_get_mode = function()
  return { mode = 'i', blocking = false }
end
check('a message is not asked', questions.ask({ type = 1, message = 'it failed', actions = { { title = 'Open log' } } }) == vim.NIL)
check('but told', was_shown('it failed'))
coroutine.wrap(function()
  answer = questions.ask({ type = 2, message = 'may it?', actions = { { title = 'Allow and Run' }, { title = 'Cancel' } } })
end)()
vim.wait(50)
check('nothing is asked while typing', answer == nil and was_shown('may it?'))
vim.api.nvim_get_mode = mode
vim.api.nvim_exec_autocmds('ModeChanged', { pattern = 'i:n' })
wait('the question is asked afterwards', function()
  return answer and answer.title == 'Allow and Run'
end)
vim.ui.select = select

-- Colours of a line that goes on in the next, and where a line of output leads.
local ansi, style = require('pipelens.ansi'), {}
local text, spans = ansi.parse('a \27[1;31mred', style)
check('colours are no text', text == 'a red' and spans[1].first == 2 and spans[1].last == 5)
text, spans = ansi.parse('still\27[0m plain \27[38;5;200mx\27[m', style)
check('colours go on', text == 'still plain x' and spans[1].last == 5 and #spans == 2)
local shown_lines = {
  ['10%\r100%'] = '100%',
  ['\27[32mlong\27[0m text\rab'] = 'abng\27[0m text',
  ['long\r\27[Kab'] = 'ab',
  ['\27]0;title\7a\27[?25lb\27(Bc\8'] = 'abc',
  ['\27[31mé\27[m\r'] = '\27[31mé\27[m',
}
for line, wanted in pairs(shown_lines) do
  check('a line is shown as a terminal shows it', ansi.shown(line) == wanted)
end
local file, row, col = require('pipelens.output').place('[unit] /etc/hostname:12:5: error', 1)
check('a place in the output is found', file == '/etc/hostname' and row == 12 and col == 5)

-- A step that is edited has not run as it is now.
local edited = vim.api.nvim_buf_get_lines(buf, 0, -1, false)
vim.api.nvim_buf_set_lines(buf, line_of('unit') + 1, line_of('unit') + 2, false, { '    cmd: cat state; echo other >&2' })
vim.api.nvim_exec_autocmds('TextChanged', { buffer = buf })
wait('its sign goes', function()
  return not mark_of('unit')
end)
check('those of others stay', mark_of('compile'))
vim.api.nvim_buf_set_lines(buf, 0, -1, false, edited)
vim.api.nvim_exec_autocmds('TextChanged', { buffer = buf })
wait('and comes back with the text', function()
  return mark_of('unit')
end)

-- A second run, cancelled in the middle.
local before = #progress
vim.cmd('Pipelens step last')
wait('the second run is at its step', function()
  return log():find('[last] last', 1, true)
end)
check('it has progress', #progress > before)
local token = last_progress().token
if vim.fn.has('nvim-0.11') == 1 then
  client():notify('window/workDoneProgress/cancel', { token = token })
else
  client().notify('window/workDoneProgress/cancel', { token = token })
end
wait('it is cancelled', function()
  local value = last_progress().value
  return value.kind == 'end' and value.message:find('cancelled', 1, true)
end)

-- A step is watched until the person stops that.
local ran = #require('pipelens').runs()
vim.fn.search('key: last')
vim.cmd('Pipelens watch')
wait('the step under the cursor runs', function()
  local run = require('pipelens').runs()[1]
  return #require('pipelens').runs() > ran and run.by_key.last and run.by_key.last.state == 'running'
end)
vim.cmd('Pipelens stop')
wait('watching ends with its run', function()
  return require('pipelens').runs()[1].outcome == 'cancelled'
end)

-- A refusal has the button that helps: of a lens as of a command.
local trust = function(trusted)
  require('pipelens.client').notify(client(), 'pipelens/didChangeTrust', { trusted = trusted })
end
local asked
vim.ui.select = function(items, options, chosen)
  asked = { message = options.prompt, titles = vim.tbl_map(options.format_item, items) }
  chosen(items[1])
end
trust(false)
vim.cmd('Pipelens step setup')
wait('the refusal is shown, with its button', function()
  return asked and asked.message:find('not trusted', 1, true) and asked.titles[1] == 'Trust this workspace'
end)
local number = #require('pipelens').runs()
vim.cmd('Pipelens step setup')
wait('the button has given trust', function()
  return #require('pipelens').runs() > number and require('pipelens').runs()[1].outcome == 'succeeded'
end)
trust(false)
asked = nil
click(line_of('setup'), '▶ Run step')
wait('a lens that is refused shows the same', function()
  return asked and asked.titles[1] == 'Trust this workspace'
end)
vim.env.PIPELENS_SETTINGS = vim.fn.tempname() .. '/settings.yaml'
questions.refused(client(), { code = -32803, message = 'Allow it', data = { help = 'setting', setting = 'pipelens.allowSecrets' } })
check('a setting has a button', asked.titles[1] == 'Open settings')
check('which opens the settings', vim.endswith(vim.api.nvim_buf_get_name(0), 'settings.yaml'))
vim.cmd('close')
questions.refused(client(), { code = -32803, message = 'nothing helps' })
check('without help, it is only told', was_shown('nothing helps'))
vim.ui.select = select

-- The log of a step, in a window.
vim.cmd('Pipelens log last')
wait('the log is shown', function()
  return vim.api.nvim_buf_get_name(0):find('last.log', 1, true) ~= nil
end)

-- A file with several pipelines, in which keys are the same.
local several = vim.fs.dirname(vim.env.PIPELENS_FILE) .. '/two.pipeline.yml'
local one = [[
name: %s
default_image: pipelens-test/busybox:latest
steps:
  - key: build
    cmd: |
      %s
]]
local failing = [[printf '\033[31mred\033[0m\n10%%\r100%%\n'; echo "two.pipeline.yml:3:1: error: bad"; exit 3]]
vim.fn.writefile(vim.split(one:format('first', 'echo first') .. '---\n' .. one:format('second', failing), '\n'), several)
vim.cmd.edit(several)
local other = vim.api.nvim_get_current_buf()
wait('the server has the file', function()
  return vim.lsp.get_clients({ bufnr = other, name = 'pipelens' })[1] ~= nil
end)
check('it is the same server, although the project has no root', #vim.lsp.get_clients({ name = 'pipelens' }) == 1)
local offered = vim.fn.getcompletion('Pipelens step ', 'cmdline')
check('completion tells the pipelines apart', vim.deep_equal(offered, { 'build', 'second: build' }))
check('also after modifiers', completions('silent Pipelens step b') == 'build' and completions('vert Pipelens ru') == 'run runs')

--- Waits for the next run of this title.
local function next_run(what, title, act)
  local ran_before = #require('pipelens').runs()
  act()
  wait(what, function()
    local run = require('pipelens').runs()[1]
    return #require('pipelens').runs() > ran_before and run.outcome and run.title == title
  end)
end
local function type_command(line)
  return function()
    vim.cmd(line)
  end
end
vim.fn.search('name: second')
next_run('the pipeline at the cursor runs', 'second', type_command('Pipelens run'))
vim.fn.search('key: build')
next_run('the step at the cursor runs', 'second · build', type_command('Pipelens step'))
next_run('a key means the step of the pipeline at the cursor', 'second · build', type_command('Pipelens step build'))
next_run('unless another pipeline is named', 'first · build', type_command('Pipelens step first: build'))
local second = require('pipelens').positions(other).children[2]
local started
next_run('a position is run by its id', 'second · build', function()
  require('pipelens').run(second.children[1].id, function(id)
    started = id
  end)
end)
local failure = require('pipelens').results(started)
local result = failure[second.children[1].id]
check('only it has a result', result and vim.tbl_count(failure) == 1)
check('which says what failed', result.status == 'failed' and result.short:find('exit 3', 1, true))
vim.cmd('Pipelens runs')
vim.fn.search('second  ')
next_run('a run of the second pipeline is run again from the window', 'second', function()
  vim.api.nvim_feedkeys('r', 'mx', false)
end)
vim.api.nvim_win_set_cursor(0, { 1, 0 })
vim.cmd('Pipelens runs')
vim.fn.search('  ✗ build')
vim.api.nvim_feedkeys(vim.keycode('<CR>'), 'mx', false)
wait('the window leads to the step of the second pipeline', function()
  return vim.api.nvim_get_current_buf() == other and vim.api.nvim_win_get_cursor(0)[1] == 11
end)

-- Its log: colours are highlights, and what is overwritten is not shown.
vim.cmd('Pipelens log build')
wait('the log has its text', function()
  return vim.deep_equal(vim.api.nvim_buf_get_lines(0, 0, -1, false), { 'red', '100%', 'two.pipeline.yml:3:1: error: bad' })
end)
local function highlight_of(line)
  local mark = vim.api.nvim_buf_get_extmarks(0, -1, { line, 0 }, { line, -1 }, { details = true })[1]
  return mark and mark[4].hl_group
end
check('and its colours', (highlight_of(0) or ''):find('PipelensAnsi', 1, true))
wait('and a link', function()
  return highlight_of(2) == 'Underlined'
end)
wait('it can be folded', function()
  return vim.wo.foldmethod == 'expr'
end)
vim.api.nvim_win_set_cursor(0, { 3, 0 })
vim.api.nvim_feedkeys(vim.keycode('<CR>'), 'mx', false)
check('the link leads to the file', vim.api.nvim_get_current_buf() == other and vim.api.nvim_win_get_cursor(0)[1] == 3)

-- The server dies in the middle of a run: told once, and nothing seems to run any more.
vim.cmd('buffer ' .. buf)
vim.cmd('Pipelens step last')
wait('the third run is at its step', function()
  return require('pipelens').runs()[1].by_key.last and require('pipelens').runs()[1].by_key.last.state == 'running'
end)
for _, process in ipairs(vim.api.nvim_get_proc_children(vim.uv.os_getpid())) do
  if vim.startswith(vim.api.nvim_get_proc(process).name, 'pipelens') then
    vim.uv.kill(process, 'sigkill')
  end
end
wait('its death is told', function()
  return was_shown('the server ended during a run')
end)
check('nothing seems to run', require('pipelens').statusline():find('^✗'))
wait('it starts again', function()
  return client() and client().initialized
end)
wait('a new server knows what the last one did', function()
  local mark = mark_of('unit')
  return mark and vim.trim(mark.sign_text) == '✓'
end)

-- The next run removes what the killed server left.
local known = #require('pipelens').runs()
vim.cmd('Pipelens step setup')
wait('the new server runs steps', function()
  local run = require('pipelens').runs()[1]
  return #require('pipelens').runs() > known and run.by_key.setup and run.outcome == 'succeeded'
end)

say('PASS', tostring(vim.version()))
vim.cmd('qa!')
