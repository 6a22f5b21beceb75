--- The runs of this session, as the server reports them (`pipelens/runEvent`).
local M = {}

---@class pipelens.Step
---@field key string
---@field label? string
---@field state 'waiting'|'queued'|'running'|'succeeded'|'cached'|'failed'|'timedOut'|'cancelled'|'skipped'|'errored'
---@field phase? string What it does at the moment.
---@field started? integer In milliseconds of `vim.uv.now()`.
---@field duration_ms? integer
---@field exit_code? integer
---@field reason? string
---@field log_file? string
---@field artifacts? string The folder with its artifacts.
---@field shell? string The command line that opens a shell in what it left.

---@class pipelens.Run
---@field id string
---@field uri? string
---@field title string
---@field runner string
---@field started integer In milliseconds of `vim.uv.now()`.
---@field outcome? 'succeeded'|'failed'|'cancelled'|'timedOut'|'engineUnreachable'|'lost'
---@field duration_ms? integer
---@field steps pipelens.Step[]
---@field by_key table<string, pipelens.Step>

--- How many runs are kept.
local max_runs = 50

---@type pipelens.Run[]
local runs = {}

---@type table<integer, fun(run: pipelens.Run, event: table)>
local listeners = {}
local last_listener = 0

local function given(value)
  return value ~= vim.NIL and value or nil
end

---@return pipelens.Run[] runs Newest first.
function M.all()
  return runs
end

---@param id string
---@return pipelens.Run?
function M.get(id)
  for _, run in ipairs(runs) do
    if run.id == id then
      return run
    end
  end
end

--- Returns the newest run that has a step, and the step.
---@param uri string
---@param key string
---@return pipelens.Run?, pipelens.Step?
function M.of_step(uri, key)
  for _, run in ipairs(runs) do
    local step = run.uri == uri and run.by_key[key]
    -- A step that was not reached says nothing about itself.
    if step and not (run.outcome and (step.state == 'waiting' or step.state == 'queued')) then
      return run, step
    end
  end
end

--- Returns a step in a state that the server described (`pipelens/runs`).
---@param key string
---@param state table
---@return pipelens.Step
function M.step_of(key, state)
  local duration = given(state.durationMs)
  local is_running = state.state == 'running'
  return {
    key = key,
    state = state.state,
    phase = given(state.phase),
    started = is_running and duration and vim.uv.now() - duration or nil,
    duration_ms = not is_running and duration or nil,
    exit_code = given(state.exitCode),
    log_file = given(state.log),
    artifacts = given(state.artifacts),
    shell = given(state.shell),
  }
end

