-- In neovim/nvim-lspconfig: `lsp/pipelens.lua`, without these lines.

---@brief
---
--- https://github.com/pipelens/pipelens
---
--- Finds mistakes in CI pipelines, and runs them step by step.
---
--- ```sh
--- cargo install --git https://github.com/pipelens/pipelens pipelens
--- ```

---@type vim.lsp.Config
return {
  cmd = { 'pipelens', 'lsp' },
  filetypes = { 'yaml', 'json', 'python', 'typescript' },
  -- Of the Python and TypeScript files, only programs that make pipelines are the server's.
  root_dir = function(bufnr, on_dir)
    local filetype = vim.bo[bufnr].filetype
    local folder = vim.fs.basename(vim.fs.dirname(vim.api.nvim_buf_get_name(bufnr)))
    local is_data = filetype ~= 'python' and filetype ~= 'typescript'
    if is_data or folder == '.hm' or folder == '.harmont' then
      on_dir(vim.fs.root(bufnr, { '.pipelens.yaml', '.git', '.hm' }))
    end
  end,
}
