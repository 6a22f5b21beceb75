//! The workbench of VS Code, in which the tests use the extension: code-server and what drives a browser, from npm.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::packages::{self, CHROMIUM};
use crate::tools;

/// The tests that need it.
pub(crate) const TESTS: &str = "editors::";
/// Browsers that can be driven.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// In seconds. It takes about one minute.
const LONGEST_DOWNLOAD: &str = "400";

/// Whether a call cannot do without the workbench.
pub(crate) fn is_wanted(filters: &[String]) -> bool {
    filters.iter().any(|filter| TESTS.contains(filter.as_str()) || filter.contains(TESTS))
}

/// Gets what is missing, and bundles the extension. Needs a network the first time.
pub(crate) fn prepare() -> Result<()> {
    if browser().is_none() {
        if !packages::can_unpack() {
            bail!("there is no browser, and no apt-get to get one with");
        }
        packages::unpack(&[CHROMIUM])?;
    }
    for program in ["npm", "node"] {
        if tools::find(program).is_none() {
            bail!("{program} is missing");
        }
    }
    let folder = folder()?;
    if !folder.join("complete").exists() {
        println!("Getting the workbench of VS Code into {} (nothing is installed into the system)", folder.display());
        let script = tools::root().join("server/xtask/install/workbench.sh");
        let fetched = download(Command::new("timeout").arg(LONGEST_DOWNLOAD).arg(script).arg(&folder));
        fetched.context("the workbench cannot be downloaded")?;
    }
    if let Err(error) = pytest(&folder) {
        println!("There is no pytest, so what needs it is skipped: {error:#}");
    }
    let extension = tools::root().join("editors/vscode");
    if !extension.join("node_modules").exists() {
        let install = ["npm", "ci", "--no-audit", "--no-fund"];
        let installed = download(Command::new("timeout").arg(LONGEST_DOWNLOAD).args(install).current_dir(&extension));
        installed.context("what builds the extension cannot be downloaded")?;
    }
    tools::run_command(Command::new("npm").args(["run", "--silent", "bundle"]).current_dir(&extension))
}

/// Runs what downloads from npm. A network that does not answer is found out soon.
fn download(command: &mut Command) -> Result<()> {
    tools::run_command(command.env("npm_config_fetch_timeout", "60000").env("npm_config_fetch_retries", "1"))
}

/// Makes sure that there is a pytest which works in any home folder: the machine's, or one beside the workbench.
fn pytest(folder: &Path) -> Result<()> {
    let own = folder.join("bin/pytest");
    let works = |program: &Path| {
        let version = Command::new(program).arg("--version").env("HOME", "/nonexistent").output();
        version.is_ok_and(|output| output.status.success())
    };
    if tools::find("pytest").is_some_and(|program| works(&program)) || works(&own) {
        return Ok(());
    }
    // Not what finds the interpreter, which may depend on the home folder.
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let interpreter = String::from_utf8(asked.context("cannot start python3")?.stdout)?.trim().to_owned();
    let modules = folder.join("python");
    println!("Getting pytest into {}", modules.display());
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
    let mut pip = Command::new("timeout");
    pip.arg(LONGEST_DOWNLOAD)
        .arg(&interpreter)
        .args(quiet)
        .arg("--upgrade")
        .arg("--target")
        .arg(&modules)
        .arg("pytest");
    tools::run_command(&mut pip)?;
    fs::create_dir_all(folder.join("bin"))?;
    let script = format!("#!/bin/sh\nPYTHONPATH='{}' exec '{interpreter}' -m pytest \"$@\"\n", modules.display());
    fs::write(&own, script)?;
    tools::run("chmod", [OsStr::new("+x"), own.as_os_str()])?;
    if !works(&own) {
        bail!("{} does not work", own.display());
    }
    Ok(())
}

/// Returns the variables by which the tests find everything.
pub(crate) fn environment() -> Result<[(&'static str, OsString); 3]> {
    let browser = browser().context("there is no browser")?;
    Ok([
        ("PIPELENS_TEST_WORKBENCH", folder()?.into_os_string()),
        ("PIPELENS_TEST_BROWSER", browser.into_os_string()),
        ("PIPELENS_REQUIRE_WORKBENCH", "1".into()),
    ])
}

fn folder() -> Result<PathBuf> {
    Ok(tools::folder()?.join("workbench"))
}

fn browser() -> Option<PathBuf> {
    BROWSERS.into_iter().find_map(tools::find).or_else(|| packages::locate(CHROMIUM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_name_its_tests_need_the_workbench() {
        let wanted =
            |filters: &[&str]| is_wanted(&filters.iter().map(|filter| (*filter).to_owned()).collect::<Vec<_>>());
        assert!(wanted(&["editors"]) && wanted(&["nvim", "editors::a_person"]));
        assert!(!wanted(&[]) && !wanted(&["nvim"]) && !wanted(&["broken::"]));
    }
}
