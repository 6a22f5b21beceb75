//! Who may talk to the agent: only a process that was started in the container from outside, as by an exec through the API server.
//!
//! Such a process has no parent in the container, whereas every process of a step descends from the agent. Another container of the pod
//! shares the network, so it can reach the socket, but it has other processes.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

/// Returns where the agent listens: a name for each container, because containers of a pod, or all of a machine, may share a network.
pub(super) fn address() -> io::Result<SocketAddr> {
    let processes = std::fs::read_link("/proc/self/ns/pid")?;
    SocketAddr::from_abstract_name(format!("pipelens-agent {}", processes.display()))
}

/// Returns the process at the other end; `None`: it is in another container.
pub(super) fn peer_of(socket: &impl AsFd) -> io::Result<Option<i32>> {
    let credentials = getsockopt(socket, PeerCredentials)?;
    Ok((credentials.pid() > 0).then(|| credentials.pid()))
}

/// Checks that the other end was started from outside.
pub(super) fn check(socket: &impl AsFd) -> Result<(), String> {
    let process = peer_of(socket).map_err(|error| format!("it is unknown who connects: {error}"))?;
    let Some(process) = process else { return Err("another container may not talk to the agent".into()) };
    match parent_of(process) {
        Ok(0) => Ok(()),
        Ok(_) => Err("a process of the container may not talk to the agent".into()),
        Err(error) => Err(format!("it is unknown who connects: {error}")),
    }
}

/// Returns the parent of a process; 0: it is outside the container.
fn parent_of(process: i32) -> io::Result<i32> {
    let path = format!("/proc/{process}/stat");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // A step with the right to mount could put a file of its own there.
    let inside = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let opened = match rustix::fs::openat2(&proc, format!("{process}/stat"), flags, Mode::empty(), inside) {
        Err(rustix::io::Errno::NOSYS) => rustix::fs::openat(CWD, path, flags, Mode::empty()),
        opened => opened,
    }?;
    let mut stat = Vec::new();
    File::from(opened).read_to_end(&mut stat)?;
    parent_in(&stat).ok_or_else(|| io::Error::other("`/proc` has an unknown format"))
}

/// Returns the parent from the content of a `stat` file. The program's name, in parentheses, may contain anything.
pub(super) fn parent_in(stat: &[u8]) -> Option<i32> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(after_name + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        assert_eq!(parent_in(b"12 (a) S 0 (b) S 34 12"), Some(34));
        assert_eq!(parent_in(b"12 (sh"), None);
    }

    #[test]
    fn the_parent_of_this_process_is_known() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(parent_of(own).unwrap(), i32::try_from(std::os::unix::process::parent_id()).unwrap());
    }

    #[test]
    fn a_process_of_the_container_is_refused() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        // Under a test runner, this process has a parent.
        let refused = check(&one).unwrap_err();
        assert_eq!(refused, "a process of the container may not talk to the agent");
    }
}
