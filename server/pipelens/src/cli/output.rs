//! What every subcommand prints, and the exit code they share.

use std::io::Write;

use clap::ValueEnum;
use owo_colors::OwoColorize;

use super::printable::printable;
use crate::terminal;

/// The command line was wrong, or a file cannot be read.
pub(super) const EXIT_USAGE: u8 = 2;

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people to read
    Human,
    /// For programs
    Json,
}

/// Who reads what a run prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RunFormat {
    /// For people to read
    Human,
    /// For programs
    Json,
    /// For GitHub workflows: as for people, with an annotation for each problem in a file of the project
    Github,
    /// For code scanning services: SARIF 2.1.0 with the problems in files of the project; the output of steps goes to standard error
    Sarif,
}

/// Prints to standard output. A reader that has closed it wants no more.
pub(super) fn print(text: &str) -> anyhow::Result<u8> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Prints text that may quote a file: it controls no terminal, and no CI system takes it for commands.
pub(super) fn print_quoting(text: &str, format: Format) -> anyhow::Result<u8> {
    match format {
        Format::Human => print(&terminal::inert(&terminal::visible(text))),
        Format::Json => print(&terminal::inert_json(text)),
    }
}

/// Prints an error to standard error.
pub(super) fn complain(message: &str) {
    say(&"error".red().bold().to_string(), message);
}

/// Prints a warning to standard error.
pub(super) fn warn(message: &str) {
    say(&"warning".yellow().bold().to_string(), message);
}

/// Prints a sentence to standard error.
pub(super) fn tell(message: &str) {
    // If standard error is closed, there is no way to report anything.
    drop(writeln!(anstream::stderr(), "{message}"));
}

fn say(kind: &str, message: &str) {
    // If standard error is closed, there is no way to report anything.
    let message = printable(message);
    drop(writeln!(anstream::stderr(), "{kind}: {}", terminal::inert(&message)));
}

/// Prints findings to standard error, apart from the actual output.
pub(super) fn show_findings(findings: &str) {
    // If standard error is closed, there is no way to show them.
    drop(write!(anstream::stderr(), "{}", terminal::inert(findings)));
}
