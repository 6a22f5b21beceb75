--- Colours and text style in output (SGR sequences) as highlights.
local M = {}

local names = { [0] = 'Black', 'Red', 'Green', 'Yellow', 'Blue', 'Magenta', 'Cyan', 'White' }
local fallback = {
  [0] = '#3b4048', '#d14d4d', '#4e9a06', '#b58900', '#4078c0', '#a347ba', '#2aa198', '#b0b0b0',
  '#6b717d', '#ff6b6b', '#7ec850', '#e5c07b', '#61afef', '#c678dd', '#56b6c2', '#ffffff',
}

---@class pipelens.Style
---@field fg? integer|string
---@field bg? integer|string
---@field bold? boolean
---@field italic? boolean
---@field underline? boolean
---@field reverse? boolean

--- Returns a colour of the palette of 256 as Neovim wants it. The first sixteen are those of the user's terminal.
---@param index integer
---@return string
local function palette(index)
  if index < 16 then
    return vim.g['terminal_color_' .. index] or fallback[index]
  elseif index >= 232 then
    local grey = 8 + (index - 232) * 10
    return ('#%02x%02x%02x'):format(grey, grey, grey)
  end
  local function level(value)
    return value == 0 and 0 or 55 + value * 40
  end
  index = index - 16
  return ('#%02x%02x%02x'):format(level(math.floor(index / 36)), level(math.floor(index / 6) % 6), level(index % 6))
end

---@type table<string, string>
local groups = {}

--- Returns the highlight group of a style, or nothing for plain text.
---@param style pipelens.Style
---@return string?
local function group(style)
  local parts = { style.fg or '', style.bg or '' }
  for _, name in ipairs({ 'bold', 'italic', 'underline', 'reverse' }) do
    parts[#parts + 1] = style[name] and name:sub(1, 1) or ''
  end
  local key = table.concat(parts, '_')
  if key == '_____' then
    return nil
  end
  if not groups[key] then
    local name = 'PipelensAnsi_' .. key:gsub('[^%w_]', '')
    local simple = type(style.fg) == 'number' and style.fg < 8 and not style.bg and not style.reverse
    vim.api.nvim_set_hl(0, name, {
      fg = type(style.fg) == 'number' and palette(style.fg) or style.fg,
      bg = type(style.bg) == 'number' and palette(style.bg) or style.bg,
      ctermfg = simple and names[style.fg] or nil,
      bold = style.bold,
      italic = style.italic,
      underline = style.underline,
      reverse = style.reverse,
      default = true,
    })
    groups[key] = name
  end
  return groups[key]
end

--- The numbers that switch an attribute on and off.
local on = { [1] = 'bold', [3] = 'italic', [4] = 'underline', [7] = 'reverse' }
local off = { [22] = 'bold', [23] = 'italic', [24] = 'underline', [27] = 'reverse' }
--- The tens of the numbers that set a colour: which one, and where its eight begin in the palette.
local colours = { [3] = { 'fg', 0 }, [4] = { 'bg', 0 }, [9] = { 'fg', 8 }, [10] = { 'bg', 8 } }

--- Applies the numbers of one sequence to a style.
---@param style pipelens.Style
---@param numbers integer[]
local function apply(style, numbers)
  local at = 1
  --- Reads the colour after 38 or 48.
  local function colour()
    if numbers[at + 1] == 5 and numbers[at + 2] then
      at = at + 2
      return numbers[at] <= 255 and numbers[at] or nil
    elseif numbers[at + 1] == 2 and numbers[at + 4] then
      at = at + 4
      return ('#%02x%02x%02x'):format(numbers[at - 2] % 256, numbers[at - 1] % 256, numbers[at] % 256)
    end
  end
  while at <= #numbers do
    local number = numbers[at]
    local kind, digit = colours[math.floor(number / 10)], number % 10
    if number == 0 then
      for name in pairs(style) do
        style[name] = nil
      end
    elseif on[number] then
      style[on[number]] = true
    elseif off[number] then
      style[off[number]] = nil
    elseif kind and digit < 8 then
      style[kind[1]] = kind[2] + digit
    elseif kind and kind[2] == 0 then
      style[kind[1]] = digit == 8 and colour() or nil
    end
    at = at + 1
  end
end

---@class pipelens.Span
---@field first integer Where it begins in the text, in bytes.
---@field last integer Where it ends, in bytes.
---@field group string

--- Splits a line into its text and its highlights. `style` is that of the end of the line before; it becomes that of the end of this one.
---@param line string
---@param style pipelens.Style
---@return string text, pipelens.Span[] spans
function M.parse(line, style)
  if not line:find('\27', 1, true) and not next(style) then
    return line, {}
  end
  local pieces, spans, length, at = {}, {}, 0, 1
  local function add(piece)
    if piece == '' then
      return
    end
    local name = group(style)
    if name then
      spans[#spans + 1] = { first = length, last = length + #piece, group = name }
    end
    pieces[#pieces + 1] = piece
    length = length + #piece
  end
  while true do
    local from, to, codes, kind = line:find('\27%[([%d;:]*)(%a)', at)
    if not from then
      break
    end
    add(line:sub(at, from - 1))
    if kind == 'm' then
      local numbers = {}
      for code in vim.gsplit(codes, '[;:]') do
        numbers[#numbers + 1] = tonumber(code) or 0
      end
      apply(style, numbers)
    end
    at = to + 1
  end
  add(line:sub(at))
  return table.concat(pieces), spans
end

--- Returns text without control sequences and control characters, but with colours and text style.
---@param text string
---@return string
local function without_commands(text)
  -- Titles and links: up to BEL, or to ST, which is the last pattern's.
  text = text:gsub('\27[%]PX^_][^\7\27]*\7?', '')
  text = text:gsub('\27%[([0-?]*)[ -/]*([@-~])', function(codes, kind)
    return kind == 'm' and codes:match('^[%d;:]*$') and ('\27[%sm'):format(codes) or ''
  end)
  text = text:gsub('\27[ -/]*[0-Z\\^-~]', '')
  return (text:gsub('[%z\1-\8\11-\26\28-\31\127]', ''))
end

--- Returns what is right of the first visible characters of a text.
---@param text string
---@param columns integer
---@return string
local function right_of(text, columns)
  local at = 1
  while columns > 0 and at <= #text do
    local _, last = text:find('^\27%[[%d;:]*m', at)
    if last then
      at = last + 1
    else
      at = at + #(text:match('^[%z\1-\127\194-\244][\128-\191]*', at) or ' ')
      columns = columns - 1
    end
  end
  return text:sub(at)
end

--- Returns a line of a log as a terminal finally shows it, with its colours: text after a `\r` overwrites the text before it.
---@param line string
---@return string
function M.shown(line)
  local shown = ''
  for part in vim.gsplit((line:gsub('\r$', '')), '\r', { plain = true }) do
    if part ~= '' then
      local is_erasing = part:find('\27%[[02]?K') or part:find('\27%[0?J')
      local text = without_commands(part)
      local width = vim.fn.strchars((text:gsub('\27%[[%d;:]*m', '')))
      shown = text .. (is_erasing and '' or right_of(shown, width))
    end
  end
  return shown
end

return M