--- Returns the keys of steps of `pipelens/runs` in their order, those of combinations of a matrix included.
---@param nodes table[]
---@return string[]
function M.keys(nodes)
  local keys = {}
  for _, node in ipairs(nodes) do
    keys[#keys + 1] = node.key
    vim.list_extend(keys, M.keys(node.entries))
  end
  return keys
end

--- Adds the runs that the server knows from before this session.
---@param tree table The answer to `pipelens/runs`.
function M.remember(tree)
  for _, pipeline in ipairs(tree.pipelines) do
    local order = M.keys(pipeline.steps)
    for _, node in ipairs(pipeline.runs) do
      if not M.get(node.runId) and node.state ~= 'running' then
        local run = {
          id = node.runId,
          uri = pipeline.uri,
          title = node.title,
          runner = '',
          started = 0,
          outcome = node.state,
          duration_ms = node.durationMs,
          steps = {},
          by_key = {},
        }
        for _, key in ipairs(order) do
          if node.steps[key] then
            local step = M.step_of(key, node.steps[key])
            run.steps[#run.steps + 1], run.by_key[key] = step, step
          end
        end
        if #runs < max_runs then
          runs[#runs + 1] = run
        end
      end
    end
  end
end

--- Calls a function after each event of a run. Returns a function that ends this.
---@param listener fun(run: pipelens.Run, event: table)
---@return fun()
function M.listen(listener)
  last_listener = last_listener + 1
  local id = last_listener
  listeners[id] = listener
  return function()
    listeners[id] = nil
  end
end

---@param run pipelens.Run
---@param event table
local function tell(run, event)
  for _, listener in pairs(listeners) do
    local ok, why = pcall(listener, run, event)
    if not ok then
      vim.notify_once('pipelens: ' .. tostring(why), vim.log.levels.ERROR)
    end
  end
end

---@type table<string, fun(step: pipelens.Step, event: table)>
local changes = {
  stepQueued = function(step)
    step.state = 'queued'
  end,
  stepStart = function(step)
    step.state, step.phase, step.started = 'running', nil, vim.uv.now()
  end,
  stepPhase = function(step, event)
    step.phase = event.message
  end,
  stepArtifacts = function(step, event)
    step.artifacts = event.folder
  end,
  stepKept = function(step, event)
    step.shell = event.shell
  end,
  stepEnd = function(step, event)
    step.state, step.duration_ms, step.log_file = event.outcome, event.durationMs, event.logFile
    step.exit_code, step.reason = given(event.exitCode), given(event.reason)
  end,
}

---@param event table
local function start(event)
  local run = {
    id = event.runId,
    uri = event.uri,
    title = event.title,
    runner = event.runner,
    started = vim.uv.now(),
    steps = {},
    by_key = {},
  }
  for _, name in ipairs(event.steps) do
    local step = { key = name.key, label = given(name.label), state = 'waiting' }
    run.steps[#run.steps + 1] = step
    run.by_key[name.key] = step
  end
  table.insert(runs, 1, run)
  runs[max_runs + 1] = nil
  return run
end

--- Takes an event of the server.
---@param event table
function M.receive(event)
  local run = event.kind == 'runStart' and start(event) or M.get(event.runId)
  if not run then
    return
  end
  if event.kind == 'runEnd' then
    run.outcome, run.duration_ms = event.outcome, event.durationMs
  end
  local change, step = changes[event.kind], event.step and run.by_key[event.step]
  if change and step then
    change(step, event)
  end
  tell(run, event)
end

--- The server is gone: what ran does not run any more. Returns whether anything did.
---@return boolean
function M.lost()
  local was_running = false
  for _, run in ipairs(runs) do
    if not run.outcome then
      was_running = true
      run.outcome, run.duration_ms = 'lost', vim.uv.now() - run.started
      for _, step in ipairs(run.steps) do
        if step.state == 'running' or step.state == 'queued' then
          step.state = 'cancelled'
        end
      end
      tell(run, { kind = 'runEnd', runId = run.id, outcome = 'lost' })
    end
  end
  return was_running
end

--- For how long a step or a run has lasted, or lasted, in milliseconds.
---@param it pipelens.Step|pipelens.Run
---@return integer?
function M.elapsed(it)
  return it.duration_ms or (it.started and vim.uv.now() - it.started)
end

--- Returns a duration as people write it: `350 ms`, `3.2 s`, `02:05`.
---@param ms integer?
---@return string
function M.clock(ms)
  if not ms then
    return ''
  elseif ms < 1000 then
    return ('%d ms'):format(ms)
  elseif ms < 60000 then
    return ('%.1f s'):format(ms / 1000)
  end
  local seconds = math.floor(ms / 1000)
  local hours = math.floor(seconds / 3600)
  local rest = ('%02d:%02d'):format(math.floor(seconds / 60) % 60, seconds % 60)
  return hours > 0 and ('%d:%s'):format(hours, rest) or rest
end

---@type table<string, { icon: string, highlight: string, word: string }>
local shown = {
  waiting = { icon = '·', highlight = 'PipelensQueued', word = '' },
  queued = { icon = '⏳', highlight = 'PipelensQueued', word = 'queued' },
  running = { icon = '●', highlight = 'PipelensRunning', word = 'running' },
  succeeded = { icon = '✓', highlight = 'PipelensSucceeded', word = '' },
  cached = { icon = '✓', highlight = 'PipelensSucceeded', word = 'cached' },
  failed = { icon = '✗', highlight = 'PipelensFailed', word = 'failed' },
  timedOut = { icon = '⧖', highlight = 'PipelensFailed', word = 'timed out' },
  cancelled = { icon = '■', highlight = 'PipelensSkipped', word = 'cancelled' },
  skipped = { icon = '⊘', highlight = 'PipelensSkipped', word = 'skipped' },
  errored = { icon = '✗', highlight = 'PipelensFailed', word = 'could not run' },
  engineUnreachable = { icon = '✗', highlight = 'PipelensFailed', word = 'no container engine' },
  lost = { icon = '✗', highlight = 'PipelensFailed', word = 'the server ended' },
}

for name, link in pairs({
  Queued = 'DiagnosticHint',
  Running = 'DiagnosticInfo',
  Succeeded = 'DiagnosticOk',
  Failed = 'DiagnosticError',
  Skipped = 'Comment',
}) do
  vim.api.nvim_set_hl(0, 'Pipelens' .. name, { link = link, default = true })
end

--- Returns how a step or run is shown: its icon, the highlight group, and its state in words.
---@param it pipelens.Step|pipelens.Run
---@return string icon, string highlight, string text
function M.describe(it)
  local state = it.state or it.outcome or 'running'
  local look = shown[state] or shown.waiting
  local words = {}
  if state == 'failed' and it.exit_code then
    words[1] = ('exit %d'):format(it.exit_code)
  elseif look.word ~= '' and not (state == 'running' and it.phase) then
    words[1] = look.word
  end
  if state == 'running' and it.phase then
    words[#words + 1] = it.phase
  end
  local time = state ~= 'cached' and state ~= 'skipped' and state ~= 'queued' and M.clock(M.elapsed(it)) or ''
  if time ~= '' then
    words[#words + 1] = time
  end
  return look.icon, look.highlight, table.concat(words, ' ')
end

return M
