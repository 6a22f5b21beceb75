//! Every test, with everything it needs.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::docker::Daemon;
use crate::tools;

/// The Neovims the plugin is driven in: the oldest that is supported, and the newest; each by the Debian suite that has it.
const NEOVIMS: [&str; 2] = ["trixie", "forky"];

/// What stands behind the ways to an engine and to an image: programs, and the Debian packages that have them.
const ENDPOINTS: [(&str, &str); 6] = [
    ("openssl", "openssl"),
    ("ssh", "openssh-client"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("podman", "podman"),
    ("catatonit", "catatonit"),
    ("docker-registry", "docker-registry"),
];

/// Runs every test, or those whose names contain a filter. The test runner's summary is the last thing printed.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    let neovims = neovims()?;
    tools::need(&ENDPOINTS.map(|(program, _)| program), &ENDPOINTS.map(|(_, package)| package))?;
    tools::need(&["strace", "git"], &["strace", "git"])?;
    tools::run("cargo", ["build", "--workspace", "--all-targets", "--locked"])?;
    let (daemon, host) = Daemon::given_or_private()?;
    let mut tests = Command::new("cargo");
    match tools::find("cargo-nextest") {
        Some(_) => tests.args(["nextest", "run", "--no-fail-fast"]).args(filters),
        None => tests.args(["test", "--no-fail-fast"]).args(filters.first()),
    };
    tests
        .args(["--workspace", "--locked"])
        .current_dir(tools::root())
        .env("PIPELENS_TEST_DOCKER_HOST", host)
        .env("PIPELENS_REQUIRE_DOCKER", "1")
        .env("PIPELENS_TEST_NVIM", env::join_paths(neovims)?)
        .env("PIPELENS_REQUIRE_NVIM", "1")
        .env("PIPELENS_REQUIRE_STRACE", "1");
    let status = tests.status().context("cannot start the tests")?;
    // Says nothing unless something is wrong, so that the summary stays last.
    drop(daemon);
    if !status.success() {
        bail!("tests failed");
    }
    Ok(())
}

fn neovims() -> Result<Vec<PathBuf>> {
    if let Some(given) = env::var_os("PIPELENS_TEST_NVIM") {
        return Ok(env::split_paths(&given).collect());
    }
    NEOVIMS.into_iter().map(neovim).collect()
}

/// Returns the Neovim of a Debian suite, unpacked below `target` if it is not there yet.
fn neovim(suite: &str) -> Result<PathBuf> {
    let folder = tools::folder().join(format!("nvim-{suite}"));
    let program = folder.join("nvim");
    if !program.exists() {
        tools::need(&["patchelf"], &["patchelf"])?;
        println!("unpacking the Neovim of Debian {suite} into {}", folder.display());
        let script = tools::root().join("server/xtask/install/neovim.sh");
        tools::run_command(Command::new(script).arg(suite).arg(&folder))?;
    }
    Ok(program)
}
