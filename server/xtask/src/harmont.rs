//! The Harmont SDKs, with which programs make pipelines: the one for Python, and the one for TypeScript with the runtimes it is used in. Also the
//! language server for Python that works on the same programs.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::tools;

const VERSION: &str = "0.0.9";
const OLD_VERSION: &str = "0.0.6";

/// What runs TypeScript, and what bundles the SDK for it.
const NPM_PACKAGES: [&str; 5] = ["bun@1.4.5", "deno@2.9.6", "esbuild@0.28.2", "node@22.23.3", "tsx@4.23.15"];

/// The language server for Python.
const BASEDPYRIGHT: &str = "basedpyright@1.40.1";

/// One thing to install.
struct Tool {
    name: &'static str,
    /// Its folder below that of the tools.
    folder: &'static str,
    script: &'static str,
    arguments: Vec<&'static str>,
    /// Tells the tests where it is: the folder, or a file in it.
    variable: &'static str,
    file: Option<&'static str>,
}

fn all() -> [Tool; 4] {
    let python = |name, folder, version, variable| Tool {
        name,
        folder,
        script: "harmont.sh",
        arguments: vec![version],
        variable,
        file: Some("bin/python"),
    };
    [
        python("the Harmont SDK", "harmont", VERSION, "PIPELENS_TEST_HARMONT"),
        python("an old Harmont SDK", "harmont-old", OLD_VERSION, "PIPELENS_TEST_HARMONT_OLD"),
        Tool {
            name: "the Harmont SDK for TypeScript",
            folder: "harmont-ts",
            script: "harmont-ts.sh",
            arguments: [VERSION].into_iter().chain(NPM_PACKAGES).collect(),
            variable: "PIPELENS_TEST_HARMONT_TS",
            file: None,
        },
        Tool {
            name: "basedpyright",
            folder: "basedpyright",
            script: "npm.sh",
            arguments: vec![BASEDPYRIGHT],
            variable: "PIPELENS_TEST_BASEDPYRIGHT",
            file: Some("node_modules/.bin/basedpyright-langserver"),
        },
    ]
}

/// Installs what is missing below the target directory, which needs a network the first time. Says what cannot be had, and returns it.
pub(crate) fn prepare() -> Result<Vec<&'static str>> {
    let mut missing = Vec::new();
    for tool in all() {
        if tool.is_given() || tool.is_complete()? {
            continue;
        }
        if let Err(error) = tool.install() {
            println!("Missing: {} ({error:#}). The tests that need it are left out", tool.name);
            missing.push(tool.name);
        }
    }
    Ok(missing)
}

/// Returns the variables by which the tests find what is installed, unless the caller has named something else.
pub(crate) fn environment() -> Result<Vec<(&'static str, OsString)>> {
    let mut variables = Vec::new();
    for tool in all() {
        if !tool.is_given()
            && let Some(place) = tool.installed()?
        {
            variables.push((tool.variable, place.into_os_string()));
        }
    }
    Ok(variables)
}

/// Returns the Python that has the SDK, if there is one.
pub(crate) fn python() -> Result<Option<PathBuf>> {
    let [python, ..] = all();
    if python.is_given() {
        return Ok(std::env::var_os(python.variable).map(PathBuf::from));
    }
    python.installed()
}

impl Tool {
    fn is_given(&self) -> bool {
        std::env::var_os(self.variable).is_some_and(|given| !given.is_empty())
    }

    fn path(&self) -> Result<PathBuf> {
        Ok(tools::folder()?.join(self.folder))
    }

    /// Returns what its variable names, if it was installed here.
    fn installed(&self) -> Result<Option<PathBuf>> {
        let folder = self.path()?;
        Ok(self.is_complete()?.then(|| self.file.map_or(folder.clone(), |file| folder.join(file))))
    }

    /// The file says what was installed, so that other versions are installed anew.
    fn is_complete(&self) -> Result<bool> {
        let installed = fs::read_to_string(self.path()?.join("complete")).unwrap_or_default();
        Ok(installed == self.arguments.join(" "))
    }

    fn install(&self) -> Result<()> {
        let folder = self.path()?;
        println!("Getting {} into {} (nothing is installed into the system)", self.name, folder.display());
        fs::create_dir_all(tools::folder()?)?;
        let script = tools::root().join("server/xtask/install").join(self.script);
        tools::run_command(Command::new(script).arg(&folder).args(&self.arguments))?;
        fs::write(folder.join("complete"), self.arguments.join(" ")).context("cannot say that it is installed")
    }
}
