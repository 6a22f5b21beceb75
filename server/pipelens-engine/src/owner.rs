//! Which process made a container or a directory, to distinguish leftovers of dead processes from what a live one uses. Knows nothing about engines.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Identifies a process, so that a later process with the same number is not mistaken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    machine: String,
    /// Different after every restart of the machine.
    boot: String,
    /// Process numbers are only valid within a namespace: two containers may share a kernel and an engine.
    pid_namespace: String,
    pid: u32,
    started: String,
}

impl Owner {
    pub(crate) fn this_process() -> Self {
        let pid = std::process::id();
        Self {
            machine: platform::machine_id(),
            boot: platform::boot_id(),
            pid_namespace: platform::pid_namespace(),
            pid,
            started: platform::process_started(pid).unwrap_or_default(),
        }
    }

    /// Returns a name for a state directory, so that processes with another one leave its snapshots alone.
    pub(crate) fn name_of_cache(&self, state_dir: &Path) -> String {
        let folder = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
        crate::fingerprint::short_name([self.machine.as_bytes(), folder.as_os_str().as_encoded_bytes()].join(&0))
    }

    /// Whether `observer` can tell for certain that this owner is dead. In doubt, it counts as alive.
    pub(crate) fn is_dead(&self, observer: &Self) -> bool {
        if self.machine != observer.machine || self.machine.is_empty() {
            return false;
        }
        if self.boot != observer.boot {
            return true;
        }
        if self.pid_namespace != observer.pid_namespace || self.started.is_empty() || observer.started.is_empty() {
            return false;
        }
        platform::process_started(self.pid).is_none_or(|started| started != self.started)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}/{}", self.machine, self.boot, self.pid_namespace, self.pid, self.started)
    }
}

impl FromStr for Owner {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(5, '/');
        let mut next = || parts.next().map(str::to_owned).ok_or(());
        Ok(Self {
            machine: next()?,
            boot: next()?,
            pid_namespace: next()?,
            pid: next()?.parse().map_err(|_| ())?,
            started: next()?,
        })
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;

    pub(super) fn machine_id() -> String {
        let id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|path| fs::read_to_string(path).ok());
        // Cloned machines share their id, but hardly ever their name as well.
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{}.{}", id.unwrap_or_default().trim(), name.trim())
    }

    pub(super) fn boot_id() -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    }

    pub(super) fn pid_namespace() -> String {
        let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
    }

    /// Returns the start time of a process in clock ticks since boot; `None` if there is no such process, or it is a zombie.
    pub(super) fn process_started(pid: u32) -> Option<String> {
        super::ProcessStat::of(&std::path::Path::new("/proc").join(pid.to_string()))
            .map(|looks| looks.started.to_string())
    }
}

/// What the kernel reports about a living process.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessStat {
    /// In clock ticks since boot.
    pub(crate) started: u64,
    pub(crate) is_kernel_thread: bool,
}

#[cfg(target_os = "linux")]
impl ProcessStat {
    /// Reads the facts from a process's directory in `/proc`; `None` if there is no such process, or it is a zombie.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        const KERNEL_THREAD: u64 = 0x0020_0000;
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // The name is in brackets and may contain anything, so fields are counted after it.
        let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
        let state = fields.next()?;
        let flags: u64 = fields.nth(5)?.parse().ok()?;
        let started = fields.nth(12)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Self { started, is_kernel_thread: flags & KERNEL_THREAD != 0 })
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod platform {
    use std::process::Command;

    fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
        // Independent of the project: none is known yet.
        let here = std::env::current_dir().unwrap_or_default();
        let output = Command::new(crate::programs::find(program, &[&here])?).args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().replace(['/', '\n'], " ");
        (output.status.success() && !text.is_empty()).then_some(text)
    }

    pub(super) fn machine_id() -> String {
        output_of("sysctl", &["-n", "kern.uuid"]).or_else(|| output_of("hostname", &[])).unwrap_or_default()
    }

    pub(super) fn boot_id() -> String {
        output_of("sysctl", &["-n", "kern.bootsessionuuid"])
            .or_else(|| output_of("sysctl", &["-n", "kern.boottime"]))
            .unwrap_or_default()
    }

    pub(super) fn pid_namespace() -> String {
        String::new()
    }

    pub(super) fn process_started(pid: u32) -> Option<String> {
        output_of("ps", &["-o", "lstart=", "-p", &pid.to_string()])
    }
}

#[cfg(not(unix))]
mod platform {
    // On this system nothing is known for certain, so no process counts as dead.

    pub(super) fn machine_id() -> String {
        std::env::var("COMPUTERNAME").unwrap_or_default()
    }

    pub(super) fn boot_id() -> String {
        String::new()
    }

    pub(super) fn pid_namespace() -> String {
        String::new()
    }

    pub(super) fn process_started(_pid: u32) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_owner_never_counts_as_dead() {
        let me = Owner::this_process();
        assert!(!me.is_dead(&me));
        assert_eq!(me.to_string().parse(), Ok(me));
    }

    #[test]
    fn a_process_with_the_same_number_is_not_trusted() {
        let me = Owner::this_process();
        let before_me = Owner { started: "1".into(), ..me.clone() };
        assert!(before_me.is_dead(&me));
    }

    #[test]
    fn an_owner_that_cannot_be_checked_counts_as_alive() {
        let me = Owner::this_process();
        for other in [
            Owner { machine: "elsewhere".into(), ..me.clone() },
            Owner { pid_namespace: "another".into(), started: "1".into(), ..me.clone() },
        ] {
            assert!(!other.is_dead(&me));
        }
    }
}
