--- Which files the client is for. Python and TypeScript files are so only if they are programs that make pipelines: others are never sent.
local M = {}

M.markers = { '.pipelens.yaml', '.git', '.hm' }

local pipeline_filetypes = { 'yaml.pipelens', 'json.pipelens' }
local program_filetypes = { 'python', 'typescript' }

--- Returns the globs of the setting `programs.commands`.
---@return string[]
local function globs()
  return vim.tbl_keys(vim.tbl_get(vim.g.pipelens_settings or {}, 'programs', 'commands') or {})
end

--- Whether a path is that of a program in a project's folder for pipelines, as the server sees it.
---@param path string
---@return boolean
function M.is_program(path)
  local folder, name = vim.fs.normalize(path):match('([^/]+)/([^/]+)$')
  if folder ~= '.hm' and folder ~= '.harmont' then
    return false
  end
  return name:match('.%.py$') ~= nil or (name:match('.%.m?ts$') ~= nil and name:match('%.d%.m?ts$') == nil)
end

--- Whether the user has a command for a file of a project. The server decides: here, a glob may also match below the folders it names.
---@param path string
---@param root string?
---@return boolean
local function has_command(path, root)
  local relative = root and vim.fs.normalize(path):sub(#vim.fs.normalize(root) + 2)
  return relative ~= nil
    and vim.iter(globs()):any(function(glob)
      -- To the server, `*` matches `/`, too.
      local is_glob, pattern = pcall(vim.glob.to_lpeg, (glob:gsub('%*+', '**')))
      local is_plain, plain = pcall(vim.glob.to_lpeg, glob)
      return (is_glob and pattern:match(relative) ~= nil) or (is_plain and plain:match(relative) ~= nil)
    end)
end

--- Returns the filetypes the client may be for. With commands for files of any kind, every filetype is.
---@return string[]?
function M.filetypes()
  if #globs() == 0 then
    return vim.list_extend(vim.list_slice(pipeline_filetypes), program_filetypes)
  end
end

--- Whether all files of a filetype are the client's: those of pipelines, and what the user has listed.
--- Never all Python or TypeScript files.
---@param filetype string
---@return boolean
local function is_wanted(filetype)
  -- Not the windows of this plugin: `pipelens-log`, `pipelens-runs`.
  if vim.list_contains(vim.split(filetype, '.', { plain = true }), 'pipelens') then
    return true
  end
  local config = vim.lsp.enable and vim.lsp.config.pipelens
  local listed = config and config.filetypes or {}
  return vim.list_contains(listed, filetype) and not vim.list_contains(program_filetypes, filetype)
end

--- Returns the project of a buffer.
---@param buf integer
---@return string?
function M.root(buf)
  return vim.fs.root(buf, M.markers)
end

--- Whether the client is for a buffer.
---@param buf integer
---@return boolean
function M.is_ours(buf)
  local path = vim.api.nvim_buf_get_name(buf)
  if is_wanted(vim.bo[buf].filetype) then
    return true
  end
  -- Not what an editor shows of it, such as its diff.
  if path == '' or vim.bo[buf].buftype ~= '' or path:find('^%a[%w+.-]+://') then
    return false
  end
  return M.is_program(path) or (#globs() > 0 and has_command(path, M.root(buf)))
end

return M
