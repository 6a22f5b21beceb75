//! The pod agent as static programs for Linux, one for each architecture: they are brought into containers of any image.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use lzma_rust2::{FilterType, XzOptions, XzWriter};

use crate::tools;

/// It travels to a node's disk with every image.
const MOST_BYTES: u64 = 4_000_000;

/// An architecture, as images name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Returns the one of this machine.
    pub(crate) fn own() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// How Rust calls it.
    fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-musl",
            Self::Arm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// Packs a program for it: a fifth smaller than with gzip.
    fn packed(self, program: &[u8]) -> Result<Vec<u8>> {
        let mut options = XzOptions::with_preset(9);
        let filter = match self {
            Self::Amd64 => FilterType::BcjX86,
            Self::Arm64 => FilterType::BcjArm64,
        };
        options.prepend_pre_filter(filter, 0);
        let mut packer = XzWriter::new(Vec::new(), options)?;
        packer.write_all(program)?;
        Ok(packer.finish()?)
    }

    /// A compiler for the cryptography's C files, which need nothing of a C library.
    fn c_compiler(self) -> &'static str {
        match self {
            _ if self == Self::own() && cfg!(target_os = "linux") => "cc",
            Self::Amd64 => "x86_64-linux-gnu-gcc",
            Self::Arm64 => "aarch64-linux-gnu-gcc",
        }
    }
}

/// Builds the agent for every architecture, and says how large it is.
pub(crate) fn agent() -> Result<()> {
    for architecture in Architecture::ALL {
        let program = build(architecture)?;
        let bytes = fs::metadata(&program)?.len();
        println!("The agent for linux/{} is {} ({bytes} bytes)", architecture.name(), program.display());
    }
    Ok(())
}

/// Builds the agent for an architecture, and returns where it is: `target/agent/pipelens-agent-linux-ARCHITECTURE`.
pub(crate) fn build(architecture: Architecture) -> Result<PathBuf> {
    let target = architecture.target();
    add_target(target)?;
    let compiler = architecture.c_compiler();
    ensure!(
        tools::find(compiler).is_some(),
        "{compiler} is missing: the agent for {} needs a C compiler (on Debian: apt-get install gcc-{})",
        architecture.name(),
        compiler.trim_end_matches("-gcc").replace('_', "-"),
    );
    let mut cargo = tools::cargo();
    cargo.args(["build", "--locked", "--package", "pipelens-agent", "--no-default-features", "--features", "agent"]);
    cargo.args(["--profile", "agent", "--target", target]).current_dir(tools::root());
    let name = target.replace('-', "_");
    cargo.env(format!("CC_{name}"), compiler);
    // It comes with Rust and links for every architecture; so does the C library.
    cargo.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), "rust-lld");
    tools::run_command(&mut cargo)?;
    let built = tools::target()?.join(target).join("agent/pipelens-agent");
    let bytes = fs::metadata(&built)?.len();
    ensure!(bytes < MOST_BYTES, "the agent takes {bytes} bytes, which is more than {MOST_BYTES}");
    let folder = folder()?;
    fs::create_dir_all(&folder)?;
    let program = folder.join(format!("pipelens-agent-linux-{}", architecture.name()));
    // Under another name first: something may be running the old one.
    let draft = program.with_extension("new");
    fs::copy(&built, &draft).with_context(|| format!("cannot copy {}", built.display()))?;
    fs::rename(&draft, &program)?;
    // `PIPELENS_AGENT_FOLDER` puts this one into a binary.
    let packed = program.with_extension("xz");
    fs::write(&packed, architecture.packed(&fs::read(&program)?)?)?;
    Ok(program)
}

/// Returns where the agents are.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(tools::target()?.join("agent"))
}

/// Adds what Rust needs to build for a target, if it is not there.
fn add_target(target: &str) -> Result<()> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).current_dir(tools::root()).output();
    // Without rustup, the build says what is missing.
    let Ok(installed) = installed else { return Ok(()) };
    if String::from_utf8_lossy(&installed.stdout).lines().any(|line| line == target) {
        return Ok(());
    }
    println!("Rust cannot build for {target} yet: adding it with rustup");
    tools::run_command(Command::new("rustup").args(["target", "add", target]).current_dir(tools::root()))
}
