//! A shell for a person in place of a step's command: who asks for it, and the person's terminal. Knows no runner.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};

/// A person wants a shell where a step's command would run.
#[derive(Debug, Clone)]
pub struct ShellRequest {
    /// The step's position in the plan.
    pub step: usize,
    pub start: ShellStart,
    pub terminal: Arc<dyn Terminal>,
}

/// What the shell starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellStart {
    /// What the step's command would start from.
    BeforeCommand,
    /// What the step's command left when it failed last.
    AfterFailure,
    /// What a store has kept at this place.
    At(String),
}

/// A person's terminal.
#[async_trait]
pub trait Terminal: Debug + Send + Sync {
    /// Returns its kind, the value of `TERM`.
    fn kind(&self) -> Option<String>;

    /// Hands the terminal over to the shell, once it can start. Called after the phase `Running` is reported, for which it may wait.
    async fn open(&self) -> io::Result<TerminalStreams>;

    /// Takes the terminal back when the shell has ended; `None`: nothing is known about its exit code.
    fn close(&self, exit_code: Option<i64>);
}

/// What is typed, what is shown, and how large the terminal is.
pub struct TerminalStreams {
    pub input: mpsc::Receiver<Bytes>,
    pub output: Pin<Box<dyn AsyncWrite + Send>>,
    pub size: watch::Receiver<TerminalSize>,
}

impl Debug for TerminalStreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TerminalStreams").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    pub rows: u16,
    pub columns: u16,
}

/// The programs that a person can type commands into.
const SHELLS: [&str; 9] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "yash"];

/// Returns the shell to start for a person: the program that runs the step's command, if it is a shell.
pub(crate) fn shell_of(words: &[String]) -> &str {
    let own = words.first().map_or("sh", String::as_str);
    let name = own.rsplit('/').next().unwrap_or(own);
    if SHELLS.contains(&name) { own } else { "sh" }
}

/// Connects a terminal with a shell until the shell's output ends.
pub(crate) async fn connect(
    terminal: TerminalStreams,
    mut to_shell: impl AsyncWrite + Unpin,
    mut from_shell: impl Stream<Item = io::Result<Bytes>> + Unpin,
    resize: impl Fn(TerminalSize) -> BoxFuture<'static, ()>,
) {
    let TerminalStreams { mut input, mut output, mut size } = terminal;
    let send = async {
        while let Some(typed) = input.recv().await {
            // The other end is closed; the output will show it.
            if to_shell.write_all(&typed).await.is_err() || to_shell.flush().await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let receive = async {
        while let Some(Ok(shown)) = from_shell.next().await {
            if output.write_all(&shown).await.is_err() || output.flush().await.is_err() {
                break;
            }
        }
    };
    let follow = async {
        loop {
            let now = *size.borrow_and_update();
            resize(now).await;
            if size.changed().await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = receive => {}
        () = send => {}
        () = follow => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_another_program_runs_gets_a_plain_shell() {
        let shell =
            |words: &[&str]| shell_of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).to_owned();
        assert_eq!(shell(&["/bin/bash", "-euo", "pipefail"]), "/bin/bash");
        assert_eq!(shell(&["python3"]), "sh");
        assert_eq!(shell(&[]), "sh");
    }
}
