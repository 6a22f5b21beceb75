--- The buffer that shows the output of runs, with its colours, as it comes.
local M = {}

local ansi = require('pipelens.ansi')
local runs = require('pipelens.runs')

--- How many lines the buffer keeps; the log files keep all of them.
local max_lines = 10000
--- How long lines are collected before they are shown, in milliseconds.
local delay = 50

local namespace = vim.api.nvim_create_namespace('pipelens.output')

---@type integer?
local buffer

---@type { text: string, spans: pipelens.Span[] }[]
local waiting = {}
local is_scheduled = false

--- The style at the end of the last line of each step.
---@type table<string, pipelens.Style>
local styles = {}

---@return integer
function M.buffer()
  if not (buffer and vim.api.nvim_buf_is_valid(buffer)) then
    buffer = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(buffer, 'pipelens://log')
    vim.bo[buffer].filetype = 'pipelens-log'
    vim.bo[buffer].modifiable = false
    vim.keymap.set('n', '<CR>', M.jump, { buffer = buffer, desc = 'Go to the file and line under the cursor' })
    vim.keymap.set('n', 'gf', M.jump, { buffer = buffer, desc = 'Go to the file and line under the cursor' })
  end
  return buffer
end

--- Shows what was collected. Windows that show the end of the buffer keep showing the end.
local function show()
  is_scheduled = false
  local buf = M.buffer()
  local lines, first = {}, math.max(1, #waiting - max_lines + 1)
  for number = first, #waiting do
    lines[#lines + 1] = waiting[number].text
  end
  local count = vim.api.nvim_buf_line_count(buf)
  local is_empty = count == 1 and vim.api.nvim_buf_get_lines(buf, 0, 1, false)[1] == ''
  local start = is_empty and 0 or count
  local following = {}
  for _, window in ipairs(vim.fn.win_findbuf(buf)) do
    if vim.api.nvim_win_get_cursor(window)[1] >= count then
      following[#following + 1] = window
    end
  end
  vim.bo[buf].modifiable = true
  vim.api.nvim_buf_set_lines(buf, start, -1, false, lines)
  for number = first, #waiting do
    for _, span in ipairs(waiting[number].spans) do
      local opts = { end_col = span.last, hl_group = span.group, strict = false }
      vim.api.nvim_buf_set_extmark(buf, namespace, start + number - first, span.first, opts)
    end
  end
  waiting = {}
  local excess = vim.api.nvim_buf_line_count(buf) - max_lines
  if excess > 0 then
    vim.api.nvim_buf_set_lines(buf, 0, excess, false, {})
  end
  vim.bo[buf].modifiable = false
  local last = vim.api.nvim_buf_line_count(buf)
  for _, window in ipairs(following) do
    vim.api.nvim_win_set_cursor(window, { last, 0 })
  end
end

---@param text string
---@param spans pipelens.Span[]
local function add(text, spans)
  waiting[#waiting + 1] = { text = text, spans = spans }
  if #waiting > 2 * max_lines then
    waiting = vim.list_slice(waiting, max_lines + 1)
  end
  if not is_scheduled then
    is_scheduled = true
    vim.defer_fn(show, delay)
  end
end

--- Adds text without colours.
---@param text string
function M.append(text)
  for _, line in ipairs(vim.split(text, '\n', { plain = true })) do
    add(line, {})
  end
end

---@param run pipelens.Run
---@param key string
---@param line string
local function add_line(run, key, line)
  local id = run.id .. key
  styles[id] = styles[id] or {}
  local text, spans = ansi.parse(line:gsub('[\r\n]', ''), styles[id])
  local prefix = ('[%s] '):format(key)
  for _, span in ipairs(spans) do
    span.first, span.last = span.first + #prefix, span.last + #prefix
  end
  table.insert(spans, 1, { first = 0, last = #prefix - 1, group = 'Identifier' })
  add(prefix .. text, spans)
end

---@param text string
---@param highlight string
local function add_state(text, highlight)
  add(text, { { first = 0, last = #text, group = highlight } })
end

--- Adds what an event says.
---@param run pipelens.Run
---@param event table
local function receive(run, event)
  local step = event.step and run.by_key[event.step]
  if event.kind == 'stepLog' then
    for _, line in ipairs(event.lines) do
      add_line(run, event.step, line.text)
    end
  elseif event.kind == 'stepLogSkipped' then
    add_state(('[%s] … %d more lines in %s'):format(event.step, event.lines, event.logFile), 'Comment')
  elseif event.kind == 'notice' then
    M.append(event.message)
  elseif event.kind == 'runStart' then
    add_state(('▶ %s on %s'):format(run.title, run.runner), 'Title')
  elseif event.kind == 'stepEnd' and step then
    styles[run.id .. event.step] = nil
    local icon, highlight, text = runs.describe(step)
    local reason = step.reason and (': ' .. step.reason) or ''
    add_state(('[%s] %s %s%s'):format(event.step, icon, text, reason), highlight)
  elseif event.kind == 'runEnd' then
    local icon, highlight, text = runs.describe(run)
    add_state(('%s: %s %s'):format(run.title, icon, text), highlight)
  end
end

--- Opens the buffer in a window, at its end.
function M.open()
  M.reveal(M.buffer())
end

--- Shows a buffer in its window or a new one, at its end.
---@param buf integer
function M.reveal(buf)
  local window = vim.fn.win_findbuf(buf)[1]
  if window then
    vim.api.nvim_set_current_win(window)
  else
    vim.cmd('botright sbuffer ' .. buf)
  end
  vim.wo.wrap = false
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(buf), 0 })
end

--- Returns the file and the place that a line of output names, as `src/main.rs:10:5`, if the file exists.
---@param line string
---@param column integer The first place at or after this byte is taken, else the last one before it.
---@return string? file, integer? row, integer? col
function M.place(line, column)
  local found
  for from, path, rest, to in line:gmatch('()([%w%._/\\~+@-]+[%.%w])([:(]%d+[:,]?%d*)()') do
    local row, col = rest:match('(%d+)[:,]?(%d*)')
    for _, folder in ipairs({ '', vim.fs.root(0, { '.git', '.hm' }) or '', vim.uv.cwd() or '' }) do
      local file = folder == '' and path or vim.fs.joinpath(folder, (path:gsub('^/workspace/', '')))
      if vim.uv.fs_stat(file) and (not found or to > column) then
        found = { file, tonumber(row), tonumber(col) or 1 }
        break
      end
    end
    if found and from > column then
      break
    end
  end
  if found then
    return found[1], found[2], found[3]
  end
end

--- Goes to the file that the line under the cursor names.
function M.jump()
  local column = vim.api.nvim_win_get_cursor(0)[2] + 1
  local file, row, col = M.place(vim.api.nvim_get_current_line(), column)
  if file and row and col then
    M.go(file, row, col)
  else
    vim.notify('pipelens: this line names no file that exists', vim.log.levels.INFO)
  end
end

--- Goes to a place in a file, in a window that does not show output.
---@param file string
---@param row integer
---@param col integer
function M.go(file, row, col)
  for _, window in ipairs(vim.api.nvim_tabpage_list_wins(0)) do
    local buf = vim.api.nvim_win_get_buf(window)
    if vim.bo[buf].buftype == '' and vim.api.nvim_win_get_config(window).relative == '' then
      vim.api.nvim_set_current_win(window)
      break
    end
  end
  if vim.bo.buftype ~= '' then
    vim.cmd('aboveleft new')
  end
  vim.cmd.edit(vim.fn.fnameescape(file))
  local last = vim.api.nvim_buf_line_count(0)
  vim.api.nvim_win_set_cursor(0, { math.min(row, last), math.max(0, col - 1) })
end

runs.listen(receive)

return M
