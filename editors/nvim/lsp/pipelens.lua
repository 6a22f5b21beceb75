--- The client's configuration, which `vim.lsp.enable('pipelens')` loads (Neovim 0.11 and later).
return require('pipelens.client').config()
