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
  if vim.api.nvim_get_mode().mode ~= 'n' then
    notify(params.message, params.type)
  end
  when_idle(function()
    vim.ui.select(params.actions, {
      prompt = params.message,
      kind = 'pipelens',
      format_item = function(action)
        return action.title
      end,
    }, function(action)
      vim.schedule(function()
        coroutine.resume(asking, action or vim.NIL)
      end)
    end)
  end)
  return coroutine.yield()
end

return M
