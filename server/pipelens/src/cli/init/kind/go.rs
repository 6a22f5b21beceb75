//! Go: a module, or a workspace of several.

use std::path::Path;

use super::step::{Kind, Part};
use crate::cli::init::project::{Folder, shell_word, slashes};
use crate::cli::init::versions;

pub(super) fn detect(folder: Folder<'_>) -> Option<Kind> {
    let (name, file, patterns) = if let Some(workspace) = folder.text("go.work") {
        let patterns = members(&workspace).into_iter().map(|member| {
            let member = member.trim_start_matches("./").trim_end_matches('/');
            if member.is_empty() || member == "." { "./...".to_owned() } else { shell_word(&format!("./{member}/...")) }
        });
        ("a Go workspace", workspace.clone(), patterns.collect::<Vec<_>>().join(" "))
    } else {
        ("a Go module", folder.text("go.mod")?, "./...".to_owned())
    };
    let directive = |name: &str| file.lines().find_map(|line| versions::plain(line.trim().strip_prefix(name)?));
    let version = directive("toolchain go").or_else(|| directive("go ")).unwrap_or_else(|| "1.25".to_owned());
    let manifests: &[&str] = if folder.has("go.work") {
        &["go.work", "go.work.sum", "**/go.mod", "**/go.sum"]
    } else {
        &["go.mod", "go.sum"]
    };
    let is_there = |file: &&&str| file.contains('*') || folder.has(file);
    let has_sums = folder.files().any(|file| file.ends_with("go.sum"));
    let cached_by = manifests.iter().filter(is_there).filter(|file| has_sums || !file.contains("go.sum"));
    let deps = Part::root("deps", format!("golang:{version}"), vec!["go mod download".to_owned()])
        .cached_by(cached_by.map(|file| (*file).to_owned()).collect());
    let steps = [
        Part::then("build", "deps", format!("go build {patterns}")),
        Part::then("test", "build", format!("go test {patterns}")),
        Part::then("vet", "build", format!("go vet {patterns}")),
    ];
    let parts = [deps].into_iter().chain(steps.map(|step| step.mounts(&["~/.cache/go-build"]))).collect();
    Some(Kind::new(name, folder, parts))
}

pub(super) fn covers(folder: Folder<'_>, below: &Path) -> bool {
    let Some(workspace) = folder.text("go.work") else { return false };
    let below = slashes(below);
    members(&workspace).iter().any(|member| member.trim_start_matches("./").trim_end_matches('/') == below)
}

/// Returns the modules a workspace uses, in either notation: `use ./a`, `use ( ./a ./b )`.
fn members(workspace: &str) -> Vec<&str> {
    let mut is_open = false;
    let mut members = Vec::new();
    for line in workspace.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let rest = match line.strip_prefix("use") {
            Some(rest) if rest.starts_with([' ', '\t', '(']) => rest.trim(),
            _ if is_open => line,
            _ => continue,
        };
        is_open = (is_open || rest.starts_with('(')) && !rest.ends_with(')');
        members.extend(rest.trim_matches(['(', ')']).split_whitespace().map(|member| member.trim_matches('"')));
    }
    members
}
