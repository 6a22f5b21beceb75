//! Processes, as the operating system sees them: requests to end, and whether another process is alive.

/// Resolves when this process is asked to end, with the exit code for that.
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

/// Resolves when this process is asked to end, with the exit code for that.
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
    // Another user's process cannot be signalled, but it exists.
    matches!(rustix::process::test_kill_process(pid), Ok(()) | Err(Errno::PERM))
}

/// On this system, the end of the pipes is enough.
#[cfg(windows)]
pub(crate) fn process_lives(_process_id: u32) -> bool {
    true
}
