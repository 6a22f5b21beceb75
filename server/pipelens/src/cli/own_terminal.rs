//! The terminal in which we were started, for as long as a shell has it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use pipelens_engine::person::{Terminal, TerminalStreams};
use tokio::sync::Notify;

/// Given to a shell by `let_go`, once nothing else will be printed.
#[derive(Debug, Default)]
pub(super) struct OwnTerminal {
    may_open: Notify,
    is_let_go: AtomicBool,
    /// How it was before.
    before: Mutex<Option<raw::Mode>>,
    exit_code: Mutex<Option<i64>>,
}

impl OwnTerminal {
    pub(super) fn let_go(&self) {
        self.is_let_go.store(true, Ordering::Release);
        self.may_open.notify_one();
    }

    /// Whether the shell has it.
    pub(super) fn is_let_go(&self) -> bool {
        self.is_let_go.load(Ordering::Acquire)
    }

    /// Takes it back, and sets it to what it was before.
    pub(super) fn restore(&self) {
        if let Some(before) = self.before.lock().take() {
            raw::leave(&before);
        }
        self.is_let_go.store(false, Ordering::Release);
    }

    /// Returns the shell's exit code.
    pub(super) fn exit_code(&self) -> Option<u8> {
        // A shell that was ended from outside has one that says so.
        self.exit_code.lock().map(|code| u8::try_from(code).unwrap_or(1))
    }
}

#[async_trait]
impl Terminal for OwnTerminal {
    fn kind(&self) -> Option<String> {
        std::env::var("TERM").ok()
    }

    async fn open(&self) -> io::Result<TerminalStreams> {
        self.may_open.notified().await;
        let (streams, before) = raw::enter()?;
        *self.before.lock() = Some(before);
        Ok(streams)
    }

    fn close(&self, exit_code: Option<i64>) {
        *self.exit_code.lock() = exit_code;
        self.restore();
    }
}

#[cfg(unix)]
mod raw {
    use std::fs::File;
    use std::io::{self, Read as _};
    use std::os::fd::AsFd as _;

    use bytes::Bytes;
    use pipelens_engine::person::{TerminalSize, TerminalStreams};
    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
    use tokio::signal::unix::{SignalKind, signal};
    use tokio::sync::{mpsc, watch};

    const READ_BYTES: usize = 4096;
    /// Reads that have not reached the shell yet.
    const READ_AHEAD: usize = 16;
    const USUAL: TerminalSize = TerminalSize { rows: 24, columns: 80 };

    pub(super) type Mode = Termios;

    /// From now on, every key goes to the shell as it is, and the output is shown as it is.
    pub(super) fn enter() -> io::Result<(TerminalStreams, Mode)> {
        let (input, output) = (io::stdin(), io::stdout().as_fd().try_clone_to_owned()?);
        let mut resized = signal(SignalKind::window_change())?;
        let (sizes, size) = watch::channel(look());
        tokio::spawn(async move { while resized.recv().await.is_some() && sizes.send(look()).is_ok() {} });
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Now, &raw)?;
        let (typed, input) = mpsc::channel(READ_AHEAD);
        // It is never joined: it may wait for a key when we exit.
        std::thread::spawn(move || {
            let mut buffer = [0; READ_BYTES];
            while let Ok(count @ 1..) = io::stdin().lock().read(&mut buffer) {
                let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                if typed.blocking_send(bytes).is_err() {
                    break;
                }
            }
        });
        let output = Box::pin(tokio::fs::File::from_std(File::from(output)));
        Ok((TerminalStreams { input, output, size }, before))
    }

    pub(super) fn leave(before: &Mode) {
        // A terminal that is gone needs nothing.
        tcsetattr(io::stdin(), OptionalActions::Now, before).ok();
    }

    fn look() -> TerminalSize {
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
        size.map_or(USUAL, |size| TerminalSize { rows: size.ws_row, columns: size.ws_col })
    }
}

#[cfg(not(unix))]
mod raw {
    use std::io;

    use pipelens_engine::person::TerminalStreams;

    #[derive(Debug)]
    pub(super) struct Mode;

    pub(super) fn enter() -> io::Result<(TerminalStreams, Mode)> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system's terminals are not supported yet"))
    }

    pub(super) fn leave(_before: &Mode) {}
}
