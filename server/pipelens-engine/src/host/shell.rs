//! A shell for a person in place of a step's command, on a pseudo terminal of its own: in the step's namespaces, the person's own terminal controls
//! nothing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, stream};
use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::AsyncReadExt as _;

use crate::error::EngineError;
use crate::event::Phase;
use crate::host::process;
use crate::host::view::{Location, Setup};
use crate::person::{self, Terminal};
use crate::programs;
use crate::step_context::{Ending, StepContext};
use crate::stop::Interruption;

/// Becomes another program on a terminal.
const ON_TERMINAL: &str = r#"exec <"$1" >"$1" 2>&1; shift; exec "$@""#;

const READ_BYTES: usize = 64 * 1024;

/// Runs the shell until it exits. If it has no namespaces, what it has started and left running ends with it too.
pub(super) async fn run(
    context: &StepContext,
    terminal: &Arc<dyn Terminal>,
    home: &Path,
    setup: &Setup,
    location: &Location<'_>,
    locks: Vec<File>,
) -> Result<Ending, Interruption> {
    // It makes the terminal control the jobs of the shell.
    let setsid = programs::find("setsid", &[&context.sources.root]).ok_or_else(|| EngineError::Spawn {
        source: io::Error::new(io::ErrorKind::NotFound, "`setsid` is not on the `PATH` (it is part of util-linux)"),
    })?;
    let broken = |source: io::Error| EngineError::Terminal { source };
    let pty = Pty::open().map_err(broken)?;
    let words = [setup.shell.as_os_str(), OsStr::new("-c"), OsStr::new(ON_TERMINAL), OsStr::new("sh"), &pty.path];
    let shell = [setsid.as_os_str(), OsStr::new("-c"), OsStr::new(person::shell_of(&context.step().shell))];
    let program = words.into_iter().chain(shell).map(OsStr::to_owned).collect();
    let (to_shell, from_shell) = (pty.ours().map_err(broken)?, pty.ours().map_err(broken)?);
    context.report_phase(Phase::Running);
    let streams = terminal.open().await.map_err(broken)?;
    let Pty { ours, theirs, .. } = pty;
    let resize = move |size: person::TerminalSize| {
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).ok();
        std::future::ready(()).boxed()
    };
    let shown = Box::pin(stream::unfold(from_shell, async |mut from_shell| {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let count = from_shell.read_buf(&mut buffer).await.ok()?;
        (count > 0).then(|| (Ok::<Bytes, io::Error>(buffer.freeze()), from_shell))
    }));
    let relay = person::connect(streams, to_shell, shown, resize);
    // As long as we have it open too, reading does not fail before the shell has it.
    let release = move || drop(theirs);
    let exit_code = process::run_beside(context, (home, setup, location), locks, program, relay, release).await?;
    terminal.close(Some(exit_code));
    Ok(Ending::Exited(0))
}

/// A pseudo terminal.
struct Pty {
    ours: OwnedFd,
    theirs: OwnedFd,
    path: OsString,
}

impl Pty {
    fn open() -> io::Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::io::fcntl_setfd(&ours, FdFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let path = ptsname(&ours, Vec::new())?;
        let theirs = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { ours, theirs, path: OsStr::from_bytes(path.as_bytes()).to_owned() })
    }

    /// Returns our side, to read from it or to write to it.
    fn ours(&self) -> io::Result<tokio::fs::File> {
        Ok(tokio::fs::File::from_std(self.ours.try_clone()?.into()))
    }
}
