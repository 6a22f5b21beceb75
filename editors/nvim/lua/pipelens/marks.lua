--- The state of each step beside its text: a sign, and how long it took at the end of the line.
local M = {}

local client = require('pipelens.client')
local runs = require('pipelens.runs')

local namespace = vim.api.nvim_create_namespace('pipelens.marks')

--- Run events come in bursts; edits are asked about when the user pauses. In milliseconds.
local burst, pause = 150, 300

--- What the server said last about the pipelines of each buffer, and the timer of the next question.
---@type table<integer, { pipelines: table[], timer?: uv.uv_timer_t }>
local buffers = {}

--- Draws the times of what is running, as long as something runs.
---@type uv.uv_timer_t?
local clock

--- Returns what is shown for a step: for one with a matrix, how many of its combinations are done.
---@param node table A step of `pipelens/runs`.
---@return string? icon, string? highlight, string? text
local function look(node)
  if #node.entries == 0 then
    if node.step then
      return runs.describe(node.step)
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
local function draw(buf)
  if not vim.api.nvim_buf_is_valid(buf) then
    return
  end
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  local last = vim.api.nvim_buf_line_count(buf)
  for _, pipeline in ipairs(buffers[buf].pipelines) do
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

--- Draws the times again, once a second while something runs.
local function tick()
  for buf, known in pairs(buffers) do
    -- What the text has become since is in the next answer.
    if not known.timer then
      draw(buf)
    end
  end
  local is_running = vim.iter(runs.all()):any(function(run)
    return not run.outcome
  end)
  if not is_running and clock then
    clock:close()
    clock = nil
  end
end

--- Asks the server about a buffer, and draws its marks again.
---@param buf integer
local function refresh(buf)
  local attached = vim.api.nvim_buf_is_valid(buf) and client.of(buf)
  if not attached then
    return
  end
  client.request(attached, 'pipelens/runs', { uri = vim.uri_from_bufnr(buf) }, function(error, tree)
    if error or not tree or not buffers[buf] then
      return
    end
    runs.remember(tree)
    for _, pipeline in ipairs(tree.pipelines) do
      for _, node in ipairs(pipeline.steps) do
        node.step = node.state ~= vim.NIL and node.state and runs.step_of(node.key, node.state) or nil
      end
    end
    buffers[buf].pipelines = tree.pipelines
    draw(buf)
  end)
end

--- Refreshes a buffer soon. What happens until then is answered along with it.
---@param buf integer
---@param delay integer
local function want(buf, delay)
  local known = buffers[buf]
  if known and not known.timer then
    known.timer = vim.defer_fn(function()
      known.timer = nil
      refresh(buf)
    end, delay)
  end
end

--- A step that is edited has no state any more, so the server is asked once the user pauses.
---@param buf integer
local function edited(buf)
  local known = buffers[buf]
  if known and known.timer then
    known.timer:stop()
    known.timer:close()
    known.timer = nil
  end
  want(buf, pause)
end

runs.listen(function(run, event)
  if event.kind == 'stepLog' or event.kind == 'notice' then
    return
  end
  for buf in pairs(buffers) do
    if vim.api.nvim_buf_is_valid(buf) and vim.uri_from_bufnr(buf) == run.uri then
      want(buf, burst)
    end
  end
  if not run.outcome and not clock then
    clock = assert(vim.uv.new_timer())
    clock:start(1000, 1000, vim.schedule_wrap(tick))
  end
end)

--- Draws marks in a buffer from now on.
---@param buf integer
function M.attached(buf)
  if vim.g.pipelens_signs == false and vim.g.pipelens_virtual_text == false then
    return
  end
  buffers[buf] = buffers[buf] or { pipelines = {} }
  local group = vim.api.nvim_create_augroup('pipelens.marks.' .. buf, {})
  vim.api.nvim_create_autocmd({ 'TextChanged', 'TextChangedI' }, {
    group = group,
    buffer = buf,
    callback = function()
      edited(buf)
    end,
  })
  vim.api.nvim_create_autocmd({ 'BufDelete', 'BufWipeout' }, {
    group = group,
    buffer = buf,
    callback = function()
      buffers[buf] = nil
    end,
  })
  refresh(buf)
end

return M
