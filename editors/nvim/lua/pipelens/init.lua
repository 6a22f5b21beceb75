--- The Neovim plugin. Everything here works through the protocol; only the server knows about pipelines.
local M = {}

--- The subcommands of `:Pipelens`, and the server's command for each.
---@type table<string, string>
local commands = {
  run = 'pipelens.runPipeline',
  step = 'pipelens.runStep',
  from = 'pipelens.runFrom',
  cancel = 'pipelens.cancel',
  log = 'pipelens.openLog',
  artifacts = 'pipelens.openArtifacts',
  graph = 'pipelens.showGraph',
  rerun = 'pipelens.rerunFailed',
  shell = 'pipelens.openShell',
  watch = 'pipelens.watch',
  stop = 'pipelens.stopWatching',
}

--- The buffer that shows the output of runs. Neovim itself hides `window/logMessage`.
---@type integer?
local log_buffer

--- How many lines the buffer keeps; the log files keep all of them.
local max_log_lines = 10000

---@return integer
local function log_buf()
  if not (log_buffer and vim.api.nvim_buf_is_valid(log_buffer)) then
    log_buffer = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(log_buffer, 'pipelens://log')
    vim.bo[log_buffer].filetype = 'pipelens-log'
  end
  return log_buffer
end

--- Adds text to the log buffer. Windows that show the end of it keep showing the end.
---@param text string
local function append(text)
  local buf = log_buf()
  local lines = vim.split(text, '\n', { plain = true })
  local count = vim.api.nvim_buf_line_count(buf)
  local is_empty = count == 1 and vim.api.nvim_buf_get_lines(buf, 0, 1, false)[1] == ''
  vim.api.nvim_buf_set_lines(buf, is_empty and 0 or count, -1, false, lines)
  local excess = vim.api.nvim_buf_line_count(buf) - max_log_lines
  if excess > 0 then
    vim.api.nvim_buf_set_lines(buf, 0, excess, false, {})
  end
  local last = vim.api.nvim_buf_line_count(buf)
  for _, window in ipairs(vim.fn.win_findbuf(buf)) do
    local follows = vim.api.nvim_win_get_cursor(window)[1] >= math.min(count, last)
    if follows then
      vim.api.nvim_win_set_cursor(window, { last, 0 })
    end
  end
end

--- Refreshes the lenses. Neovim 0.12 does so by itself.
---@param client_id integer
local function refresh_lenses(client_id)
  if vim.fn.has('nvim-0.12') == 1 then
    return
  end
  for buf in pairs((vim.lsp.get_client_by_id(client_id) or { attached_buffers = {} }).attached_buffers) do
    vim.lsp.codelens.refresh({ bufnr = buf })
  end
end

---@type table<string, lsp.Handler>
local handlers = {
  ['window/logMessage'] = function(_, params)
    append(params.message)
    return vim.NIL
  end,
}
if vim.fn.has('nvim-0.12') == 0 then
  -- Older versions answer this request with an error.
  handlers['workspace/codeLens/refresh'] = function(_, _, context)
    refresh_lenses(context.client_id)
    return vim.NIL
  end
end

--- Finds the binary in the absolute directories of the PATH. A binary inside the working directory is never started.
---@return string?
function M.find()
  local windows = vim.fn.has('win32') == 1
  local here = vim.uv.fs_realpath(vim.uv.cwd() or '.') or '.'
  for folder in vim.gsplit(vim.env.PATH or '', windows and ';' or ':', { plain = true }) do
    local is_absolute = vim.startswith(folder, '/') or folder:match('^%a:[/\\]') ~= nil
    local place = is_absolute and vim.uv.fs_realpath(folder)
    local file = place and vim.uv.fs_realpath(place .. '/pipelens' .. (windows and '.exe' or ''))
    local function is_in_project(path)
      return vim.startswith(path .. '/', here .. '/')
    end
    -- Check both the directory it is found in and the target of any links.
    if file and vim.fn.executable(file) == 1 and not is_in_project(place) and not is_in_project(file) then
      return file
    end
  end
