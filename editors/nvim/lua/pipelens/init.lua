--- The Neovim plugin's functions for other plugins and configurations. Only the server knows about pipelines; everything here works through
--- the protocol.
local M = {}

--- Returns the client's configuration, for those who start it themselves.
---@return vim.lsp.ClientConfig
function M.config()
  return require('pipelens.client').config()
end

--- Finds the binary on the PATH.
---@return string?
function M.find()
  return require('pipelens.client').find()
end

--- Returns the state of the newest run for a status line: `● ci 2/5 00:12`, `✓ ci 3.2 s`. Empty if nothing has run.
---@return string
function M.statusline()
  if not package.loaded['pipelens.runs'] then
    return ''
  end
  local runs = require('pipelens.runs')
  local run = runs.all()[1]
  if not run or run.started == 0 then
    return ''
  end
  local icon = runs.describe(run)
  local time = runs.clock(runs.elapsed(run))
  if run.outcome then
    return ('%s %s %s'):format(icon, run.title, time)
  end
  local done = 0
  for _, step in ipairs(run.steps) do
    done = done + (step.duration_ms and 1 or 0)
  end
  return ('%s %s %d/%d %s'):format(icon, run.title, done, #run.steps, time)
end

--- Returns the runs of this session and those that the server remembers, newest first.
---@return pipelens.Run[]
function M.runs()
  return require('pipelens.runs').all()
end

--- Calls a function after each event of a run, with the run and the event (`docs/protocol.md`). Returns a function that ends this.
---@param listener fun(run: pipelens.Run, event: table)
---@return fun()
function M.on_event(listener)
  return require('pipelens.runs').listen(listener)
end

--- Returns what can be run in a buffer. With `run`, `on_event` and `results`, this is all that an adapter of a test runner needs.
---@param buf integer
---@return pipelens.Position
function M.positions(buf)
  return require('pipelens.positions').of(buf)
end

--- Runs what a position stands for, by its id; or a pipeline, or one step of it. `started` gets the id of each run, by which `on_event`
--- tells its events apart.
---@param what string|pipelens.RunArgument
---@param started? fun(run_id: string)
function M.run(what, started)
  local arguments = type(what) == 'string' and require('pipelens.positions').arguments(what) or { what }
  if #arguments == 0 then
    vim.notify(('pipelens: `%s` is not a position'):format(what), vim.log.levels.ERROR)
  end
  for _, argument in ipairs(arguments) do
    local name = argument.step and 'pipelens.runStep' or 'pipelens.runPipeline'
    require('pipelens.command').execute(name, argument, function(answer)
      if started and answer and answer.runId then
        started(answer.runId)
      end
    end)
  end
end

--- Returns the results of the steps of a run that have ended, by the ids of their positions.
---@param run_id string
---@return table<string, pipelens.Result>
function M.results(run_id)
  return require('pipelens.positions').results(run_id)
end

return M
