//! Writes what is generated from the code. The tests compare, so a stale file fails them.

mod package;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tools;

pub(crate) fn codegen() -> Result<()> {
    for (file, arguments) in [
        ("schemas/pipeline.schema.json", &["schema"] as &[&str]),
        ("schemas/settings.schema.json", &["schema", "--settings"]),
        ("docs/pipeline.svg", &["graph", "pipeline.yml", "--format", "svg"]),
    ] {
        let output = Command::new("cargo")
            .args(["run", "--quiet", "--package", "pipelens", "--"])
            .args(arguments)
            .current_dir(tools::root())
            .output()?;
        if !output.status.success() {
            bail!("pipelens {arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let path = tools::root().join(file);
        fs::write(&path, output.stdout).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    write_manifest()?;
    // These need what only the tests know of the types.
    let mut tests = Command::new("cargo");
    tests.args(["test", "--quiet", "--package", "pipelens", "--bin", "pipelens", "typescript_types"]);
    tools::run_command(tests.current_dir(tools::root()).env("UPDATE_EXPECT", "1"))?;
    println!("wrote {}", tools::root().join("editors/vscode/src/protocol.ts").display());
    Ok(())
}

fn write_manifest() -> Result<()> {
    let path = tools::root().join("editors/vscode/package.json");
    let schema = serde_json::from_slice(&fs::read(tools::root().join("schemas/settings.schema.json"))?)?;
    let manifest = package::with_settings(&fs::read_to_string(&path)?, &schema)?;
    fs::write(&path, manifest).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
