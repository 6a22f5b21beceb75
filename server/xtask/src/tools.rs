//! Programs from outside: found, or installed and said so, and run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Returns the repository's root.
pub(crate) fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// Where tools go that are not installed into the system: below `target`, so that cleaning takes them along.
pub(crate) fn folder() -> PathBuf {
    root().join("target/tools")
}

/// Returns a program's path, if it is on the PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// Runs a program in the repository and fails with its name if it fails.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Result<()> {
    run_command(Command::new(program).args(arguments).current_dir(root()))
}

/// Runs a command and fails with its words if it fails.
pub(crate) fn run_command(command: &mut Command) -> Result<()> {
    let words = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot start {words}"))?;
    if !status.success() {
        bail!("{words} failed: {status}");
    }
    Ok(())
}

/// Makes sure programs are there, from Debian's packages where this machine has them.
pub(crate) fn need(programs: &[&str], packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    if find("apt-get").is_none() {
        bail!("{missing} is missing and this system has no apt-get; install it with the system's own means");
    }
    println!("{missing} is missing: installing {} with apt-get", packages.join(" "));
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    run_command(apt.args(["update", "-qq"]).stdout(std::process::Stdio::null()))?;
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.args(["install", "-qq", "-y", "--no-install-recommends"]).args(packages);
    run_command(apt.stdout(std::process::Stdio::null()))
        .with_context(|| format!("cannot install {missing}; as another user than root, install it first"))
}
