--- `:checkhealth pipelens`
local M = {}

--- How long the server may take to start, and to ask the engines, in milliseconds.
local longest = 15000

--- Has a server of its own look for trouble: it gets the settings of this editor, and opens no report.
---@return { about: string, state: string, text: string }[]? facts
---@return string? why
local function examine()
  local config = require('pipelens').config()
  local answer, why, id
  local private = {
    name = 'pipelens-health',
    cmd = config.cmd,
    init_options = config.init_options,
    handlers = {
      ['window/showDocument'] = function()
        return { success = true }
      end,
      ['window/logMessage'] = function() end,
      ['window/showMessage'] = function() end,
    },
    on_init = function(client)
      local params = { command = 'pipelens.doctor', arguments = {} }
      require('pipelens.client').request(client, 'workspace/executeCommand', params, function(error, result)
        answer, why = result, error and error.message
      end)
    end,
    on_exit = function(code)
      why = why or ('it ended with exit code %d'):format(code)
    end,
  }
  if vim.fn.has('nvim-0.11') == 1 then
    id = vim.lsp.start(private, { attach = false, reuse_client = function()
      return false
    end })
  else
    id = vim.lsp.start_client(private)
  end
  vim.wait(longest, function()
    return answer ~= nil or why ~= nil
  end, 20)
  local client = id and vim.lsp.get_client_by_id(id)
  if client and vim.fn.has('nvim-0.11') == 1 then
    client:stop()
  elseif client then
    client.stop()
  end
  return answer and answer.facts, why or 'it took too long'
end

function M.check()
  vim.health.start('pipelens')
  if vim.fn.has('nvim-0.10') == 1 then
    vim.health.ok('Neovim ' .. tostring(vim.version()))
  else
    vim.health.error('Neovim 0.10 or later is required')
  end
  local program = require('pipelens').config().cmd[1]
  if vim.fn.executable(program) == 0 then
    local place = vim.g.pipelens_cmd and ('`%s` cannot be started'):format(program) or 'The binary `pipelens` is not on the PATH'
    vim.health.error(('%s; directories of the PATH inside the working directory are ignored'):format(place), {
      'Install the binary: `cargo install --path server/pipelens`',
      'Or set its path: `vim.g.pipelens_cmd = { "/path/to/pipelens", "lsp" }`',
    })
    return
  end
  vim.health.ok(('%s (%s)'):format(vim.trim(vim.fn.system({ program, '--version' })), program))
  local clients = vim.lsp.get_clients({ name = 'pipelens' })
  if #clients > 0 then
    vim.health.ok(('%d client attached'):format(#clients))
  else
    vim.health.info('No pipeline is open')
  end
  for _, client in ipairs(clients) do
    for buf in pairs(client.attached_buffers) do
      local path = vim.api.nvim_buf_get_name(buf)
      local others = vim.tbl_filter(function(other)
        return other.id ~= client.id
      end, vim.lsp.get_clients({ bufnr = buf }))
      if require('pipelens.files').is_program(path) and #others > 0 then
        local names = vim.tbl_map(function(other)
          return other.name
        end, others)
        vim.health.ok(('%s is a program, shared with %s'):format(path, table.concat(names, ', ')))
      elseif require('pipelens.files').is_program(path) then
        vim.health.ok(('%s is a program'):format(path))
      end
    end
  end
  vim.health.start('pipelens: where steps can run')
  local facts, why = examine()
  if not facts then
    vim.health.error(('`%s` does not answer: %s'):format(program, why))
  end
  for _, fact in ipairs(facts or {}) do
    local report = ({ good = vim.health.ok, note = vim.health.info, trouble = vim.health.error })[fact.state] or vim.health.warn
    report(('%s: %s'):format(fact.about, fact.text))
  end
end

return M
