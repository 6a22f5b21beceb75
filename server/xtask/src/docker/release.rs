//! The Docker of another Debian suite, unpacked below the target directory.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};

use crate::{packages, tools};

/// Which Docker the tests run on: if none is named, the one this machine has.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Choice {
    /// Run the engine's tests, and no others, on this version of Docker, unpacked from Debian's packages (needs Debian).
    #[arg(long, value_name = "VERSION", value_enum)]
    docker: Option<Release>,
    /// With the image store of containerd instead of Docker's own.
    #[arg(long, requires = "docker")]
    containerd_store: bool,
}

/// A version of Docker that differs from others in what the engine sees of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Release {
    #[value(name = "26")]
    Docker26,
    #[value(name = "28")]
    Docker28,
}

impl Choice {
    /// Whether a version is named.
    pub(crate) fn is_made(self) -> bool {
        self.docker.is_some()
    }

    /// Unpacks the version, unless an earlier chore has.
    pub(crate) fn unpack(self) -> Result<()> {
        self.docker.map_or(Ok(()), Release::unpack)
    }

    /// Returns the `PATH` for a daemon of this version and for whoever asks for `docker` or `dockerd`.
    pub(crate) fn path(self) -> Result<OsString> {
        let path = env::var_os("PATH").unwrap_or_default();
        let Some(release) = self.docker else { return Ok(path) };
        Ok(env::join_paths([release.folder()?.join("bin")].into_iter().chain(env::split_paths(&path)))?)
    }

    /// Returns the daemon's arguments.
    pub(crate) fn daemon_arguments(self) -> &'static [&'static str] {
        if self.containerd_store { &["--feature", "containerd-snapshotter=true"] } else { &[] }
    }

    /// Returns the options that make this choice.
    pub(crate) fn options(self) -> Vec<OsString> {
        let version = self.docker.into_iter().flat_map(|release| ["--docker", release.version()]);
        let store = self.containerd_store.then_some("--containerd-store");
        version.chain(store).map(OsString::from).collect()
    }
}

impl Release {
    fn version(self) -> &'static str {
        match self {
            Self::Docker26 => "26",
            Self::Docker28 => "28",
        }
    }

    /// The Debian suite that has it.
    fn suite(self) -> &'static str {
        match self {
            Self::Docker26 => "trixie",
            Self::Docker28 => "forky",
        }
    }

    fn folder(self) -> Result<PathBuf> {
        Ok(tools::folder()?.join(format!("docker-{}", self.version())))
    }

    fn unpack(self) -> Result<()> {
        let folder = self.folder()?;
        // Made last.
        let is_complete = folder.join("complete");
        if is_complete.exists() {
            return Ok(());
        }
        packages::unpack(&packages::missing(&[packages::PATCHELF]))?;
        let patchelf = packages::locate(packages::PATCHELF).context("patchelf is missing")?;
        println!("Unpacking the Docker of Debian {} into {}", self.suite(), folder.display());
        let script = tools::root().join("server/xtask/install/docker.sh");
        tools::run_command(Command::new(script).arg(self.suite()).arg(&folder).env("PATCHELF", patchelf))?;
        self.check_version(&folder)?;
        fs::write(is_complete, "").context("cannot mark it as complete")
    }

    /// A suite gets newer versions until it is released.
    fn check_version(self, folder: &Path) -> Result<()> {
        let output = Command::new(folder.join("bin/dockerd")).arg("--version").output()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let (version, suite) = (self.version(), self.suite());
        ensure!(
            said.contains(&format!(" {version}.")),
            "Debian {suite} no longer has Docker {version} but `{said}`: another suite has to be named in `docker/release.rs`"
        );
        Ok(())
    }
}
