--- `:checkhealth pipelens`
local M = {}

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
  for line in vim.gsplit(vim.trim(vim.fn.system({ program, 'doctor' })), '\n') do
    vim.health.info(line)
  end
end

return M
