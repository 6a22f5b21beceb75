;;; lsp-pipelens.el --- Client for pipelens -*- lexical-binding: t; -*-

;; In emacs-lsp/lsp-mode: `clients/lsp-pipelens.el`, without this line.

;;; Commentary:

;; Finds mistakes in CI pipelines, and runs them step by step: https://github.com/pipelens/pipelens

;;; Code:

(require 'lsp-mode)

(defgroup lsp-pipelens nil
  "Settings of the pipelens client."
  :group 'lsp-mode
  :link '(url-link "https://github.com/pipelens/pipelens"))

(defcustom lsp-pipelens-command '("pipelens" "lsp")
  "The command line of the server."
  :type '(repeat string)
  :group 'lsp-pipelens)

(lsp-register-client
 (make-lsp-client
  :new-connection (lsp-stdio-connection (lambda () lsp-pipelens-command))
  :major-modes '(yaml-mode yaml-ts-mode json-mode json-ts-mode)
  :server-id 'pipelens
  :add-on? t))

(lsp-consistency-check lsp-pipelens)

(provide 'lsp-pipelens)
;;; lsp-pipelens.el ends here
