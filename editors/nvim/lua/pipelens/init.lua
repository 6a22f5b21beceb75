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

--- A place where something can be run, as test runners have them.
---@class pipelens.Position
---@field id string
---@field type 'file'|'namespace'|'test' A file, a pipeline or a step with a matrix, a step.
---@field name string
---@field path string
---@field range { [1]: integer, [2]: integer } Zero-based line and column.
---@field children pipelens.Position[]

--- Returns what can be run in a buffer. With `run` and `on_event`, this is all that an adapter of a test runner needs.
---@param buf integer
---@return pipelens.Position
function M.positions(buf)
  local client = require('pipelens.client')
  local path, uri = vim.api.nvim_buf_get_name(buf), vim.uri_from_bufnr(buf)
  local file = { id = path, type = 'file', name = vim.fs.basename(path), path = path, range = { 0, 0 }, children = {} }
  local attached = client.of(buf)
  local tree = attached and client.request_now(attached, 'pipelens/runs', { uri = uri }, buf)
  local function add(parent, nodes)
    for _, node in ipairs(nodes) do
      local steps = node.steps or node.entries
      local position = {
        id = ('%s::%s'):format(parent.id, node.key or node.name),
        type = #steps > 0 and 'namespace' or 'test',
        name = node.key or node.name,
        path = path,
        range = { node.position.line, node.position.character },
        children = {},
      }
      add(position, steps)
      parent.children[#parent.children + 1] = position
    end
  end
  add(file, tree and tree.pipelines or {})
  return file
end

--- Runs a pipeline, or one step of it. `started` gets the id of the run, by which `on_event` tells its events apart.
---@param argument { uri: string, step?: string, pipeline?: integer|string }
---@param started? fun(run_id: string)
function M.run(argument, started)
  local name = argument.step and 'pipelens.runStep' or 'pipelens.runPipeline'
  require('pipelens.command').execute(name, argument, function(answer)
    if started and answer then
      started(answer.runId)
    end
  end)
end

return M
