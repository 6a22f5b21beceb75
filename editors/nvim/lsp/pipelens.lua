--- The client's configuration, as `vim.lsp.enable('pipelens')` finds it (Neovim 0.11 and later).
return require('pipelens').config()
