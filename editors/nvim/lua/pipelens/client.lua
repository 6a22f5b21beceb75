--- The language client: its configuration, and what happens when a pipeline is opened.
local M = {}

local files = require('pipelens.files')

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

--- Lenses that are drawn are drawn again. Neovim 0.12 does so by itself.
---@param client_id integer
local function refresh_lenses(client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  if vim.fn.has('nvim-0.12') == 1 or vim.g.pipelens_lenses == false or not client then
    return
  end
  for buf in pairs(client.attached_buffers) do
    vim.lsp.codelens.refresh({ bufnr = buf })
  end
end

---@type table<string, lsp.Handler>
local handlers = {
  ['pipelens/runEvent'] = function(_, event)
    require('pipelens.runs').receive(event)
  end,
  ['window/logMessage'] = function(_, params)
    require('pipelens.output').append(params.message)
    return vim.NIL
  end,
  ['window/showMessage'] = function(_, params)
    require('pipelens.questions').show(params)
    return vim.NIL
  end,
  ['window/showMessageRequest'] = function(_, params)
    return require('pipelens.questions').ask(params)
  end,
}
if vim.fn.has('nvim-0.12') == 0 then
  -- Older versions answer this request with an error.
  handlers['workspace/codeLens/refresh'] = function(_, _, context)
    refresh_lenses(context.client_id)
    return vim.NIL
  end
end

--- Returns the client's configuration. `vim.g.pipelens_cmd` and `vim.g.pipelens_settings` change it.
---@return vim.lsp.ClientConfig
function M.config()
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.workspace.codeLens = { refreshSupport = true }
  capabilities.experimental = { pipelensRunEvents = true }
  -- The output comes with the run events.
  local settings = vim.tbl_deep_extend('force', { run = { logMessages = false } }, vim.g.pipelens_settings or {})
  return {
    name = 'pipelens',
    -- If the binary is not found, use a path that does not exist, so that Neovim reports that it cannot be started.
    cmd = vim.g.pipelens_cmd or { M.find() or '/nonexistent/pipelens', 'lsp' },
    filetypes = files.filetypes(),
    root_markers = files.markers,
    -- Without a call there is no client: other Python and TypeScript files are left to other servers.
    root_dir = function(buf, found)
      if files.is_ours(buf) then
        found(files.root(buf))
      end
    end,
    capabilities = capabilities,
    handlers = handlers,
    init_options = settings,
    -- Lenses and code actions go the way of `:Pipelens`, so that a refusal has its button.
    on_init = function(client)
      local offered = client.server_capabilities.executeCommandProvider or {}
      for _, name in ipairs(offered.commands or {}) do
        client.commands[name] = function(command)
          require('pipelens.command').click(command)
        end
      end
    end,
    on_exit = function(code, signal, client_id)
      vim.schedule(function()
        M.ended(client_id, code, signal)
      end)
    end,
  }
end

--- Whether the server can be started; if not, says why, once.
---@return boolean
local function is_installed()
  local program = M.config().cmd
  if type(program) ~= 'table' or vim.fn.executable(program[1]) == 1 then
    return true
  end
  local place = vim.g.pipelens_cmd and ('`%s` cannot be started'):format(program[1]) or '`pipelens` is not on the PATH'
  vim.notify_once(('pipelens: %s. `:checkhealth pipelens` says what to do.'):format(place), vim.log.levels.ERROR)
  return false
end

--- Starts a server for the project of a buffer, or attaches the buffer to the one that runs.
---@param config vim.lsp.ClientConfig
---@param buf integer
local function start_for(config, buf)
  config.root_dir = files.root(buf)
  -- By itself, Neovim 0.10 reuses no client without a root.
  local is_same = not vim.lsp.enable and function(client, wanted)
    return client.name == wanted.name and client.config.root_dir == wanted.root_dir and not client.rpc.is_closing()
  end
  vim.lsp.start(config, { bufnr = buf, reuse_client = is_same or nil })
end

--- Starts the client for a buffer, or attaches it to the one that runs.
---@param buf integer
function M.start(buf)
  if not is_installed() then
    return
  end
  if not vim.lsp.enable then
    start_for(M.config(), buf)
    return
  end
  if vim.lsp.is_enabled and vim.lsp.is_enabled('pipelens') then
    return
  end
  vim.lsp.enable('pipelens')
  -- While Neovim starts, buffers that are there already are not attached by themselves.
  if vim.v.vim_did_enter == 0 then
    vim.cmd.doautoall('nvim.lsp.enable FileType')
  end
end

--- The buffers of each client, and when a server was started again, in milliseconds of `vim.uv.now()`.
---@type table<integer, table<integer, true>>
local buffers = {}
---@type integer[]
local restarts = {}

--- A server that keeps ending is not started again more often than this.
local max_restarts, restart_period = 3, 180000

--- Starts the server again after it has ended, unless the user or Neovim stopped it.
---@param client_id integer
---@param code integer
---@param signal integer
function M.ended(client_id, code, signal)
  local was_running = require('pipelens.runs').lost()
  local left = vim.tbl_filter(vim.api.nvim_buf_is_loaded, vim.tbl_keys(buffers[client_id] or {}))
  buffers[client_id] = nil
  local is_wanted = (code == 0 and signal == 0) or signal == 15
  if (is_wanted and not was_running) or vim.v.exiting ~= vim.NIL then
    return
  end
  local how = signal ~= 0 and ('signal %d'):format(signal) or ('exit code %d'):format(code)
  local what = ('pipelens: the server ended%s (%s)'):format(was_running and ' during a run' or '', how)
  restarts = vim.tbl_filter(function(time)
    return vim.uv.now() - time < restart_period
  end, restarts)
  if is_wanted or #left == 0 then
    vim.notify(what .. '.', vim.log.levels.ERROR)
  elseif #restarts >= max_restarts then
    vim.notify(what .. ' again, and is not started any more. `:edit` starts it.', vim.log.levels.ERROR)
  else
    restarts[#restarts + 1] = vim.uv.now()
    vim.notify(what .. ' and is started again.', vim.log.levels.ERROR)
    for _, buf in ipairs(left) do
      start_for(vim.deepcopy(vim.lsp.config and vim.lsp.config.pipelens or M.config()), buf)
    end
  end
end

--- Draws the lenses of a buffer, unless `vim.g.pipelens_lenses` is `false`.
---@param client vim.lsp.Client
---@param buf integer
local function lenses(client, buf)
  if vim.g.pipelens_lenses == false then
    return
  end
  if vim.fn.has('nvim-0.12') == 1 then
    vim.lsp.codelens.enable(true, { bufnr = buf })
    return
  end
  vim.lsp.codelens.refresh({ bufnr = buf })
  vim.api.nvim_create_autocmd({ 'TextChanged', 'InsertLeave', 'BufEnter' }, {
    group = vim.api.nvim_create_augroup('pipelens.lenses.' .. buf, {}),
    buffer = buf,
    callback = function()
      if vim.lsp.get_client_by_id(client.id) then
        vim.lsp.codelens.refresh({ bufnr = buf })
      end
    end,
  })
end

---@param client vim.lsp.Client
---@param buf integer
function M.attached(client, buf)
  buffers[client.id] = buffers[client.id] or {}
  buffers[client.id][buf] = true
  lenses(client, buf)
  -- It listens from now on.
  require('pipelens.output')
  require('pipelens.marks').attached(buf)
end

--- Returns the client of a buffer, or the only one there is.
---@param buf integer
---@return vim.lsp.Client?
function M.of(buf)
  local clients = vim.lsp.get_clients({ bufnr = buf, name = 'pipelens' })
  return clients[1] or vim.lsp.get_clients({ name = 'pipelens' })[1]
end

--- Sends a request.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param answered fun(error: lsp.ResponseError?, result: any)
function M.request(client, method, params, answered)
  if vim.fn.has('nvim-0.11') == 1 then
    client:request(method, params, answered)
  else
    client.request(method, params, answered)
  end
end

--- Sends a notification.
---@param client vim.lsp.Client
---@param method string
---@param params table
function M.notify(client, method, params)
  if vim.fn.has('nvim-0.11') == 1 then
    client:notify(method, params)
  else
    client.notify(method, params)
  end
end

--- Sends a request, and waits at most a quarter of a second for the answer.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param buf integer
---@return any
function M.request_now(client, method, params, buf)
  local answer
  if vim.fn.has('nvim-0.11') == 1 then
    answer = client:request_sync(method, params, 250, buf)
  else
    answer = client.request_sync(method, params, 250, buf)
  end
  return answer and answer.result
end

return M
