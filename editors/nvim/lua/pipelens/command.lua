--- `:Pipelens` and what belongs to it.
local M = {}

local client = require('pipelens.client')
local pipelines = require('pipelens.pipelines')

--- Says why there is no server to ask.
local function explain_absence()
  local program = client.config().cmd
  if type(program) == 'table' and vim.fn.executable(program[1]) == 0 then
    vim.notify('pipelens: the server is not installed. `:checkhealth pipelens` says what to do.', vim.log.levels.ERROR)
  elseif require('pipelens.files').is_ours(vim.api.nvim_get_current_buf()) then
    vim.notify('pipelens: the server does not run. `:edit` starts it again; `:checkhealth pipelens` says more.', vim.log.levels.ERROR)
  else
    vim.notify('pipelens: no pipeline is open', vim.log.levels.ERROR)
  end
end

--- Asks the server to execute a command, and shows the error if it is refused.
---@param name string
---@param argument table?
---@param answered? fun(answer: any, client: vim.lsp.Client)
function M.execute(name, argument, answered)
  local attached = client.of(vim.api.nvim_get_current_buf())
  if not attached then
    explain_absence()
    return
  end
  local params = { command = name, arguments = argument and { argument } or {} }
  client.request(attached, 'workspace/executeCommand', params, function(error, answer)
    if error then
      require('pipelens.questions').refused(attached, error)
    elseif answered then
      answered(answer, attached)
    end
  end)
end

--- Finds out what is meant in the current buffer, by the key of a step or by the cursor, and does something with it.
---@param key string?
---@param act fun(uri: string, place: pipelens.Place, choices: pipelens.Choice[])
local function on_place(key, act)
  local uri = vim.uri_from_bufnr(vim.api.nvim_get_current_buf())
  local line = vim.api.nvim_win_get_cursor(0)[1] - 1
  pipelines.ask(uri, function(all)
    act(uri, pipelines.meant(all, line, key), pipelines.choices(all, line))
  end)
end

--- Runs a step: the one named, the one under the cursor, or one that the user chooses.
---@param name string
---@param key string?
local function on_step(name, key)
  on_place(key, function(uri, place, choices)
    if place.step or #choices == 0 then
      M.execute(name, { uri = uri, pipeline = place.pipeline, step = place.step })
      return
    end
    vim.ui.select(choices, {
      prompt = 'Which step?',
      kind = 'pipelens',
      format_item = function(choice)
        return choice.text
      end,
    }, function(chosen)
      if chosen then
        M.execute(name, { uri = uri, pipeline = chosen.pipeline.pipeline, step = chosen.node.key })
      end
    end)
  end)
end

--- Runs what a command says about a step that has run, or without a key, about the newest one.
---@param key string?
---@param act fun(argument: { step?: string, runId?: string })
local function on_past(key, act)
  if not key then
    act({})
    return
  end
  on_place(key, function(_, place)
    act({ step = place.step, runId = place.run_id })
  end)
end

--- Opens a shell in what a step left, in a terminal.
---@param argument { step?: string, runId?: string }
local function shell(argument)
  M.execute('pipelens.openShell', vim.tbl_extend('force', argument, { show = false }), function(answer)
    if answer and answer.command then
      vim.cmd('botright new')
      if vim.fn.has('nvim-0.11') == 1 then
        vim.fn.jobstart({ 'sh', '-c', answer.command }, { term = true })
      else
        vim.fn.termopen({ 'sh', '-c', answer.command })
      end
      vim.cmd.startinsert()
    end
  end)
end

--- Opens the log of a step in a buffer with its colours.
---@param argument { step?: string, runId?: string }
local function log(argument)
  M.execute('pipelens.openLog', vim.tbl_extend('force', argument, { show = false }), function(answer, attached)
    if answer and answer.path then
      require('pipelens.log').open(answer.path, attached)
    end
  end)
end

--- What this plugin shows itself.
---@type table<string, fun(argument: { step?: string, runId?: string })>
local own = { ['pipelens.openShell'] = shell, ['pipelens.openLog'] = log }

--- Does what a lens, a code action or a key of the window with the runs says.
---@param command lsp.Command
function M.click(command)
  local argument = (command.arguments or {})[1]
  if own[command.command] then
    own[command.command](argument or {})
  else
    M.execute(command.command, argument)
  end
end

--- Fills the quickfix list with what tools reported about the user's own files.
local function problems()
  local found = vim.tbl_filter(function(diagnostic)
    local namespace = vim.diagnostic.get_namespace(diagnostic.namespace)
    return namespace.name:find('pipelens', 1, true) and not vim.startswith(diagnostic.source or '', 'pipelens')
  end, vim.diagnostic.get(nil))
  vim.fn.setqflist({}, ' ', { title = 'Problems of the last run', items = vim.diagnostic.toqflist(found) })
  if #found == 0 then
    vim.notify('pipelens: no problems', vim.log.levels.INFO)
  else
    vim.cmd('botright copen')
  end
