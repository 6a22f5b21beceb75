//! What a chore can leave on a machine, looked at before and after.
//!
//! Others work on the machine at the same time, so a change counts only where the chores' programs are known to make it: a process
//! that has the chore's mark, a network interface that is gone, a container engine's folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, ensure};

/// The variable that every process of a chore inherits.
pub(crate) const MARK: &str = "PIPELENS_CHORE";

/// Does a chore, and fails if it leaves anything outside of the target directory.
pub(crate) fn unchanged(chore: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = Footprint::take(mark());
    let done = chore();
    let mut left = Footprint::take(mark()).changes_since(&before);
    if !left.is_empty() {
        // Others come and go; what is left stays.
        std::thread::park_timeout(SECOND_LOOK);
        let again = Footprint::take(mark()).changes_since(&before);
        left.retain(|change| again.contains(change));
    }
    done?;
    ensure!(left.is_empty(), "this was left outside of the target directory: {}", left.join(", "));
    Ok(())
}

const SECOND_LOOK: Duration = Duration::from_secs(3);

/// Returns the value of `MARK` for what this process starts.
pub(crate) fn mark() -> &'static str {
    static CHORE: OnceLock<String> = OnceLock::new();
    CHORE.get_or_init(|| format!("{}-{:x}", std::process::id(), fastrand::u64(..)))
}

/// What container engines, the SSH server, the tests and pipelens itself have in their paths.
const KNOWN: [&str; 32] = [
    "docker",
    "dockerd",
    "containerd",
    "containers",
    "podman",
    "libpod",
    "libpod_parent",
    "netns",
    "cni",
    "crun",
    "runc",
    "sshd",
    "ssh",
    "docker-registry",
    "catatonit",
    "pipelens",
    "conmon",
    "buildkit",
    "openssh-server",
    "nvim",
    "harmont",
    "strace",
    "busybox-static",
    "lua-check",
    "patchelf",
    "kubelet",
    "kubernetes",
    "kubepods",
    "dockershim",
    "etcd",
    "etcd-server",
    "kubernetes-client",
];
/// How the tests' temporary folders begin.
const KNOWN_PREFIXES: [&str; 4] = ["pipelens", "pl-", "docker", "libpod"];
/// Interfaces that container engines make.
const ENGINES_INTERFACES: [&str; 3] = ["docker", "cni-", "podman"];

/// Folders a chore could write to, below `/` or the home folder, and how deep they are looked at.
const FOLDERS: [(&str, usize); 7] =
    [("etc", 4), ("run", 2), ("tmp", 1), ("var/tmp", 1), ("var/lib", 2), ("var/cache", 1), ("var/log", 1)];
const HOME_FOLDERS: [(&str, usize); 6] =
    [(".local/state", 2), (".local/share", 2), (".config", 2), (".cache", 1), (".docker", 1), (".ssh", 1)];

/// Everything a chore can leave, each as a sentence would name it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Footprint {
    processes: BTreeSet<String>,
    mounts: BTreeSet<PathBuf>,
    interfaces: BTreeSet<String>,
    /// Each as the root or home folder it is in, and the rest of its path: where a home folder is says nothing of what made the file.
    files: BTreeSet<(PathBuf, PathBuf)>,
    control_groups: BTreeSet<PathBuf>,
    /// That are installed.
    packages: BTreeSet<String>,
}

impl Footprint {
    /// Looks at the machine; `mark` tells the chore's processes from others.
    pub(crate) fn take(mark: &str) -> Self {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        Self::of(Path::new("/"), &home, mark)
    }

    /// As `take`, of files below another root.
    fn of(root: &Path, home: &Path, mark: &str) -> Self {
        let mut files = BTreeSet::new();
        for (folder, depth) in FOLDERS {
            list(root, Path::new(folder), depth, &mut files);
        }
        for (folder, depth) in HOME_FOLDERS {
            list(home, Path::new(folder), depth, &mut files);
        }
        let status = fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Self {
            processes: marked_processes(mark),
            mounts: mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from).collect(),
            interfaces: names(Path::new("/sys/class/net")).collect(),
            files,
            control_groups: control_groups(),
            packages: status.lines().filter_map(|line| line.strip_prefix("Package: ")).map(str::to_owned).collect(),
        }
    }

    /// Returns what a chore has changed since `before`, in words.
    pub(crate) fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let used = in_use();
        let is_used = |path: &Path| used.iter().any(|text| text.contains(&path.display().to_string()));
        for process in self.processes.difference(&before.processes) {
            changes.push(format!("process {process}"));
        }
        for mount in self.mounts.difference(&before.mounts).filter(|mount| is_known(mount) && !is_used(mount)) {
            changes.push(format!("mount {}", mount.display()));
        }
        for interface in before.interfaces.difference(&self.interfaces) {
            // One end of a container's connection goes with the container, whoever runs it.
            if !interface.starts_with("veth") {
                changes.push(format!("network interface {interface} is gone"));
            }
        }
        let added = self.interfaces.difference(&before.interfaces);
        for interface in added.filter(|name| ENGINES_INTERFACES.iter().any(|known| name.starts_with(known))) {
            changes.push(format!("network interface {interface}"));
        }
        for (top, rest) in self.files.difference(&before.files).filter(|(_, rest)| is_known(rest)) {
            let file = top.join(rest);
            if !is_used(&file) {
                changes.push(file.display().to_string());
            }
        }
        for group in self.control_groups.difference(&before.control_groups).filter(|group| !has_processes(group)) {
            changes.push(format!("control group {}", group.display()));
        }
        for package in self.packages.difference(&before.packages).filter(|name| is_known(Path::new(name))) {
            changes.push(format!("the installed package {package}"));
        }
        changes
    }
}

