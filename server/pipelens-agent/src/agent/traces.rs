//! What a command can leave outside the filesystem, and what the kernel did to it.

use std::fs;
use std::io::Read as _;

/// The files the engine mounts, and System V memory.
const FILES: [&str; 6] =
    ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/proc/sysvipc/msg", "/proc/sysvipc/sem", "/proc/sysvipc/shm"];
const FOLDERS: [&str; 3] = ["/dev", "/dev/shm", "/dev/mqueue"];

/// More than any of the files has; what a step made larger is different anyway.
const MOST_BYTES: u64 = 256 * 1024;

/// What lives outside the filesystem and yet outlives processes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traces {
    files: Vec<Vec<u8>>,
    names: Vec<Vec<std::ffi::OsString>>,
}

impl Traces {
    pub(super) fn now() -> Self {
        let files = FILES.iter().map(|path| content(path)).collect();
        Self { files, names: FOLDERS.iter().map(|path| names(path)).collect() }
    }
}

fn content(path: &str) -> Vec<u8> {
    let mut content = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        file.take(MOST_BYTES).read_to_end(&mut content).ok();
    }
    content
}

fn names(path: &str) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

/// Returns how many processes of the container the kernel has killed for want of memory; `None`: it does not say.
pub(super) fn killed_for_memory() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];
    files.iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    })
}
