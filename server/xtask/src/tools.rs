//! Where things are, and how programs are found and run.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Folders that hold programs for administrators; an ordinary user's `PATH` may lack them.
const ADMINISTRATORS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Returns the repository's root.
pub(crate) fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// Returns cargo's target directory, wherever the environment or a configuration file puts it.
pub(crate) fn target() -> Result<PathBuf> {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    if let Some(target) = TARGET.get() {
        return Ok(target.clone());
    }
    let mut cargo = cargo();
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(root());
    let output = cargo.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(TARGET.get_or_init(|| PathBuf::from(target)).clone())
}

/// Returns where a program that cargo has built is: `pipelens` of `debug` or `release`.
pub(crate) fn built(profile: &str) -> Result<PathBuf> {
    Ok(target()?.join(profile).join(format!("pipelens{}", std::env::consts::EXE_SUFFIX)))
}

/// Builds with cargo, and returns the program of a target.
pub(crate) fn executable(target: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(arguments).arg("--message-format=json-render-diagnostics").current_dir(root());
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo cannot build `{target}`");
    let messages = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let programs = messages.map_while(Result::ok).filter(|message| message["target"]["name"] == target);
    let mut programs = programs.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next().with_context(|| format!("cargo has built no program `{target}`"))
}

/// Where tools go that the machine does not have: below the target directory, so that removing it removes them.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(target()?.join("tools"))
}

/// The folders of a home that programs write to, by the variables that name them.
pub(crate) const HOME_FOLDERS: [(&str, &str); 4] = [
    ("XDG_STATE_HOME", ".local/state"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_CACHE_HOME", ".cache"),
];

/// Returns the variables for programs that get another home folder, and find the user's cargo and rustup nevertheless.
pub(crate) fn environment_with_home(home: &Path) -> Vec<(&'static str, PathBuf)> {
    let folders = HOME_FOLDERS.map(|(variable, folder)| (variable, home.join(folder)));
    [("HOME", home.to_owned())].into_iter().chain(folders).chain(cargo_homes()).collect()
}

/// Returns where cargo and rustup have what they need, by the variables that name it.
pub(crate) fn cargo_homes() -> Vec<(&'static str, PathBuf)> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let homes = [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")].into_iter();
    let homes = homes.map(|(variable, default)| {
        (variable, std::env::var_os(variable).map_or_else(|| home.join(default), PathBuf::from))
    });
    homes.filter(|(_, folder)| folder.is_dir()).collect()
}

/// Returns a program's path, if it is on the `PATH` or where programs for administrators are.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).chain(ADMINISTRATORS.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// Returns a cargo that finds what another one has built.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    // What `cargo run` says of this package would make it build some crates again.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        cargo.env_remove(name);
    }
    cargo.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    cargo
}

/// Runs a program in the repository and fails with its name if it fails.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Result<()> {
    let mut command = if program == "cargo" { cargo() } else { Command::new(program) };
    run_command(command.args(arguments).current_dir(root()))
}

/// Runs a command and fails with its command line if it fails.
pub(crate) fn run_command(command: &mut Command) -> Result<()> {
    let words = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot start {words}"))?;
    if !status.success() {
        bail!("{words} failed: {status}");
    }
    Ok(())
}
