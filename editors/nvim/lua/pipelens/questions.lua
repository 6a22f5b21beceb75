--- What the server tells and asks the user. Nothing here takes the keys that are being typed.
local M = {}

local levels = { vim.log.levels.ERROR, vim.log.levels.WARN, vim.log.levels.INFO, vim.log.levels.INFO }

--- Buttons that only lead somewhere: `:Pipelens` has a subcommand for each.
local links = { ['Open log'] = ':Pipelens log', ['Open artifacts'] = ':Pipelens artifacts' }

---@param message string
---@param type integer
local function notify(message, type)
  vim.notify(message, levels[type] or vim.log.levels.INFO, { title = 'pipelens' })
end

--- Returns the user's own settings for all editors.
---@return string
local function settings_file()
  local given = vim.env.PIPELENS_SETTINGS
  if given and given ~= '' then
    return given
  end
  local folder = vim.env.XDG_CONFIG_HOME or vim.fs.normalize('~/.config')
  if vim.fn.has('win32') == 1 then
    folder = vim.env.APPDATA or folder
  elseif vim.fn.has('mac') == 1 then
    folder = vim.fs.normalize('~/Library/Application Support')
  end
  return folder .. '/pipelens/settings.yaml'
end

---@param params lsp.ShowMessageParams
function M.show(params)
  notify(params.message, params.type)
end

--- Calls a function as soon as the user is in normal mode.
---@param call fun()
local function when_idle(call)
  if vim.api.nvim_get_mode().mode == 'n' then
    call()
    return
  end
  vim.api.nvim_create_autocmd('ModeChanged', {
    pattern = '*:n',
    once = true,
    callback = function()
      vim.schedule(function()
        when_idle(call)
      end)
    end,
  })
end

--- Lets the user choose one of the buttons of a message, when nothing is being typed. Until then, the message is told.
---@param message string
---@param type integer
---@param actions lsp.MessageActionItem[]
---@param chosen fun(action: lsp.MessageActionItem?)
local function choose(message, type, actions, chosen)
  if vim.api.nvim_get_mode().mode ~= 'n' then
    notify(message, type)
  end
  when_idle(function()
    vim.ui.select(actions, {
      prompt = message,
      kind = 'pipelens',
      format_item = function(action)
        return action.title
      end,
    }, chosen)
  end)
end

--- Shows a message with buttons. A question is asked when nothing is being typed; anything else is only told.
---@param params lsp.ShowMessageRequestParams
---@return lsp.MessageActionItem|userdata
function M.ask(params)
  local hints, is_question = {}, false
  for _, action in ipairs(params.actions or {}) do
    if links[action.title] then
      hints[#hints + 1] = links[action.title]
    else
      is_question = true
    end
  end
  if not is_question then
    notify(#hints == 0 and params.message or ('%s\n%s'):format(params.message, table.concat(hints, ', ')), params.type)
    return vim.NIL
  end
  local asking = coroutine.running()
  choose(params.message, params.type, params.actions, function(action)
    vim.schedule(function()
      coroutine.resume(asking, action or vim.NIL)
    end)
  end)
  return coroutine.yield()
end

--- What helps if the server refuses a command, by what its error says; each is the text of a button and what it does.
---@type table<string, { title: string, act: fun(client: vim.lsp.Client) }>
local helps = {
  trust = { title = 'Trust this workspace', act = function(client)
    require('pipelens.client').notify(client, 'pipelens/didChangeTrust', { trusted = true })
  end },
  setting = { title = 'Open settings', act = function()
    local file = settings_file()
    vim.fn.mkdir(vim.fs.dirname(file), 'p')
    vim.cmd.split(vim.fn.fnameescape(file))
  end },
}

--- Shows why the server refuses a command, with the button that helps, if there is one.
---@param client vim.lsp.Client
---@param error lsp.ResponseError
function M.refused(client, error)
  local message = 'pipelens: ' .. error.message
  local help = type(error.data) == 'table' and helps[error.data.help]
  if not help then
    notify(message, vim.lsp.protocol.MessageType.Error)
    return
  end
  choose(message, vim.lsp.protocol.MessageType.Error, { { title = help.title }, { title = 'Not now' } }, function(action)
    if action and action.title == help.title then
      help.act(client)
    end
  end)
end

return M
