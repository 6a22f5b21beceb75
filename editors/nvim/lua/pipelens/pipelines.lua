--- What the server says about the pipelines of a file, and which of them the cursor or a typed key means.
local M = {}

local client = require('pipelens.client')

---@class pipelens.Node A step, or one combination of its matrix.
---@field key string
---@field position { line: integer, character: integer }
---@field state table|userdata Its newest state; `vim.NIL` if it has none.
---@field entries pipelens.Node[] The combinations of its matrix.

---@class pipelens.Pipeline
---@field pipeline integer Its zero-based index in the file.
---@field name string
---@field position { line: integer, character: integer }
---@field steps pipelens.Node[]
---@field runs { runId: string }[]

--- What is to be run.
---@class pipelens.Place
---@field pipeline? integer
---@field step? string
---@field run_id? string The newest run of the step, if only that tells it apart from a step of another pipeline.

--- Asks the server about a file. Without a server there are no pipelines.
---@param uri string
---@param answered fun(pipelines: pipelens.Pipeline[])
function M.ask(uri, answered)
  local attached = client.of(vim.api.nvim_get_current_buf())
  if not attached then
    answered({})
    return
  end
  client.request(attached, 'pipelens/runs', { uri = uri }, function(_, tree)
    answered(tree and tree.pipelines or {})
  end)
end

--- Asks the server about a file, and waits for the answer a little.
---@param uri string
---@return pipelens.Pipeline[]
function M.of(uri)
  local buf = vim.api.nvim_get_current_buf()
  local attached = client.of(buf)
  local tree = attached and client.request_now(attached, 'pipelens/runs', { uri = uri }, buf)
  return tree and tree.pipelines or {}
end

--- Returns the one that begins last at or above a line.
---@generic T: { position: { line: integer } }
---@param all T[]
---@param line integer
---@return T?
local function last_before(all, line)
  local last
  for _, each in ipairs(all) do
    if each.position.line <= line and (not last or each.position.line >= last.position.line) then
      last = each
    end
  end
  return last
end

--- Returns the pipeline and the step on a line, counted from 0. Above all pipelines, the first is meant.
---@param pipelines pipelens.Pipeline[]
---@param line integer
---@return pipelens.Pipeline?, pipelens.Node?
function M.at(pipelines, line)
  local begun = last_before(pipelines, line)
  local owner, found
  for _, pipeline in ipairs(pipelines) do
    local step = last_before(pipeline.steps, line)
    if step and (not found or step.position.line >= found.position.line) then
      owner, found = pipeline, step
    end
  end
  if not found or (begun and begun.position.line > found.position.line) then
    return begun or pipelines[1]
  end
  return owner, found
end

--- Returns the name of each pipeline by its index, with a number where several have the same.
---@param pipelines pipelens.Pipeline[]
---@return table<integer, string>
function M.names(pipelines)
  local counts, names = {}, {}
  for _, pipeline in ipairs(pipelines) do
    counts[pipeline.name] = (counts[pipeline.name] or 0) + 1
  end
  for _, pipeline in ipairs(pipelines) do
    local is_unique = counts[pipeline.name] == 1
    names[pipeline.pipeline] = is_unique and pipeline.name or ('%s #%d'):format(pipeline.name, pipeline.pipeline + 1)
  end
  return names
end

---@class pipelens.Choice
---@field text string What can be typed for it.
---@field full string With the name of its pipeline.
---@field is_shared boolean Whether a step of another pipeline has the same key.
---@field pipeline pipelens.Pipeline
---@field node pipelens.Node

--- Returns the steps, and the combinations of their matrices, with what can be typed for each: the key, and before it the name of
--- the pipeline if another one than that on the line has a step with the same key.
---@param pipelines pipelens.Pipeline[]
---@param line integer
---@return pipelens.Choice[]
function M.choices(pipelines, line)
  local here = M.at(pipelines, line)
  local names, owners, choices = M.names(pipelines), {}, {}
  for _, pipeline in ipairs(pipelines) do
    local function add(nodes)
      for _, node in ipairs(nodes) do
        local choice = { full = ('%s: %s'):format(names[pipeline.pipeline], node.key), pipeline = pipeline, node = node }
        choices[#choices + 1] = choice
        owners[node.key] = owners[node.key] or {}
        owners[node.key][pipeline.pipeline] = true
        add(node.entries)
      end
    end
    add(pipeline.steps)
  end
  for _, choice in ipairs(choices) do
    choice.is_shared = vim.tbl_count(owners[choice.node.key]) > 1
    choice.text = choice.is_shared and choice.pipeline ~= here and choice.full or choice.node.key
  end
  return choices
end

--- Returns what a choice means to the server.
---@param choice pipelens.Choice
---@return pipelens.Place
function M.place(choice)
  local state = choice.node.state
  return {
    pipeline = choice.pipeline.pipeline,
    step = choice.node.key,
    run_id = choice.is_shared and type(state) == 'table' and state.runId or nil,
  }
end

--- Returns what is meant: by what was typed, or without that by the line.
---@param pipelines pipelens.Pipeline[]
---@param line integer
---@param typed string?
---@return pipelens.Place
function M.meant(pipelines, line, typed)
  local pipeline, step = M.at(pipelines, line)
  if not typed then
    return { pipeline = pipeline and pipeline.pipeline, step = step and step.key }
  end
  for _, name in ipairs({ 'text', 'full' }) do
    for _, choice in ipairs(M.choices(pipelines, line)) do
      if choice[name] == typed then
        return M.place(choice)
      end
    end
  end
  -- The server says what is wrong with it.
  return { pipeline = pipeline and pipeline.pipeline, step = typed }
end

--- Returns the pipeline that a run belongs to.
---@param pipelines pipelens.Pipeline[]
---@param run_id string
---@return pipelens.Pipeline?
function M.of_run(pipelines, run_id)
  for _, pipeline in ipairs(pipelines) do
    for _, run in ipairs(pipeline.runs) do
      if run.runId == run_id then
        return pipeline
      end
    end
  end
end

--- Returns a step, or a combination of its matrix.
---@param pipeline pipelens.Pipeline
---@param key string
---@return pipelens.Node?
function M.step(pipeline, key)
  for _, choice in ipairs(M.choices({ pipeline }, 0)) do
    if choice.node.key == key then
      return choice.node
    end
  end
end

return M