end

--- Returns the client's configuration. `vim.g.pipelens_cmd` and `vim.g.pipelens_settings` change it.
---@return vim.lsp.ClientConfig
function M.config()
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.workspace.codeLens = { refreshSupport = true }
  return {
    name = 'pipelens',
    -- If the binary is not found, use a path that does not exist, so that Neovim reports that it cannot be started.
    cmd = vim.g.pipelens_cmd or { M.find() or '/nonexistent/pipelens', 'lsp' },
    filetypes = { 'yaml.pipelens', 'json.pipelens' },
    root_markers = { '.git', '.hm' },
    root_dir = not vim.lsp.enable and vim.fs.root(0, { '.git', '.hm' }) or nil,
    capabilities = capabilities,
    handlers = handlers,
    init_options = vim.g.pipelens_settings or vim.empty_dict(),
  }
end

--- Draws the lenses of a buffer, unless `vim.g.pipelens_lenses` is `false`.
---@param client vim.lsp.Client
---@param buf integer
function M.attach(client, buf)
  if vim.g.pipelens_lenses == false then
    return
  end
  if vim.fn.has('nvim-0.12') == 1 then
    vim.lsp.codelens.enable(true, { bufnr = buf })
    return
  end
  vim.lsp.codelens.refresh({ bufnr = buf })
  vim.api.nvim_create_autocmd({ 'TextChanged', 'InsertLeave', 'BufEnter' }, {
    buffer = buf,
    callback = function()
      if vim.lsp.get_client_by_id(client.id) then
        vim.lsp.codelens.refresh({ bufnr = buf })
      end
    end,
  })
end

--- Asks the server to execute a command, and shows the error if it is refused.
---@param client vim.lsp.Client
---@param command string
---@param argument table?
local function execute(client, command, argument)
  local params = { command = command, arguments = argument and { argument } or {} }
  local function answered(error)
    if error then
      vim.notify(error.message, vim.log.levels.ERROR, { title = 'pipelens' })
    end
  end
  if vim.fn.has('nvim-0.11') == 1 then
    client:request('workspace/executeCommand', params, answered)
  else
    client.request('workspace/executeCommand', params, answered)
  end
end

--- `:Pipelens run`, `step KEY`, `from KEY`, `cancel`, `log [KEY]`, `artifacts [KEY]`, `graph`, `rerun`, `shell [KEY]`, `watch [KEY]`, `stop [KEY]`,
--- `output`.
---@param arguments string[]
function M.command(arguments)
  local name, step = arguments[1], arguments[2]
  if name == 'output' then
    vim.cmd('botright sbuffer ' .. log_buf())
    return
  end
  local command = commands[name]
  if not command then
    local known = table.concat(M.complete(''), ', ')
    vim.notify(('pipelens: unknown subcommand `%s`; expected one of %s'):format(name, known), vim.log.levels.ERROR)
    return
  end
  local buf = vim.api.nvim_get_current_buf()
  local client = vim.lsp.get_clients({ bufnr = buf, name = 'pipelens' })[1] or vim.lsp.get_clients({ name = 'pipelens' })[1]
  if not client then
    vim.notify('pipelens: no pipeline is open', vim.log.levels.ERROR)
    return
  end
  local argument = nil
  if name == 'run' or name == 'step' or name == 'from' or name == 'graph' then
    argument = { uri = vim.uri_from_bufnr(buf), step = step }
  elseif name == 'watch' then
    -- Without a key, the server finds the step on the cursor's line.
    argument = { uri = vim.uri_from_bufnr(buf), step = step, line = vim.fn.line('.') - 1 }
  elseif step then
    argument = { step = step }
  end
  execute(client, command, argument)
end

---@param lead string
---@return string[]
function M.complete(lead)
  local names = vim.tbl_keys(commands)
  names[#names + 1] = 'output'
  table.sort(names)
  return vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, names)
end

return M
