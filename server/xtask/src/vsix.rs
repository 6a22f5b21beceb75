//! The extension as a file that VS Code installs, with the server for this machine inside.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{agent, codegen, tools};

/// What the extension's own code may take.
const MOST_BYTES: u64 = 1_000_000;

/// Builds the server and the extension, and packs both into `editors/vscode/dist/pipelens.vsix`.
pub(crate) fn vsix(with_kubernetes: bool) -> Result<()> {
    let target = target()?;
    let mut build = tools::cargo();
    build.args(["build", "--release", "--locked", "--package", "pipelens"]).current_dir(tools::root());
    if with_kubernetes {
        agent::agent()?;
        build.args(["--features", "kubernetes"]).env("PIPELENS_AGENT_FOLDER", agent::folder()?);
    }
    tools::run_command(&mut build)?;
    let folder = tools::root().join("editors/vscode");
    let program = tools::built("release")?;
    let name = program.file_name().context("a program has a name")?;
    let inside = folder.join("bin");
    fs::create_dir_all(&inside)?;
    fs::copy(&program, inside.join(name)).with_context(|| format!("cannot copy {}", program.display()))?;
    let npm = |arguments: &[&str]| tools::run_command(Command::new("npm").args(arguments).current_dir(&folder));
    if !folder.join("node_modules").exists() {
        npm(&["ci", "--no-audit", "--no-fund"])?;
    }
    npm(&["run", "--silent", "build"])?;
    let bytes = size_of_code(&folder.join("dist"))?;
    ensure!(bytes < MOST_BYTES, "the extension's own code takes {bytes} bytes, which is more than {MOST_BYTES}");
    let package = || npm(&["run", "--silent", "package", "--", "--target", target]);
    if with_kubernetes {
        with_schemas_of(&program, &folder, package)?
    } else {
        package()?
    }
    println!("The extension for {target} is {}", folder.join("dist/pipelens.vsix").display());
    Ok(())
}

/// Does something while the extension has the schemas of a program, which may know more than the default build.
fn with_schemas_of(program: &Path, extension: &Path, job: impl FnOnce() -> Result<()>) -> Result<()> {
    let schema = |of: &[&str]| {
        let output = Command::new(program).arg("schema").args(of).output().context("cannot start the server")?;
        ensure!(output.status.success(), "the server does not print its schemas");
        Ok(output.stdout)
    };
    fs::write(extension.join("dist/pipeline.schema.json"), schema(&[])?)?;
    let manifest = extension.join("package.json");
    let before = fs::read_to_string(&manifest)?;
    let settings = serde_json::from_slice(&schema(&["--settings"])?)?;
    fs::write(&manifest, codegen::manifest_with(&before, &settings)?)?;
    let done = job();
    fs::write(manifest, before)?;
    done
}

/// Returns how VS Code calls this machine's platform.
fn target() -> Result<&'static str> {
    let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    Ok(match (system, processor) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        ("windows", "x86_64") => "win32-x64",
        ("windows", "aarch64") => "win32-arm64",
        _ => anyhow::bail!("VS Code has no platform for {system} on {processor}"),
    })
}

/// Returns the bytes of what is packed from the folder with the bundles: not the maps for debugging.
fn size_of_code(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if [".js", ".json"].iter().any(|end| entry.file_name().to_string_lossy().ends_with(end)) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
