//! `pipelens-agent serve`: the first process of the container.

use std::io;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::listing::Listings;
use super::reaper::Reaper;
use super::requests::Requests;
use super::session::Session;
use super::{connections, peer, processes};

/// Serves until the client says goodbye or is gone for too long. Everything in the container ends with it.
pub(super) fn serve(patience: Duration) -> Result<ExitCode, String> {
    // Everything that descends from the first process counts as a step's, and is killed.
    if std::process::id() != 1 {
        return Err("`serve` has to be the first process of a container".into());
    }
    super::hide_memory()?;
    let failed = |error: io::Error| format!("the agent cannot start: {error}");
    let session = Arc::new(Session::new(patience));
    // Before there are other threads, which inherit it.
    let signals = outside_signals().map_err(|error| failed(error.into()))?;
    let listings = Listings::begin().map_err(failed)?;
    let reaper = Reaper::begin().map_err(failed)?;
    let requests = Arc::new(Requests::new(Arc::clone(&session), reaper, listings));
    let address = peer::address().map_err(failed)?;
    let listener = UnixListener::bind_addr(&address).map_err(failed)?;
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.into()).spawn(work).map(drop).map_err(failed)
    };
    spawn("accept", Box::new(move || connections::accept(&listener, &requests)))?;
    let own_session = Arc::clone(&session);
    spawn("signals", Box::new(move || obey(&signals, &own_session)))?;
    session.wait_for_end();
    Ok(ExitCode::SUCCESS)
}

/// The first process ignores every signal that it does not ask for, also those from outside.
fn outside_signals() -> nix::Result<SignalFd> {
    let signals = SigSet::from(Signal::SIGTERM);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
}

/// The cluster sends TERM before it stops the container. A step cannot: its process has a number here.
fn obey(signals: &SignalFd, session: &Session) {
    while let Ok(Some(signal)) = signals.read_signal() {
        if signal.ssi_pid == 0 {
            processes::signal_all(Signal::SIGTERM);
            session.state().is_leaving = true;
            session.notify();
        }
    }
}
