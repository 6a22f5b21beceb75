//! What is checked without running anything.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{packages, sandbox, tools};

pub(crate) fn lint() -> Result<()> {
    tools::run("cargo", ["fmt", "--all", "--check"])?;
    tools::run("cargo", ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    // The default features leave the runner for clusters out.
    let with_clusters =
        ["clippy", "--package", "pipelens-engine", "--features", "kubernetes", "--all-targets", "--locked"];
    tools::run("cargo", with_clusters.iter().chain(&["--", "-D", "warnings"]))?;
    deny()?;
    plugin()?;
    extension()
}

/// The Neovim plugin. A linter that was unpacked finds its libraries only in a sandbox.
fn plugin() -> Result<()> {
    let arguments = ["--quiet", "editors/nvim", "tests/it/nvim.lua"];
    if tools::find("luacheck").is_some() {
        return tools::run("luacheck", arguments);
    }
    sandbox::prepare(&[packages::LUACHECK, packages::BUSYBOX]).context("luacheck is missing")?;
    sandbox::run_program(&["luacheck"].into_iter().chain(arguments).map(OsString::from).collect::<Vec<_>>())
}

/// Licences, bans and sources. Advisories need a database from the network, so they are asked for where there is one.
fn deny() -> Result<()> {
    let own = tools::folder()?.join("bin/cargo-deny");
    let program = match tools::find("cargo-deny") {
        Some(program) => program,
        None if own.exists() => own,
        None => {
            println!("cargo-deny is missing: building it into {}", tools::folder()?.display());
            let root = tools::folder()?.display().to_string();
            tools::run("cargo", ["install", "--quiet", "--locked", "--debug", "--root", &root, "cargo-deny"])?;
            own
        }
    };
    let mut deny = Command::new(program);
    tools::run_command(deny.args(["check", "bans", "licenses", "sources"]).current_dir(tools::root()))
}

/// The extension: its types, its linter, its own tests.
fn extension() -> Result<()> {
    let folder = tools::root().join("editors/vscode");
    let npm = |arguments: &[&str]| tools::run_command(Command::new("npm").args(arguments).current_dir(&folder));
    npm(&["ci", "--no-audit", "--no-fund"])?;
    npm(&["run", "--silent", "lint"])?;
    npm(&["run", "--silent", "test"])?;
    npm(&["run", "--silent", "build"])?;
    npm(&["run", "--silent", "package"])
}
