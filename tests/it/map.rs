//! The code map in `server/ARCHITECTURE.md` names every module and every room of the language server, and nothing that does not exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One entry of the map: the paths it names, from the repository's root, and all of its words.
struct Entry {
    paths: Vec<PathBuf>,
    words: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads the map. An entry starts with paths and two spaces before its text; its lines below are indented further than the paths of any
/// entry. A crate's directory is in the first level, its `src` is implied in the second.
fn entries(map: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut folder = PathBuf::new();
    for line in map.lines() {
        let indent = line.len() - line.trim_start().len();
        let words = || line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).map(str::to_owned);
        if indent > 4 {
            entries.last_mut().unwrap().words.extend(words());
            continue;
        }
        let names = line.trim_start().split("  ").next().unwrap().split(' ').filter(|name| !name.is_empty());
        let base = match indent {
            0 => PathBuf::new(),
            2 => PathBuf::from("server"),
            _ => folder.clone(),
        };
        let paths: Vec<PathBuf> = names.map(|name| base.join(name)).collect();
        if indent == 2 {
            folder = paths[0].clone();
        }
        entries.push(Entry { paths, words: words().collect() });
    }
    entries
}

/// Returns where an entry of a crate's level is: below `src`, or beside it.
fn located(path: &Path) -> Option<PathBuf> {
    let mut parts = path.components();
    let crate_folder: PathBuf = parts.by_ref().take(2).collect();
    let in_sources = crate_folder.join("src").join(parts.as_path());
    [in_sources, path.to_owned()].into_iter().find(|path| root().join(path).exists())
}

/// Returns the files and folders of a folder that are modules.
fn modules(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn the_code_map_matches_the_tree() {
    let text = std::fs::read_to_string(root().join("server/ARCHITECTURE.md")).unwrap();
    let map = text.split("## Code map\n\n```\n").nth(1).unwrap().split("```").next().unwrap();
    let entries = entries(map);
    let named = entries.iter().flat_map(|entry| &entry.paths);
    let missing = named.filter(|path| located(path).is_none()).map(|path| format!("{} does not exist", path.display()));
    let mut wrong: Vec<String> = missing.collect();
    let sources = ["pipelens-core/src", "pipelens-engine/src", "pipelens/src", "pipelens/src/lsp"];
    let rooms = ["transport", "protocol", "findings", "session", "runs", "requests"];
    let rooms = rooms.map(|room| format!("pipelens/src/lsp/{room}"));
    for folder in sources.into_iter().chain(rooms.iter().map(String::as_str)) {
        let folder = root().join("server").join(folder);
        for module in modules(&folder) {
            let stem = module.file_stem().unwrap().to_str().unwrap();
            // By itself, or as a word of the entry of the folder it is in.
            let is_named = stem == "tests"
                || entries.iter().any(|entry| {
                    let paths: Vec<PathBuf> =
                        entry.paths.iter().filter_map(|path| located(path)).map(|path| root().join(path)).collect();
                    paths.contains(&module) || (entry.words.contains(stem) && paths.contains(&folder))
                });
            if !is_named {
                wrong.push(format!("{} is not in the map", module.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "server/ARCHITECTURE.md:\n{}", wrong.join("\n"));
}
