//! The workbench of VS Code, in which the tests use the extension: code-server and what drives a browser, from npm.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::packages::{self, CHROMIUM};
use crate::tools;

/// The tests that need it.
const TESTS: &str = "editors::";
/// Browsers that can be driven.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Whether a call needs the workbench. It is large, so only a call that names these tests gets it.
pub(crate) fn is_wanted(filters: &[String]) -> bool {
    filters.iter().any(|filter| TESTS.contains(filter.as_str()) || filter.contains(TESTS))
}

/// Gets what is missing, and bundles the extension. Needs a network the first time.
pub(crate) fn prepare() -> Result<()> {
    if browser().is_none() {
        packages::unpack(&[CHROMIUM])?;
    }
    for program in ["npm", "node"] {
        if tools::find(program).is_none() {
            bail!("{program} is missing, which the extension's tests need");
        }
    }
    let folder = folder()?;
    if !folder.join("complete").exists() {
        println!("Getting the workbench of VS Code into {} (nothing is installed into the system)", folder.display());
        let script = tools::root().join("server/xtask/install/workbench.sh");
        tools::run_command(Command::new(script).arg(&folder))?;
    }
    let extension = tools::root().join("editors/vscode");
    let npm = |arguments: &[&str]| tools::run_command(Command::new("npm").args(arguments).current_dir(&extension));
    if !extension.join("node_modules").exists() {
        npm(&["ci", "--no-audit", "--no-fund"])?;
    }
    npm(&["run", "--silent", "bundle"])
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
    fn only_those_who_run_its_tests_get_the_workbench() {
        let wanted =
            |filters: &[&str]| is_wanted(&filters.iter().map(|filter| (*filter).to_owned()).collect::<Vec<_>>());
        assert!(wanted(&["editors"]) && wanted(&["nvim", "editors::a_person"]));
        assert!(!wanted(&[]) && !wanted(&["nvim"]) && !wanted(&["broken::"]));
    }
}
