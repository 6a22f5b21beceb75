//! Commands as the real shells of this machine read them: one that accepts is never contradicted.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the shells read their commands from files")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says what it counted"
)]

mod change;
mod failing;
mod generate;
mod machine;
mod written;

#[path = "../../../../tests/skipped.rs"]
mod skipped;
use machine::{Accepted, Shell};
use pipelens_core::shell::{Dialect, mistake};

/// How many commands are generated: as many are valid as are broken.
const COMMANDS: usize = 6_000;
/// Of the broken commands that every shell refuses, so many of a hundred must be found.
const LEAST_FOUND_PERCENT: usize = 65;

fn has_mistake(command: &str, dialect: Dialect) -> bool {
    mistake(command, dialect).is_some()
}

/// Returns the commands in which a mistake is found although a shell accepts them.
fn contradicted<'c>(commands: &'c [String], accepted: &Accepted) -> Vec<(&'c str, String)> {
    let mut result = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        let accepting: Vec<Shell> = accepted.by(index).collect();
        let is_wrong = |dialect| has_mistake(command, dialect);
        let message = |dialect| mistake(command, dialect).unwrap().message;
        if !accepting.is_empty() && is_wrong(Dialect::Sh) {
            result.push((command.as_str(), format!("sh, accepted by {accepting:?}: {}", message(Dialect::Sh))));
        }
        if accepting.contains(&Shell::Bash) && is_wrong(Dialect::Bash) {
            result.push((command.as_str(), format!("bash: {}", message(Dialect::Bash))));
        }
    }
    result
}

fn assert_agrees(commands: &[String], accepted: &Accepted) {
    let mut contradicted = contradicted(commands, accepted);
    contradicted.sort_by_key(|(command, _)| command.len());
    let shown: Vec<String> =
        contradicted.iter().take(12).map(|(command, why)| format!("{why}\n{command}\n----")).collect();
    assert!(contradicted.is_empty(), "{} commands:\n{}", contradicted.len(), shown.join("\n"));
}

#[test]
fn no_generated_command_that_a_shell_accepts_has_a_mistake() {
    let commands = generate::commands(COMMANDS);
    let accepted = machine::ask(&commands, &[Shell::Dash, Shell::Busybox, Shell::Bash]);
    assert_agrees(&commands, &accepted);
    let refused: Vec<&String> =
        commands.iter().enumerate().filter(|(index, _)| accepted.by(*index).next().is_none()).map(|(_, c)| c).collect();
    let (mut missed, found): (Vec<&String>, Vec<&String>) =
        refused.iter().partition(|command| !has_mistake(command, Dialect::Sh));
    missed.sort_by_key(|command| command.len());
    println!("{} commands, {} of them refused by every shell, {} found", commands.len(), refused.len(), found.len());
    // Half of them are broken, and most of those for every shell.
    assert!(refused.len() * 5 > commands.len(), "{}", refused.len());
    assert!(accepted.count() * 3 > commands.len(), "{}", accepted.count());
    assert!(
        found.len() * 100 >= refused.len() * LEAST_FOUND_PERCENT,
        "{} of {}: {:#?}",
        found.len(),
        refused.len(),
        missed.iter().take(20).collect::<Vec<_>>()
    );
}

#[test]
fn no_written_command_that_a_shell_accepts_has_a_mistake() {
    let commands: Vec<String> = written::ACCEPTED.iter().chain(written::REFUSED).map(|c| (*c).to_owned()).collect();
    let accepted = machine::ask(&commands, &Shell::ALL);
    assert_agrees(&commands, &accepted);
    // The list holds what at least one shell accepts; without all of them, that cannot be checked.
    if accepted.has_every_shell() {
        for (index, command) in written::ACCEPTED.iter().enumerate() {
            assert!(accepted.by(index).next().is_some(), "no shell accepts {command}");
        }
    }
}

#[test]
fn a_written_command_that_no_shell_accepts_has_a_mistake() {
    let missed: Vec<_> = written::REFUSED.iter().filter(|command| !has_mistake(command, Dialect::Sh)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}
