--- The state of each step beside its text: a sign, and how long it took at the end of the line.
local M = {}

local client = require('pipelens.client')
local runs = require('pipelens.runs')

local namespace = vim.api.nvim_create_namespace('pipelens.marks')

---@type table<integer, true>
local buffers = {}

--- Draws what is running again, as long as something runs.
---@type uv.uv_timer_t?
local timer

--- Returns what is shown for a step: for one with a matrix, how many of its combinations are done.
---@param node table A step of `pipelens/runs`.
---@return string? icon, string? highlight, string? text
local function look(node)
  if #node.entries == 0 then
    if node.state and node.state ~= vim.NIL then
      return runs.describe(runs.step_of(node.key, node.state))
    end
    return
  end
  local counts, states = {}, { 'running', 'failed', 'errored', 'timedOut', 'queued', 'cancelled', 'skipped', 'succeeded', 'cached' }
  for _, entry in ipairs(node.entries) do
    local state = entry.state and entry.state ~= vim.NIL and entry.state.state
    if state then
      counts[state] = (counts[state] or 0) + 1
    end
  end
  for _, state in ipairs(states) do
    if counts[state] then
      local icon, highlight = runs.describe({ key = node.key, state = state })
      local passed = (counts.succeeded or 0) + (counts.cached or 0)
      return icon, highlight, ('%d of %d passed'):format(passed, #node.entries)
    end
  end
end

---@param buf integer
---@param pipelines table[]
local function draw(buf, pipelines)
  if not vim.api.nvim_buf_is_valid(buf) then
    return
  end
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  local last = vim.api.nvim_buf_line_count(buf)
  for _, pipeline in ipairs(pipelines) do
    for _, node in ipairs(pipeline.steps) do
      local icon, highlight, text = look(node)
      if icon and node.position.line < last then
        vim.api.nvim_buf_set_extmark(buf, namespace, node.position.line, 0, {
          sign_text = vim.g.pipelens_signs ~= false and icon or nil,
          sign_hl_group = highlight,
          virt_text = vim.g.pipelens_virtual_text ~= false and { { ('%s %s'):format(icon, text), highlight } } or nil,
          virt_text_pos = 'eol',
          hl_mode = 'combine',
        })
      end
    end
  end
end

--- Draws the marks of a buffer again.
---@param buf integer
function M.refresh(buf)
  local attached = vim.api.nvim_buf_is_valid(buf) and client.of(buf)
  if not attached then
    return
  end
  client.request(attached, 'pipelens/runs', { uri = vim.uri_from_bufnr(buf) }, function(error, tree)
    if not error and tree then
      runs.remember(tree)
      draw(buf, tree.pipelines)
    end
  end)
end

local function refresh_all()
  for buf in pairs(buffers) do
    M.refresh(buf)
  end
end

local function is_running()
  for _, run in ipairs(runs.all()) do
    if not run.outcome then
      return true
    end
  end
  return false
end

--- Draws once a second while something runs.
local function tick()
  if timer then
    return
  end
  timer = assert(vim.uv.new_timer())
  timer:start(1000, 1000, vim.schedule_wrap(function()
    refresh_all()
    if not is_running() and timer then
      timer:stop()
      timer:close()
      timer = nil
    end
  end))
end

runs.listen(function(run, event)
  if event.kind == 'stepLog' or event.kind == 'notice' or event.kind == 'stepPhase' then
    return
  end
  for buf in pairs(buffers) do
    if vim.api.nvim_buf_is_valid(buf) and vim.uri_from_bufnr(buf) == run.uri then
      M.refresh(buf)
    end
  end
  if not run.outcome then
    tick()
  end
end)

--- Draws marks in a buffer from now on.
---@param buf integer
function M.attached(buf)
  if vim.g.pipelens_signs == false and vim.g.pipelens_virtual_text == false then
    return
  end
  buffers[buf] = true
  vim.api.nvim_create_autocmd({ 'BufDelete', 'BufWipeout' }, {
    group = vim.api.nvim_create_augroup('pipelens.marks.' .. buf, {}),
    buffer = buf,
    callback = function()
      buffers[buf] = nil
    end,
  })
  M.refresh(buf)
end

return M