end

---@param list fun(): string[]
local function menu(list)
  vim.ui.select(list(), { prompt = 'Pipelens', kind = 'pipelens' }, function(chosen)
    if chosen then
      M.run({ chosen })
    end
  end)
end

--- The subcommands; `step`: whether the key of a step may follow.
---@type table<string, { step?: boolean, run: fun(key: string?) }>
local subcommands = {
  run = { run = function()
    on_place(nil, function(uri, place)
      M.execute('pipelens.runPipeline', { uri = uri, pipeline = place.pipeline })
    end)
  end },
  step = { step = true, run = function(key)
    on_step('pipelens.runStep', key)
  end },
  from = { step = true, run = function(key)
    on_step('pipelens.runFrom', key)
  end },
  watch = { step = true, run = function(key)
    on_place(key, function(uri, place)
      M.execute('pipelens.watch', { uri = uri, pipeline = place.pipeline, step = place.step })
    end)
  end },
  stop = { step = true, run = function(key)
    if not key then
      M.execute('pipelens.stopWatching')
      return
    end
    on_place(key, function(uri, place)
      M.execute('pipelens.stopWatching', { uri = uri, step = place.step })
    end)
  end },
  cancel = { step = true, run = function(key)
    on_past(key, function(argument)
      M.execute('pipelens.cancel', argument)
    end)
  end },
  rerun = { run = function()
    M.execute('pipelens.rerunFailed')
  end },
  log = { step = true, run = function(key)
    on_past(key, log)
  end },
  artifacts = { step = true, run = function(key)
    on_past(key, function(argument)
      M.execute('pipelens.openArtifacts', argument)
    end)
  end },
  shell = { step = true, run = function(key)
    on_past(key, shell)
  end },
  graph = { run = function()
    on_place(nil, function(uri, place)
      M.execute('pipelens.showGraph', { uri = uri, pipeline = place.pipeline })
    end)
  end },
  output = { run = function()
    require('pipelens.output').open()
  end },
  runs = { run = function()
    require('pipelens.tree').toggle()
  end },
  problems = { run = problems },
}

--- `:Pipelens`, with a subcommand or with a menu of them.
---@param arguments string[]
function M.run(arguments)
  local name = arguments[1]
  if not name then
    menu(function()
      return M.complete('', 'Pipelens ')
    end)
    return
  end
  local subcommand = subcommands[name]
  if not subcommand then
    local known = table.concat(M.complete('', 'Pipelens '), ', ')
    vim.notify(('pipelens: unknown subcommand `%s`; expected one of %s'):format(name, known), vim.log.levels.ERROR)
    return
  end
  -- The key of a step with a matrix has blanks: `test (1.90, alpine)`.
  local step = table.concat(arguments, ' ', 2)
  if step ~= '' and not subcommand.step then
    vim.notify(('pipelens: `%s` takes no step'):format(name), vim.log.levels.ERROR)
    return
  end
  subcommand.run(step ~= '' and step or nil)
end

--- Returns what can be typed for the steps of the current buffer, combinations of a matrix included.
---@return string[]
function M.steps()
  local line = vim.api.nvim_win_get_cursor(0)[1] - 1
  return vim.tbl_map(function(choice)
    return choice.text
  end, pipelines.choices(pipelines.of(vim.uri_from_bufnr(vim.api.nvim_get_current_buf())), line))
end

--- Returns what follows the command on a command line, which may begin with modifiers and other commands.
---@param line string
---@return string
local function arguments_of(line)
  local found = ''
  for word, rest in line:gmatch('%f[%w](P%l+)%s+()') do
    if vim.startswith('Pipelens', word) then
      found = line:sub(rest)
    end
  end
  return found
end

---@param lead string
---@param line string The command line up to the cursor.
---@return string[]
function M.complete(lead, line)
  local names
  local name, rest = arguments_of(line):match('^(%S+)%s+(.*)$')
  if name then
    names = subcommands[name] and subcommands[name].step and M.steps() or {}
    -- Only what comes after the blanks that are there already is completed.
    local before = rest:sub(1, #rest - #lead)
    names = vim.tbl_map(function(key)
      return vim.startswith(key, before) and key:sub(#before + 1) or ''
    end, names)
    names = vim.tbl_filter(function(key)
      return key ~= ''
    end, names)
  else
    names = vim.tbl_keys(subcommands)
    table.sort(names)
  end
  return vim.tbl_filter(function(candidate)
    return vim.startswith(candidate, lead)
  end, names)
end

return M
