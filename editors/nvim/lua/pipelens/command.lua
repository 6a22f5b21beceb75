--- `:Pipelens` and what belongs to it.
local M = {}

local client = require('pipelens.client')
local runs = require('pipelens.runs')

--- Returns the key of the step under the cursor.
---@param buf integer
---@return string?
local function step_here(buf)
  local attached = client.of(buf)
  if not attached then
    return
  end
  local tree = client.request_now(attached, 'pipelens/runs', { uri = vim.uri_from_bufnr(buf) }, buf)
  local line, found = vim.api.nvim_win_get_cursor(0)[1] - 1, nil
  for _, pipeline in ipairs(tree and tree.pipelines or {}) do
    for _, step in ipairs(pipeline.steps) do
      if step.position.line <= line then
        found = step.key
      end
    end
  end
  return found
end

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
---@param answered? fun(answer: any)
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
      answered(answer)
    end
  end)
end

--- Runs a step: the one named, the one under the cursor, or one that the user chooses.
---@param name string
---@param step string?
local function on_step(name, step)
  local buf = vim.api.nvim_get_current_buf()
  local uri = vim.uri_from_bufnr(buf)
  step = step or step_here(buf)
  if step then
    M.execute(name, { uri = uri, step = step })
    return
  end
  vim.ui.select(M.steps(buf), { prompt = 'Which step?', kind = 'pipelens' }, function(chosen)
    if chosen then
      M.execute(name, { uri = uri, step = chosen })
    end
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

--- Does what a lens or a code action says.
---@param command lsp.Command
function M.click(command)
  local argument = (command.arguments or {})[1]
  if command.command == 'pipelens.openShell' then
    shell(argument or {})
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

---@return table
local function here()
  return { uri = vim.uri_from_bufnr(vim.api.nvim_get_current_buf()) }
end

--- The subcommands; `step`: whether the key of a step may follow.
---@type table<string, { step?: boolean, run: fun(step: string?) }>
local subcommands = {
  run = { run = function()
    M.execute('pipelens.runPipeline', here())
  end },
  step = { step = true, run = function(step)
    on_step('pipelens.runStep', step)
  end },
  from = { step = true, run = function(step)
    on_step('pipelens.runFrom', step)
  end },
  watch = { step = true, run = function(step)
    step = step or step_here(vim.api.nvim_get_current_buf())
    M.execute('pipelens.watch', vim.tbl_extend('force', here(), { step = step }))
  end },
  stop = { step = true, run = function(step)
    M.execute('pipelens.stopWatching', step and vim.tbl_extend('force', here(), { step = step }))
  end },
  cancel = { step = true, run = function(step)
    M.execute('pipelens.cancel', step and { step = step })
  end },
  rerun = { run = function()
    M.execute('pipelens.rerunFailed')
  end },
  log = { step = true, run = function(step)
    M.execute('pipelens.openLog', step and { step = step })
  end },
  artifacts = { step = true, run = function(step)
    M.execute('pipelens.openArtifacts', step and { step = step })
  end },
  shell = { step = true, run = function(step)
    shell({ step = step })
  end },
  graph = { run = function()
    M.execute('pipelens.showGraph', here())
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

--- Returns the keys of the steps of a buffer, combinations of a matrix included.
---@param buf integer
---@return string[]
function M.steps(buf)
  local attached = client.of(buf)
  local tree = attached and client.request_now(attached, 'pipelens/runs', { uri = vim.uri_from_bufnr(buf) }, buf)
  local keys = {}
  for _, pipeline in ipairs(tree and tree.pipelines or {}) do
    vim.list_extend(keys, runs.keys(pipeline.steps))
  end
  return keys
end

---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  local names
  local name, rest = line:match('^%s*%S+%s+(%S+)%s+(.*)$')
  if name then
    names = subcommands[name] and subcommands[name].step and M.steps(vim.api.nvim_get_current_buf()) or {}
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
