//! Programs the machine does not have: unpacked below the target directory from Debian packages, never installed.
//! The sandbox shows them where they would have been installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::tools;

/// A program, and the Debian package that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    package: &'static str,
}

const fn program(name: &'static str, package: &'static str) -> Program {
    Program { name, package }
}

/// What a private Docker daemon needs. `dockerd` starts the others by their names.
pub(crate) const DOCKER: [Program; 6] = [
    program("dockerd", "docker.io"),
    program("docker", "docker.io"),
    program("containerd", "containerd"),
    program("runc", "runc"),
    program("iptables", "iptables"),
    BUSYBOX,
];

/// What the tests need beside a daemon.
pub(crate) const TESTS: [Program; 10] = [
    program("git", "git"),
    program("openssl", "openssl"),
    program("ssh", "openssh-client"),
    program("sshd", "openssh-server"),
    program("podman", "podman"),
    program("conmon", "conmon"),
    program("catatonit", "catatonit"),
    program("docker-registry", "docker-registry"),
    program("strace", "strace"),
    program("faketime", "faketime"),
];

/// What a private Kubernetes cluster needs beside Docker and the tests' programs. A kubelet forwards ports with `socat`.
pub(crate) const KUBERNETES: [Program; 4] = [
    program("etcd", "etcd-server"),
    program("kubectl", "kubernetes-client"),
    program("ip", "iproute2"),
    program("socat", "socat"),
];

/// What the tests that need no container engine can use.
pub(crate) const TESTS_WITHOUT_ENGINE: [Program; 3] =
    [program("strace", "strace"), program("faketime", "faketime"), BUSYBOX];

pub(crate) const PATCHELF: Program = program("patchelf", "patchelf");
pub(crate) const CHROMIUM: Program = program("chromium", "chromium");
pub(crate) const LUACHECK: Program = program("luacheck", "lua-check");

/// The tests' images are made of it, so it has to be static.
pub(crate) const BUSYBOX: Program = program("busybox", "busybox-static");

/// Returns those of the programs that this machine does not have.
pub(crate) fn missing(programs: &[Program]) -> Vec<Program> {
    let is_missing = |program: &&Program| match **program {
        BUSYBOX => static_busybox().is_none(),
        Program { name, .. } => tools::find(name).is_none(),
    };
    programs.iter().filter(is_missing).copied().collect()
}

/// Returns the names of programs as one would list them.
pub(crate) fn names(programs: &[Program]) -> String {
    programs.iter().map(|program| program.name).collect::<Vec<_>>().join(", ")
}

/// Whether this machine can unpack Debian packages.
pub(crate) fn can_unpack() -> bool {
    ["apt-get", "dpkg-deb"].into_iter().all(|program| tools::find(program).is_some())
}

/// Returns the folder with everything that was unpacked: a file tree with `usr` and `etc`. It may not exist.
pub(crate) fn unpacked() -> Result<PathBuf> {
    Ok(tools::folder()?.join("packages/root"))
}

/// Unpacks what is missing, unless an earlier chore has. Prints one line with what is missing and what is done about it.
pub(crate) fn unpack(missing: &[Program]) -> Result<()> {
    let folder = tools::folder()?.join("packages");
    let list = folder.join("list");
    let mut known: BTreeSet<String> =
        fs::read_to_string(&list).unwrap_or_default().lines().map(str::to_owned).collect();
    let wanted: BTreeSet<String> = missing.iter().map(|program| program.package.to_owned()).collect();
    if wanted.is_subset(&known) {
        return Ok(());
    }
    let wanted: Vec<String> = wanted.difference(&known).cloned().collect();
    println!(
        "Missing: {}. Unpacking {} below {} (nothing is installed into the system)",
        names(missing),
        wanted.join(", "),
        folder.display()
    );
    let script = tools::root().join("server/xtask/install/unpack.sh");
    tools::run_command(Command::new(script).arg("host").arg(&folder).args(&wanted))?;
    if let Some(absent) = missing.iter().find(|program| in_packages(program.name).is_none()) {
        bail!(
            "the package {} brought no `{}`: get it with the system's own package manager",
            absent.package,
            absent.name
        );
    }
    known.extend(wanted);
    fs::write(&list, known.into_iter().map(|package| package + "\n").collect::<String>())
        .context("cannot write the list")
}

/// Returns where a program is, on this machine or among what was unpacked.
pub(crate) fn locate(program: Program) -> Option<PathBuf> {
    tools::find(program.name).or_else(|| in_packages(program.name))
}

/// Returns a busybox that runs without libraries.
pub(crate) fn static_busybox() -> Option<PathBuf> {
    let candidates = [tools::find(BUSYBOX.name), in_packages(BUSYBOX.name)];
    candidates.into_iter().flatten().find(|path| fs::read(path).is_ok_and(|program| is_static(&program)))
}

fn in_packages(program: &str) -> Option<PathBuf> {
    let root = unpacked().ok()?;
    ["usr/bin", "usr/sbin"].into_iter().map(|folder| root.join(folder).join(program)).find(|path| path.is_file())
}

/// Whether a program asks for no loader: its path is among the first bytes of one that does.
fn is_static(program: &[u8]) -> bool {
    let head = program.get(..program.len().min(4096)).unwrap_or_default();
    !head.windows(4).any(|window| window == b"/ld-")
}
