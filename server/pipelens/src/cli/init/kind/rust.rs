//! Rust, built by Cargo.

use std::path::Path;

use super::step::{Kind, Part};
use crate::cli::init::project::{Folder, slashes};
use crate::cli::init::versions;

const NEWEST: &str = "1.95";

pub(super) fn detect(folder: Folder<'_>) -> Option<Kind> {
    let manifest = folder.toml("Cargo.toml")?;
    let workspace = manifest.get("workspace");
    let version = toolchain(folder).or_else(|| {
        let packages = [manifest.get("package"), workspace.and_then(|workspace| workspace.get("package"))];
        let mut versions = packages.into_iter().flatten().filter_map(|package| package.get("rust-version")?.as_str());
        versions.find_map(versions::plain)
    });
    let image = format!("rust:{}", version.as_deref().unwrap_or(NEWEST));
    let locked = if folder.has("Cargo.lock") { " --locked" } else { "" };
    let workspace = if workspace.is_some() { " --workspace" } else { "" };
    let clippy = format!("cargo clippy{workspace} --all-targets{locked} -- -D warnings");
    // Beside `build`, not after it: cargo itself lets one wait for the other, and the line needs no second container.
    let mut lint = Part::then("lint", "deps", "cargo clippy --version || rustup component add clippy").soft();
    lint.commands.push(clippy);
    let manifests = if workspace.is_empty() { "Cargo.toml" } else { "**/Cargo.toml" };
    let mut cached_by = vec![manifests.to_owned()];
    cached_by.extend(
        ["Cargo.lock", "rust-toolchain.toml", "rust-toolchain"]
            .into_iter()
            .filter(|file| folder.has(file))
            .map(str::to_owned),
    );
    let deps = Part::root("deps", image, vec![format!("cargo fetch{locked}")]).cached_by(cached_by);
    let steps = [
        Part::then("build", "deps", format!("cargo build{workspace} --all-targets{locked}")),
        Part::then("test", "build", format!("cargo test{workspace}{locked}")),
        lint,
    ];
    let parts = [deps].into_iter().chain(steps.map(|step| step.mounts(&["target"]))).collect();
    Some(Kind::new("a Cargo project", folder, parts))
}

/// A workspace builds all packages below it, apart from those it excludes.
pub(super) fn covers(folder: Folder<'_>, below: &Path) -> bool {
    let Some(manifest) = folder.toml("Cargo.toml") else { return false };
    let Some(workspace) = manifest.get("workspace") else { return false };
    let excluded = workspace.get("exclude").and_then(toml::Value::as_array);
    let mut excluded = excluded.into_iter().flatten().filter_map(toml::Value::as_str);
    !excluded.any(|path| Path::new(&slashes(below)).starts_with(path.trim_start_matches("./")))
}

/// Returns the version that the project asks rustup for. A channel is no version: rustup installs it in any image.
fn toolchain(folder: Folder<'_>) -> Option<String> {
    let channel = match folder.toml("rust-toolchain.toml") {
        Some(file) => file.get("toolchain")?.get("channel")?.as_str()?.to_owned(),
        None => {
            let text = folder.text("rust-toolchain")?;
            let table = text.parse::<toml::Table>().ok();
            let channel = table.as_ref().and_then(|table| table.get("toolchain")?.get("channel")?.as_str());
            channel.unwrap_or(text.trim()).to_owned()
        }
    };
    versions::plain(&channel)
}
