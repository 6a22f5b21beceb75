//! The programs of Kubernetes that no Debian package has, built from Debian's sources below the target directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{packages, tools};

const PROGRAMS: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];
/// A distribution whose `apt-get` may name no mirror of Debian could verify nothing.
const DEBIANS_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Builds the programs, unless an earlier chore has.
pub(crate) fn prepare() -> Result<()> {
    let folder = folder()?;
    // Made last.
    let complete = folder.join("complete");
    if fs::read_to_string(&complete).is_ok_and(|built| built == PROGRAMS.join(" ")) {
        return Ok(());
    }
    ensure!(
        packages::can_unpack() && fs::exists(DEBIANS_KEYS)?,
        "the programs of Kubernetes are built from Debian's sources: this needs apt-get, dpkg-deb and {DEBIANS_KEYS}"
    );
    println!(
        "Building Kubernetes below {}: downloads 120 MB, needs 3 GB while it builds and 210 MB after that, and takes about 5 \
         minutes on two cores, once (nothing is installed into the system)",
        folder.display()
    );
    let script = tools::root().join("server/xtask/install/kubernetes.sh");
    tools::run_command(Command::new(script).arg(&folder).args(PROGRAMS))?;
    fs::write(complete, PROGRAMS.join(" ")).context("cannot mark it as complete")
}

/// Returns where a program is.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(folder()?.join("bin").join(name))
}

fn folder() -> Result<PathBuf> {
    Ok(tools::folder()?.join("kubernetes"))
}
