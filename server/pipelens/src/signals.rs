//! What the operating system says of processes: requests to end, and whether another one lives.

/// Resolves when somebody asks this process to end, with the exit code that says so.
#[cfg(unix)]
pub(crate) async fn terminated() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hang_up)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => 143,
        _ = interrupt.recv() => 130,
        _ = hang_up.recv() => 129,
    }
}

/// Resolves when somebody asks this process to end, with the exit code that says so.
#[cfg(windows)]
pub(crate) async fn terminated() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => 130,
        Err(_) => std::future::pending().await,
    }
}

/// Tells whether a process lives, as far as this one can see.
#[cfg(unix)]
pub(crate) fn process_lives(process_id: u32) -> bool {
    use rustix::io::Errno;
    let Some(pid) = i32::try_from(process_id).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    // A process of somebody else cannot be asked, but it is there.
    matches!(rustix::process::test_kill_process(pid), Ok(()) | Err(Errno::PERM))
}

/// The end of the pipes says it on this system; nothing is asked.
#[cfg(windows)]
pub(crate) fn process_lives(_process_id: u32) -> bool {
    true
}
