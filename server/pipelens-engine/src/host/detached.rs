//! Finds processes that have left their step's process group, such as with `setsid`, by a variable that every process of the step inherits. Linux
//! shows the environment of a process; on other systems, or if a process has cleared its environment, it is not found.

use rustix::process::{Pid, Signal};

#[cfg(target_os = "linux")]
use crate::owner::ProcessStat;

/// Its value is different for every step.
pub(super) const VARIABLE: &str = "PIPELENS_STEP";

/// How long a process that calls `exec` may take until its environment is visible.
#[cfg(target_os = "linux")]
const BECOMES_WITHIN: std::time::Duration = std::time::Duration::from_millis(2);

/// Returns the start time of a process, in the kernel's ticks.
#[cfg(target_os = "linux")]
pub(super) fn started(process: i32) -> Option<u64> {
    Some(ProcessStat::of(&std::path::Path::new("/proc").join(process.to_string()))?.started)
}

/// Sends a signal to every process with the step's mark, except those in the group that has got it already, and returns how many there were. A process that started after `since` and
/// is in the middle of `exec` has no visible environment for a moment: it is counted, and found in the next round.
#[cfg(target_os = "linux")]
pub(super) fn signal(mark: &str, since: Option<u64>, signal: Signal, signalled: Option<Pid>) -> usize {
    use rustix::process::{getpgid, kill_process};

    let wanted = format!("{VARIABLE}={mark}\0");
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let (mut marked, mut becoming) = (0, 0);
    for entry in entries.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        // The environment of another user's process cannot be read, and that of a dead process is empty.
        let environment = std::fs::read(entry.path().join("environ"));
        if environment.as_ref().is_ok_and(|environment| environment.is_empty()) {
            let is_new =
                |looks: ProcessStat| !looks.is_kernel_thread && since.is_some_and(|since| looks.started >= since);
            becoming += usize::from(ProcessStat::of(&entry.path()).is_some_and(is_new));
        } else if memchr::memmem::find(&environment.unwrap_or_default(), wanted.as_bytes()).is_some()
            && (signalled.is_none() || getpgid(Some(process)).ok() != signalled)
        {
            marked += usize::from(kill_process(process, signal).is_ok());
        }
    }
    if marked == 0 && becoming > 0 {
        std::thread::sleep(BECOMES_WITHIN);
    }
    marked + becoming
}

#[cfg(not(target_os = "linux"))]
pub(super) fn started(_process: i32) -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn signal(_mark: &str, _since: Option<u64>, _signal: Signal, _signalled: Option<Pid>) -> usize {
    0
}
