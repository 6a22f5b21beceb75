//! Puts the agents into the library, if `PIPELENS_AGENT_FOLDER` names the folder with their packed programs, which `cargo xtask agent` makes.
//! Otherwise they are looked for when a run needs them.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const FOLDER: &str = "PIPELENS_AGENT_FOLDER";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={FOLDER}");
    if env::var_os("CARGO_FEATURE_KUBERNETES").is_none() {
        return Ok(());
    }
    let folder = env::var_os(FOLDER).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let mut entries = String::new();
    for architecture in ["amd64", "arm64"] {
        let Some(folder) = &folder else { continue };
        let file = folder.join(format!("pipelens-agent-linux-{architecture}.xz"));
        println!("cargo::rerun-if-changed={}", file.display());
        if file.is_file() {
            entries += &format!("({architecture:?}, include_bytes!({:?}).as_slice()), ", file.canonicalize()?);
        } else {
            println!("cargo::warning={} does not exist; run `cargo xtask agent`", file.display());
        }
    }
    let output = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo has set no OUT_DIR"))?;
    fs::write(Path::new(&output).join("agents.rs"), format!("&[{entries}]"))
}