/// Returns the control groups that container engines make for their containers, outer ones first.
pub(crate) fn control_groups() -> BTreeSet<PathBuf> {
    let mut groups = BTreeSet::new();
    let top = Path::new("/sys/fs/cgroup");
    for hierarchy in names(top).map(|name| top.join(name)).chain([top.to_owned()]) {
        groups.extend(names(&hierarchy).filter(|name| is_known(Path::new(name))).map(|name| hierarchy.join(name)));
    }
    groups.retain(|group| group.is_dir());
    groups
}

/// Whether a control group or one inside of it has a process.
fn has_processes(group: &Path) -> bool {
    let own = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    !own.is_empty() || names(group).map(|name| group.join(name)).any(|inner| inner.is_dir() && has_processes(&inner))
}

/// Returns what running processes name or have open. A chore's own have ended, so that is somebody else's.
fn in_use() -> Vec<String> {
    let processes = names(Path::new("/proc")).filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let mut used = Vec::new();
    for process in processes.map(|process| Path::new("/proc").join(process)) {
        used.push(String::from_utf8_lossy(&fs::read(process.join("cmdline")).unwrap_or_default()).into_owned());
        let files = names(&process.join("fd")).map(|name| process.join("fd").join(name));
        let links = files.chain([process.join("cwd")]).filter_map(|link| fs::read_link(link).ok());
        used.extend(links.map(|link| link.display().to_string()));
    }
    used
}

/// Whether a path is one that the chores' programs use.
fn is_known(path: &Path) -> bool {
    path.iter().any(|name| {
        let name = name.to_string_lossy();
        let stem = name.split('.').next().unwrap_or_default();
        KNOWN.contains(&name.as_ref())
            || KNOWN.contains(&stem)
            || KNOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// Returns the processes that have inherited the mark, by number and name.
fn marked_processes(mark: &str) -> BTreeSet<String> {
    let wanted = format!("{MARK}={mark}");
    let has_mark = |process: &String| {
        let environment = fs::read(Path::new("/proc").join(process).join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let numbers = names(Path::new("/proc")).filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let marked = numbers.filter(has_mark);
    let name = |process: &str| fs::read_to_string(Path::new("/proc").join(process).join("comm")).unwrap_or_default();
    marked.map(|process| format!("{process} ({})", name(&process).trim())).collect()
}

/// Adds the entries of a folder of `top`, and those of its folders up to a depth. Links are not followed.
fn list(top: &Path, folder: &Path, depth: usize, files: &mut BTreeSet<(PathBuf, PathBuf)>) {
    for name in names(&top.join(folder)) {
        let path = folder.join(name);
        if depth > 1 && top.join(&path).symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            list(top, &path, depth - 1, files);
        }
        files.insert((top.to_owned(), path));
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn changes(leave: impl FnOnce(&Path)) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for folder in ["etc/systemd/system/multi-user.target.wants", "run", "tmp", "var/lib/dpkg", "home/.local/state"]
        {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("var/lib/dpkg/status"), "Package: a\n").unwrap();
        let look = || Footprint::of(root.path(), &root.path().join("home"), "of a test");
        let before = look();
        leave(root.path());
        let changes = look().changes_since(&before).into_iter();
        changes.map(|change| change.replace(&root.path().display().to_string(), "")).collect()
    }

    #[test]
    fn files_of_engines_services_and_state_are_found_and_those_of_others_are_not() {
        assert_eq!(changes(|_| {}), Vec::<String>::new());
        let left = changes(|root| {
            for folder in
                ["etc/cni/net.d", "run/netns", "tmp/pl-x1", "tmp/somebody-elses", "home/.local/state/pipelens"]
            {
                fs::create_dir_all(root.join(folder)).unwrap();
            }
            fs::write(root.join("etc/systemd/system/docker.service"), "").unwrap();
            fs::write(root.join("var/lib/dpkg/status"), "Package: a\nPackage: openssh-server\nPackage: another\n")
                .unwrap();
        });
        assert_eq!(
            left,
            [
                "/etc/cni",
                "/etc/cni/net.d",
                "/etc/systemd/system/docker.service",
                "/run/netns",
                "/tmp/pl-x1",
                "/home/.local/state/pipelens",
                "the installed package openssh-server"
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_the_mark_is_found_as_long_as_it_lives() {
        let mut child = None;
        let left = changes(|_| {
            let sleep = Command::new("sleep").arg("60").env(MARK, "of a test").spawn().unwrap();
            // A process is there before its environment is.
            while fs::read(format!("/proc/{}/environ", sleep.id())).unwrap().is_empty() {
                std::thread::yield_now();
            }
            child = Some(sleep);
        });
        let mut child = child.unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(left, [format!("process {} (sleep)", child.id())]);
    }

    #[test]
    fn an_interface_that_is_gone_and_a_mount_of_an_engine_are_found() {
        let before = Footprint {
            interfaces: ["lo", "docker0", "veth1"].map(str::to_owned).into(),
            mounts: [PathBuf::from("/")].into(),
            ..Footprint::default()
        };
        let after = Footprint {
            interfaces: ["lo", "cni-podman0", "eth1"].map(str::to_owned).into(),
            mounts: ["/", "/run/netns", "/media/stick"].map(PathBuf::from).into(),
            ..Footprint::default()
        };
        assert_eq!(
            after.changes_since(&before),
            ["mount /run/netns", "network interface docker0 is gone", "network interface cni-podman0"]
        );
    }
}
