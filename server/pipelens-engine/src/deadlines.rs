//! How long the engine may take to answer before a run gives up on it. Knows nothing about engines.

use std::time::Duration;

/// One value for a whole run, so that no call can be made without a deadline. Tests use short ones.
///
/// Together they keep a run from waiting for more than 90 s for an engine that has stopped answering. A registry that an engine asks
/// that does answer is waited for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Between two checks of a container whose command runs.
    pub liveness: Duration,
    /// For calls that only ask or signal. A loaded engine answers them within a few seconds.
    pub question: Duration,
    /// For calls that change something: on a slow disk, creating or removing a container takes long.
    pub work: Duration,
    /// For transfers, which may take any time while bytes flow. A pull that reports nothing is requested once more.
    pub silence: Duration,
    /// For a pull that makes no progress while the engine answers: the registry, or the network in between, has stalled. Unpacking a
    /// large layer on a slow disk may also take minutes without any progress report.
    pub stall: Duration,
    /// For saving a container's files, in addition to the time they need on a slow disk.
    pub saving: Duration,
    /// For the next call after one that was not answered, so that a run does not wait for a frozen engine again and again.
    pub after_silence: Duration,
    /// If a command has written nothing for this long, its container is checked for it, because the connection may be dead.
    pub quiet: Duration,
    /// For removing what the steps of a run left.
    pub tidying: Duration,
    /// For each runner's own cleanup at the end of a run.
    pub closing: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            liveness: Duration::from_secs(5),
            question: Duration::from_secs(30),
            work: Duration::from_secs(60),
            silence: Duration::from_secs(40),
            stall: Duration::from_secs(10 * 60),
            saving: Duration::from_secs(60),
            after_silence: Duration::from_secs(5),
            quiet: Duration::from_secs(30),
            tidying: Duration::from_secs(30),
            closing: Duration::from_secs(30),
        }
    }
}
