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
  filetypes = { 'yaml', 'json' },
  root_markers = { '.pipelens.yaml', '.git', '.hm' },
}
