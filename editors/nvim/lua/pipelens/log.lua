--- The log of a step in a buffer: with its colours, with folds, and with links to the files of the project.
local M = {}

local ansi = require('pipelens.ansi')
local client = require('pipelens.client')
local output = require('pipelens.output')

--- Of a longer log, the end is shown, as the server does: its folds and links are about that.
local max_bytes = 1048576

local namespace = vim.api.nvim_create_namespace('pipelens.log')

---@class pipelens.Log
---@field levels (integer|string)[] The fold level of each line, in the form of 'foldexpr'.
---@field links lsp.DocumentLink[]

---@type table<integer, pipelens.Log>
local logs = {}

--- Returns the lines of a log file, as they are written.
---@param path string
---@return string[]
local function read(path)
  local file = assert(io.open(path, 'rb'))
  local left_out = math.max(0, file:seek('end') - max_bytes)
  file:seek('set', left_out)
  local text = file:read('*a')
  file:close()
  if left_out > 0 then
    local cut = text:find('\n', 1, true) or #text
    text = ('… the first %.1f MB are only in %s\n%s'):format((left_out + cut) / 1e6, path, text:sub(cut + 1))
  end
  return vim.split((text:gsub('\n$', '')), '\n', { plain = true })
end

---@param buf integer
---@param path string
local function fill(buf, path)
  local texts, spans, style = {}, {}, {}
  for number, line in ipairs(read(path)) do
    texts[number], spans[number] = ansi.parse(ansi.shown(line), style)
  end
  vim.bo[buf].modifiable = true
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, texts)
  vim.bo[buf].modifiable = false
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  for number, line in ipairs(spans) do
    for _, span in ipairs(line) do
      vim.api.nvim_buf_set_extmark(buf, namespace, number - 1, span.first, { end_col = span.last, hl_group = span.group })
    end
  end
end

--- Returns the fold level of each line.
---@param ranges lsp.FoldingRange[]
---@param count integer
---@return (integer|string)[]
local function levels_of(ranges, count)
  local levels, starts = {}, {}
  for line = 1, count do
    levels[line] = 0
  end
  for _, range in ipairs(ranges) do
    starts[range.startLine + 1] = true
    for line = range.startLine + 1, math.min(range.endLine + 1, count) do
      levels[line] = levels[line] + 1
    end
  end
  for line in pairs(starts) do
    levels[line] = levels[line] and '>' .. levels[line]
  end
  return levels
end

--- The value of 'foldexpr' for a line of a log.
---@return integer|string
function M.fold()
  local log = logs[vim.api.nvim_get_current_buf()]
  return log and log.levels[vim.v.lnum] or 0
end

--- Asks the server what can be folded and where the log leads.
---@param buf integer
---@param path string
---@param attached vim.lsp.Client
local function ask(buf, path, attached)
  local params = { textDocument = { uri = vim.uri_from_fname(path) } }
  client.request(attached, 'textDocument/foldingRange', params, function(_, ranges)
    if not logs[buf] or not ranges or ranges == vim.NIL then
      return
    end
    logs[buf].levels = levels_of(ranges, vim.api.nvim_buf_line_count(buf))
    for _, window in ipairs(vim.fn.win_findbuf(buf)) do
      local options = vim.wo[window][0]
      options.foldexpr = "v:lua.require'pipelens.log'.fold()"
      options.foldlevel = 99
      options.foldmethod = 'expr'
    end
  end)
  client.request(attached, 'textDocument/documentLink', params, function(_, links)
    if not logs[buf] or not links or links == vim.NIL then
      return
    end
    logs[buf].links = links
    for _, link in ipairs(links) do
      local first, last = link.range.start, link.range['end']
      local opts = { end_row = last.line, end_col = last.character, hl_group = 'Underlined', strict = false }
      vim.api.nvim_buf_set_extmark(buf, namespace, first.line, first.character, opts)
    end
  end)
end

--- Goes where the line under the cursor leads: the first link that ends after the cursor counts, else the last one before it.
local function jump()
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local found
  for _, link in ipairs(logs[vim.api.nvim_get_current_buf()].links) do
    if link.range.start.line == row - 1 and not (found and found.range['end'].character > col) then
      found = link
    end
  end
  if not found then
    output.jump()
    return
  end
  local uri, line, column = found.target:match('^(.-)#L(%d+),?(%d*)$')
  output.go(vim.uri_to_fname(uri or found.target), tonumber(line) or 1, tonumber(column) or 1)
end

--- Shows a log as it is now, at its end.
---@param path string
---@param attached vim.lsp.Client
function M.open(path, attached)
  local name = 'pipelens-log://' .. path
  local buf = vim.iter(vim.tbl_keys(logs)):find(function(each)
    return vim.api.nvim_buf_is_valid(each) and vim.api.nvim_buf_get_name(each) == name
  end)
  if not buf then
    buf = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(buf, name)
    vim.bo[buf].filetype = 'pipelens-log'
    for _, key in ipairs({ '<CR>', 'gf' }) do
      vim.keymap.set('n', key, jump, { buffer = buf, desc = 'Go to the file and line under the cursor' })
    end
    vim.api.nvim_create_autocmd('BufWipeout', {
      buffer = buf,
      callback = function()
        logs[buf] = nil
      end,
    })
  end
  logs[buf] = { levels = {}, links = {} }
  fill(buf, path)
  output.reveal(buf)
  ask(buf, path, attached)
end

return M
