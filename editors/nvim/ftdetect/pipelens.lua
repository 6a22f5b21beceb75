-- The file names that the server recognises. For any other pipeline file: `:setfiletype yaml.pipelens`.
vim.filetype.add({
  pattern = {
    ['.*/pipeline%.ya?ml'] = 'yaml.pipelens',
    ['.*%.pipeline%.ya?ml'] = 'yaml.pipelens',
    ['.*/%.hm/.*%.ya?ml'] = 'yaml.pipelens',
    ['.*/%.pipelens%.yaml'] = 'yaml.pipelens',
    ['.*/pipeline%.json'] = 'json.pipelens',
    ['.*%.pipeline%.json'] = 'json.pipelens',
    ['.*/%.hm/.*%.json'] = 'json.pipelens',
  },
})
