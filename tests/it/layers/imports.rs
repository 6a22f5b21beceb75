//! Which file of a crate imports which: read from `use` items and from paths in code. `mod child;` alone is no import; a re-export is one.
//! Test modules do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The files of a crate by module path, and for each the module paths it imports from.
pub(super) type Imports = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// Reads a crate's `src` folder. The root module has the empty path.
pub(super) fn read(src: &Path) -> Imports {
    let files = files(src);
    let modules: BTreeSet<Vec<String>> = files.iter().map(|file| module_of(src, file)).collect();
    let imports = files.iter().map(|file| {
        let module = module_of(src, file);
        let text = std::fs::read_to_string(file).unwrap();
        let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut reader = Reader { modules: &modules, inside: module.clone(), found: BTreeSet::new() };
        reader.visit_file(&syntax);
        reader.found.remove(&module);
        (module, reader.found)
    });
    imports.collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| match path.extension() {
        _ if path.is_dir() => files(&path),
        Some(extension) if extension == "rs" && path.file_name().is_some_and(|name| name != "tests.rs") => vec![path],
        _ => Vec::new(),
    });
    found.collect()
}

fn module_of(src: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(src).unwrap().with_extension("");
    let mut names: Vec<String> = relative.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

struct Reader<'a> {
    modules: &'a BTreeSet<Vec<String>>,
    /// The module that is being read, which may be one inside a file.
    inside: Vec<String>,
    found: BTreeSet<Vec<String>>,
}

impl Reader<'_> {
    /// Notes the file that a path leads to, if it is one of the crate's.
    fn note(&mut self, path: &[String]) {
        let mut absolute = self.inside.clone();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => {
                absolute.clear();
                rest = &path[1..];
            }
            Some("self" | "super") => {
                while let Some((first, more)) =
                    rest.split_first().filter(|(first, _)| *first == "super" || *first == "self")
                {
                    if first == "super" {
                        absolute.pop();
                    }
                    rest = more;
                }
            }
            Some(first) => {
                let child: Vec<String> = absolute.iter().cloned().chain([first.to_owned()]).collect();
                if path.len() < 2 || !self.modules.contains(&child) {
                    return;
                }
            }
            None => return,
        }
        absolute.extend(rest.iter().cloned());
        while !self.modules.contains(&absolute) {
            absolute.pop();
        }
        self.found.insert(absolute);
    }

    fn note_tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<String>>();
        match tree {
            syn::UseTree::Path(path) => self.note_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) if name.ident == "self" => self.note(before),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.note(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.note_tree(item, before)),
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg")
            && list.tokens.to_string().split(|letter: char| !letter.is_alphanumeric()).any(|word| word == "test")
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inside.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&names);
        visit::visit_path(self, path);
    }

    /// `pub(in crate::x)` is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// Returns groups of files that import each other, directly or through others.
pub(super) fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reach: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> =
        imports.keys().map(|module| (module, reachable(imports, module))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for (module, reached) in &reach {
        if !reached.contains(module) {
            continue;
        }
        let circle = reached.iter().filter(|other| reach[**other].contains(*module));
        let names: Vec<String> = circle.map(|module| name(module)).collect();
        if !circles.contains(&names) {
            circles.push(names);
        }
    }
    circles
}

fn reachable<'a>(imports: &'a Imports, from: &Vec<String>) -> BTreeSet<&'a Vec<String>> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&Vec<String>> = imports[from].iter().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(&imports[module]);
        }
    }
    reached
}

/// Returns a module as a path in code: `lsp::routes`, or `(root)`.
pub(super) fn name(module: &[String]) -> String {
    if module.is_empty() { "(root)".to_owned() } else { module.join("::") }
}
