--- What can be run, and what has run, in the shapes that test runners such as neotest have for it.
local M = {}

local pipelines = require('pipelens.pipelines')
local runs = require('pipelens.runs')

--- A place where something can be run.
---@class pipelens.Position
---@field id string
---@field type 'file'|'namespace'|'test' A file, a pipeline or a step with a matrix, a step.
---@field name string
---@field path string
---@field range { [1]: integer, [2]: integer, [3]: integer, [4]: integer } The first line and column, and the end; all from 0.
---@field children pipelens.Position[]
---@field argument? pipelens.RunArgument What runs it; a file has none.

---@class pipelens.RunArgument
---@field uri string
---@field pipeline? integer|string
---@field step? string

--- What has become of a position.
---@class pipelens.Result
---@field status 'passed'|'failed'|'skipped'
---@field short string
---@field output? string The file with its output.
---@field errors? { message: string, line?: integer }[]

--- Returns where a node ends: where the next one begins, or else with its parent.
---@param node { position: { line: integer } }
---@param siblings { position: { line: integer } }[]
---@param parent_end integer
---@return integer
local function end_of(node, siblings, parent_end)
  local last = parent_end
  for _, other in ipairs(siblings) do
    if other.position.line > node.position.line then
      last = math.min(last, other.position.line)
    end
  end
  return last
end

--- Describes what can be run in a file with so many lines.
---@param path string
---@param all pipelens.Pipeline[]
---@param lines integer
---@return pipelens.Position
local function described(path, all, lines)
  local uri, names = vim.uri_from_fname(path), pipelines.names(all)
  local file = { id = path, type = 'file', name = vim.fs.basename(path), path = path, range = { 0, 0, lines, 0 }, children = {} }
  ---@param parent pipelens.Position
  ---@param nodes table[] Pipelines, steps or combinations.
  ---@param index? integer The pipeline of the nodes.
  local function add(parent, nodes, index)
    for _, node in ipairs(nodes) do
      local name = node.key or names[node.pipeline]
      local pipeline = index or node.pipeline
      local inner = node.steps or node.entries
      local position = {
        id = ('%s::%s'):format(parent.id, name),
        type = #inner > 0 and 'namespace' or 'test',
        name = name,
        path = path,
        range = { node.position.line, node.position.character, end_of(node, nodes, parent.range[3]), 0 },
        children = {},
        argument = { uri = uri, pipeline = pipeline, step = node.key },
      }
      add(position, inner, pipeline)
      parent.children[#parent.children + 1] = position
    end
  end
  add(file, all)
  return file
end

--- Returns what can be run in a buffer.
---@param buf integer
---@return pipelens.Position
function M.of(buf)
  return described(vim.api.nvim_buf_get_name(buf), pipelines.of(vim.uri_from_bufnr(buf)), vim.api.nvim_buf_line_count(buf))
end

--- Calls a function with a position and everything in it.
---@param position pipelens.Position
---@param see fun(position: pipelens.Position)
local function visit(position, see)
  see(position)
  for _, child in ipairs(position.children) do
    visit(child, see)
  end
end

--- Returns what runs a position: one argument, or one for each pipeline of a file. Empty if there is no such position any more.
---@param id string
---@return pipelens.RunArgument[]
function M.arguments(id)
  local path = id:match('^(.-)::') or id
  local arguments = {}
  visit(described(path, pipelines.of(vim.uri_from_fname(path)), 0), function(position)
    if position.id == id then
      local meant = position.argument and { position } or position.children
      for _, each in ipairs(meant) do
        arguments[#arguments + 1] = each.argument
      end
    end
  end)
  return arguments
end

local statuses = { succeeded = 'passed', cached = 'passed', failed = 'failed', timedOut = 'failed', errored = 'failed' }

--- Returns the results of the steps of a run that have ended, by the ids of their positions.
---@param run_id string
---@return table<string, pipelens.Result>
function M.results(run_id)
  local run = runs.get(run_id)
  if not run or not run.uri then
    return {}
  end
  local all = pipelines.of(run.uri)
  local pipeline = pipelines.of_run(all, run_id)
  local results = {}
  visit(described(vim.uri_to_fname(run.uri), all, 0), function(position)
    local argument = position.argument
    local step = argument and pipeline and argument.pipeline == pipeline.pipeline and run.by_key[argument.step]
    if not step or step.state == 'waiting' or step.state == 'queued' or step.state == 'running' then
      return
    end
    local _, _, text = runs.describe(step)
    local status = statuses[step.state] or 'skipped'
    results[position.id] = {
      status = status,
      short = step.reason and ('%s: %s'):format(text, step.reason) or text,
      output = step.log_file ~= '' and step.log_file or nil,
      errors = status == 'failed' and { { message = step.reason or text, line = position.range[1] } } or nil,
    }
  end)
  return results
end

return M
