//! Children and orphans: the first process of a container inherits every orphan and has to collect them all.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

/// How long an orphan of a process that is no child of ours may wait while there is no child.
const ORPHANS_WAIT: Duration = Duration::from_secs(1);

/// Starts processes and collects the dead.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    children: Mutex<HashMap<i32, Arc<Mutex<Ending>>>>,
    started: Condvar,
}

#[derive(Debug)]
struct Ending {
    exit_code: Option<i32>,
    /// Closed when the process has ended.
    signal: Option<OwnedFd>,
}

/// A process that was started here.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    /// Hangs up when the process has ended.
    pub(super) ended: OwnedFd,
    ending: Arc<Mutex<Ending>>,
}

impl Started {
    /// Returns the exit code, or 128 + the signal; `None`: it still runs.
    pub(super) fn exit_code(&self) -> Option<i32> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).exit_code
    }
}

impl Reaper {
    /// Collects the dead from now on.
    pub(super) fn begin() -> io::Result<Arc<Self>> {
        let reaper = Arc::new(Self::default());
        let own = Arc::clone(&reaper);
        thread::Builder::new().name("reaper".into()).spawn(move || own.collect())?;
        Ok(reaper)
    }

    /// Starts a process. Nothing is collected meanwhile, because the standard library waits for a child that could not become the program.
    pub(super) fn start(&self, command: &mut Command) -> io::Result<Started> {
        let (ended, signal) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let mut children = self.children();
        // A child inherits what is blocked, and could not be asked to end.
        let signals = SigSet::all();
        let before = signals.thread_swap_mask(SigmaskHow::SIG_UNBLOCK)?;
        let child = command.spawn();
        before.thread_set_mask()?;
        let child = child?;
        let ending = Arc::new(Mutex::new(Ending { exit_code: None, signal: Some(signal) }));
        children.insert(i32::try_from(child.id()).unwrap_or(i32::MAX), Arc::clone(&ending));
        self.started.notify_all();
        Ok(Started { child, ended, ending })
    }

    fn collect(&self) {
        loop {
            // Only looks, so that the dead are collected while no process is being started.
            let dead = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let mut children = self.children();
            if dead.is_err() {
                drop(self.started.wait_timeout(children, ORPHANS_WAIT));
                continue;
            }
            while let Ok(Some((process, status))) = wait(WaitOptions::NOHANG) {
                if let Some(ending) = children.remove(&process.as_raw_nonzero().get()) {
                    let mut ending = ending.lock().unwrap_or_else(PoisonError::into_inner);
                    ending.exit_code = Some(exit_code(status));
                    ending.signal = None;
                }
            }
        }
    }

    fn children(&self) -> MutexGuard<'_, HashMap<i32, Arc<Mutex<Ending>>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As shells report it.
fn exit_code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
