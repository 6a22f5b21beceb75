//! Writes what is generated from the code. The tests compare, so a stale file fails them.

mod package;

pub(crate) use package::with_settings as manifest_with;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::tools;

pub(crate) fn codegen() -> Result<()> {
    for (file, arguments) in [
        ("schemas/pipeline.schema.json", &["schema"] as &[&str]),
        ("schemas/settings.schema.json", &["schema", "--settings"]),
        ("docs/pipeline.svg", &["graph", "pipeline.yml", "--format", "svg"]),
    ] {
        let output = tools::cargo()
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
    // The tests that check these pages write them, too: only they know the types.
    for (package, target) in [("pipelens", ["--bin", "pipelens"]), ("pipelens-core", ["--test", "documents"])] {
        let mut tests = tools::cargo();
        tests.args(["test", "--quiet", "--package", package]).args(target).arg("up_to_date");
        tools::run_command(tests.current_dir(tools::root()).env("UPDATE_EXPECT", "1"))?;
    }
    for file in ["editors/vscode/src/protocol.ts", "docs/protocol.md", "docs/format.md", "docs/findings.md"] {
        println!("wrote {}", tools::root().join(file).display());
    }
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
