--- A floating window with the runs and their steps, which follows what runs.
local M = {}

local runs = require('pipelens.runs')

local namespace = vim.api.nvim_create_namespace('pipelens.tree')

---@class pipelens.Line
---@field run pipelens.Run
---@field step? pipelens.Step

---@type { buf: integer, win: integer, lines: pipelens.Line[], timer: uv.uv_timer_t, forget: fun(), closed: table<string, boolean> }?
local shown

---@return string[] texts, pipelens.Line[] lines, { [1]: integer, [2]: integer, [3]: integer, [4]: string }[] highlights
local function contents()
  local texts, lines, highlights = {}, {}, {}
  local function add(indent, icon, highlight, name, text, line)
    texts[#texts + 1] = ('%s%s %s  %s'):format(indent, icon, name, text)
    lines[#lines + 1] = line
    local row, start = #texts - 1, #indent + #icon + 1 + #name + 2
    highlights[#highlights + 1] = { row, #indent, #indent + #icon, highlight }
    highlights[#highlights + 1] = { row, start, start + #text, 'Comment' }
  end
  for number, run in ipairs(runs.all()) do
    local icon, highlight, text = runs.describe(run)
    local file = run.uri and vim.fs.basename(vim.uri_to_fname(run.uri)) or ''
    add('', icon, highlight, run.title, ('%s · %s · %s'):format(text, file, run.runner), { run = run })
    local is_closed = shown and shown.closed[run.id]
    if is_closed == nil then
      is_closed = number > 1 and run.outcome ~= nil
    end
    for _, step in ipairs(is_closed and {} or run.steps) do
      icon, highlight, text = runs.describe(step)
      add('  ', icon, highlight, step.key, step.reason and ('%s: %s'):format(text, step.reason) or text, { run = run, step = step })
    end
  end
  if #texts == 0 then
    texts[1] = 'Nothing has run yet. `:Pipelens run` runs the pipeline of a buffer.'
  end
  return texts, lines, highlights
end

local function draw()
  if not shown or not vim.api.nvim_buf_is_valid(shown.buf) then
    return
  end
  local texts, lines, highlights = contents()
  shown.lines = lines
  vim.bo[shown.buf].modifiable = true
  vim.api.nvim_buf_set_lines(shown.buf, 0, -1, false, texts)
  vim.bo[shown.buf].modifiable = false
  vim.api.nvim_buf_clear_namespace(shown.buf, namespace, 0, -1)
  for _, highlight in ipairs(highlights) do
    local row, first, last, group = unpack(highlight)
    vim.api.nvim_buf_set_extmark(shown.buf, namespace, row, first, { end_col = last, hl_group = group, strict = false })
  end
  if vim.api.nvim_win_is_valid(shown.win) then
    local height = math.max(3, math.min(#texts, vim.o.lines - 6))
    vim.api.nvim_win_set_height(shown.win, height)
  end
end

function M.close()
  if not shown then
    return
  end
  local it = shown
  shown = nil
  it.timer:stop()
  it.timer:close()
  it.forget()
  if vim.api.nvim_win_is_valid(it.win) then
    vim.api.nvim_win_close(it.win, true)
  end
end

--- The line under the cursor.
---@return pipelens.Line?
local function current()
  return shown and shown.lines[vim.api.nvim_win_get_cursor(shown.win)[1]]
end

--- Does something with the line under the cursor, in the window from which the tree was opened.
---@param act fun(line: pipelens.Line)
local function on_line(act)
  return function()
    local line = current()
    if line then
      M.close()
      act(line)
    end
  end
end

--- Does what a command says with the run or the step of a line.
---@param name string
---@param line pipelens.Line
local function execute(name, line)
  local argument = { runId = line.run.id, step = line.step and line.step.key }
  require('pipelens.command').click({ title = '', command = name, arguments = { argument } })
end

--- Finds the pipeline of a run, as it is now, and does something with it.
---@param run pipelens.Run
---@param act fun(pipeline: pipelens.Pipeline)
local function on_pipeline(run, act)
  local pipelines = require('pipelens.pipelines')
  if not run.uri then
    return
  end
  pipelines.ask(run.uri, function(all)
    local pipeline = pipelines.of_run(all, run.id) or (#all == 1 and all[1])
    if pipeline then
      act(pipeline)
    else
      vim.notify(('pipelens: the pipeline of `%s` is not known any more'):format(run.title), vim.log.levels.ERROR)
    end
  end)
end

--- Runs the pipeline or the step of a line again.
---@param name string
---@param line pipelens.Line
local function again(name, line)
  on_pipeline(line.run, function(pipeline)
    local argument = { uri = line.run.uri, pipeline = pipeline.pipeline, step = line.step and line.step.key }
    require('pipelens.command').execute(name, argument)
  end)
end

--- Goes to the step, or to the pipeline, in its file.
---@param line pipelens.Line
local function go(line)
  on_pipeline(line.run, function(pipeline)
    local node = line.step and require('pipelens.pipelines').step(pipeline, line.step.key) or pipeline
    vim.cmd.edit(vim.fn.fnameescape(vim.uri_to_fname(line.run.uri)))
    local row = math.min(node.position.line + 1, vim.api.nvim_buf_line_count(0))
    vim.api.nvim_win_set_cursor(0, { row, node.position.character })
  end)
end

local keys = {
  { '<CR>', 'go to the step', on_line(go) },
  { 'o', 'open the log', on_line(function(line)
    execute('pipelens.openLog', line)
  end) },
  { 'r', 'run again', on_line(function(line)
    again(line.step and 'pipelens.runStep' or 'pipelens.runPipeline', line)
  end) },
  { 'f', 'run from here', on_line(function(line)
    if line.step then
      again('pipelens.runFrom', line)
    end
  end) },
  { 'R', 'rerun what failed', on_line(function(line)
    require('pipelens.command').execute('pipelens.rerunFailed', { runId = line.run.id })
  end) },
  { 'x', 'cancel', on_line(function(line)
    require('pipelens.command').execute('pipelens.cancel', { runId = line.run.id })
  end) },
  { 's', 'open a shell', on_line(function(line)
    execute('pipelens.openShell', line)
  end) },
  { 'a', 'open the artifacts', on_line(function(line)
    execute('pipelens.openArtifacts', line)
  end) },
  { '<Tab>', 'fold', function()
    local line = current()
    if line and shown then
      local is_closed = shown.closed[line.run.id]
      if is_closed == nil then
        is_closed = line.run ~= runs.all()[1] and line.run.outcome ~= nil
      end
      shown.closed[line.run.id] = not is_closed
      draw()
    end
  end },
  { 'q', 'close', M.close },
  { '<Esc>', 'close', M.close },
}

--- Opens the window, or closes it.
function M.toggle()
  if shown then
    M.close()
    return
  end
  local buf = vim.api.nvim_create_buf(false, true)
  vim.bo[buf].bufhidden = 'wipe'
  vim.bo[buf].filetype = 'pipelens-runs'
  local width = math.min(100, vim.o.columns - 4)
  local win = vim.api.nvim_open_win(buf, true, {
    relative = 'editor',
    width = width,
    height = 10,
    row = 2,
    col = math.floor((vim.o.columns - width) / 2),
    style = 'minimal',
    border = 'rounded',
    title = ' pipelens ',
    footer = ' ⏎ step  o log  r run  f from  R rerun  x cancel  s shell  a artifacts  ⇥ fold  q close ',
  })
  vim.wo[win].cursorline = true
  vim.wo[win].wrap = false
  local timer = assert(vim.uv.new_timer())
  shown = { buf = buf, win = win, lines = {}, timer = timer, closed = {}, forget = runs.listen(function(_, event)
    if event.kind ~= 'stepLog' then
      draw()
    end
  end) }
  timer:start(1000, 1000, vim.schedule_wrap(draw))
  for _, key in ipairs(keys) do
    vim.keymap.set('n', key[1], key[3], { buffer = buf, nowait = true, desc = key[2] })
  end
  vim.api.nvim_create_autocmd('WinClosed', { pattern = tostring(win), once = true, callback = M.close })
  draw()
end

return M
