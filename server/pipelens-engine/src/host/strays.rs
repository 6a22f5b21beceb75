//! Processes that have left their step's group, as `setsid` does: found by a variable that every process of the step inherits. Linux
//! shows the environment of a process; elsewhere, and where a process has cleared its own, none is found.

use rustix::process::Signal;

/// Holds a text that no other step has.
pub(super) const VARIABLE: &str = "PIPELENS_STEP";

/// Sends a signal to every process that carries the step's mark, and returns how many there were.
#[cfg(target_os = "linux")]
pub(super) fn signal(mark: &str, signal: Signal) -> usize {
    use rustix::process::{Pid, kill_process};

    let wanted = format!("{VARIABLE}={mark}\0");
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let is_marked = |entry: &std::fs::DirEntry| {
        // Another user's cannot be read, and a dead one's is empty.
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        memchr::memmem::find(&environment, wanted.as_bytes()).is_some()
    };
    let numbers = entries.flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse::<i32>().ok()?;
        is_marked(&entry).then_some(number)
    });
    numbers.filter_map(Pid::from_raw).filter(|process| kill_process(*process, signal).is_ok()).count()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn signal(_mark: &str, _signal: Signal) -> usize {
    0
}
