//! Paths of cache mounts: what tools keep to be faster the next time.

use std::collections::HashSet;

use super::cursor::Cursor;
use super::entry::{Completion, CompletionKind};
use super::written;
use crate::analysis::Analysis;
use crate::keys::{Key, Shape};

/// Folders in which tools keep what they have downloaded or built.
const KNOWN: &[(&str, &str)] = &[
    ("~/.cargo/registry", "Crates that cargo has downloaded."),
    ("~/.cargo/git", "Git repositories that cargo has downloaded."),
    ("target", "What cargo, Maven or sbt has built."),
    ("node_modules", "Packages that npm, pnpm or yarn has installed."),
    ("~/.npm", "Packages that npm has downloaded."),
    ("~/.cache/yarn", "Packages that yarn has downloaded."),
    ("~/.local/share/pnpm/store", "Packages that pnpm has downloaded."),
    (".venv", "A virtual environment of Python."),
    ("~/.cache/pip", "Packages that pip has downloaded."),
    ("~/.cache/uv", "Packages that uv has downloaded."),
    ("~/go/pkg/mod", "Modules that go has downloaded."),
    ("~/.cache/go-build", "What go has compiled."),
    ("~/.m2/repository", "Artifacts that Maven has downloaded."),
    ("~/.gradle/caches", "What Gradle has downloaded and built."),
    ("~/.cache/ccache", "What ccache has compiled."),
    ("build", "What CMake, Gradle or Meson has built."),
];

/// Returns the paths that other steps use, and those of well-known tools.
pub(super) fn paths(analysis: &Analysis, cursor: &Cursor<'_>, key: &Key) -> Vec<Completion> {
    let is_list = matches!(key.shape, Shape::List { .. });
    // A list that has not begun yet.
    let is_item = !is_list || cursor.is_list_value || cursor.is_list_entry && cursor.key.is_none();
    if !is_item && cursor.quote.is_some() {
        return Vec::new();
    }
    let written = analysis.all_steps().flat_map(|step| &step.cache_mounts).map(|mount| &mount.path);
    let written = written.filter(|path| !path.range.touches(cursor.offset)).map(|path| path.value.as_str());
    let mut seen = HashSet::new();
    let all = written.map(|path| (path, "Used in this file.")).chain(KNOWN.iter().copied());
    let new = all.filter(|(path, _)| seen.insert(*path));
    let entry = |(path, doc): (&str, &str)| {
        if is_item {
            return cursor.text_entry(path, CompletionKind::Value, doc);
        }
        let list = format!("[{}]", written::text(path, None, cursor.is_json));
        cursor.value_entry(path, list, CompletionKind::Value, doc)
    };
    new.map(entry).collect()
}
