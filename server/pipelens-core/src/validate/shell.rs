//! What is wrong with commands before a shell sees them: syntax errors, and what not every `sh` reads, at its exact place in the file.

use std::collections::HashMap;

use super::bash_only;
use super::commands::{self, Written};
use super::failures;
use super::services::services;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use crate::model::{Pipeline, Step};
use crate::plan::DEFAULT_IMAGE;
use crate::shell::{self, Dialect, Reading};
use crate::text::{Spanned, TextRange};

/// How much text of commands that are more than words is parsed, each once. Beyond that, only the shell itself checks them.
const MAX_BYTES_READ: usize = 256 * 1024;

pub(super) fn check(text: &str, pipeline: &Pipeline, commands: &mut Commands, findings: &mut Findings) {
    for step in pipeline.all_steps() {
        if let Some(cmd) = &step.cmd {
            check_command(text, cmd, Shell::of(pipeline, step), commands, findings);
        }
        for service in services(step) {
            let shell = Shell {
                dialect: Dialect::Sh,
                image: Some(&service.image.value),
                can_be_chosen: false,
                ends_at_failure: false,
            };
            for cmd in service.cmd.iter().chain(&service.ready_command) {
                check_command(text, cmd, Some(shell), commands, findings);
            }
        }
    }
}

/// What runs a command.
#[derive(Debug, Clone, Copy)]
struct Shell<'a> {
    dialect: Dialect,
    /// The image it is in, if that is known.
    image: Option<&'a str>,
    /// Whether the author can choose another one with `shell`.
    can_be_chosen: bool,
    /// Whether it ends at the first command that fails.
    ends_at_failure: bool,
}

impl<'a> Shell<'a> {
    /// Returns the shell of a step; `None` if its command is for another program.
    fn of(pipeline: &'a Pipeline, step: &'a Step) -> Option<Self> {
        Some(Self {
            dialect: step.dialect()?,
            image: image_of(pipeline, step),
            can_be_chosen: pipeline.spelling.is_authored(),
            ends_at_failure: step.shell.as_ref().is_some_and(|shell| shell::ends_at_failure(&shell.value)),
        })
    }
}

fn check_command(
    text: &str,
    cmd: &Spanned<String>,
    shell: Option<Shell<'_>>,
    commands: &mut Commands,
    findings: &mut Findings,
) {
    let written = Written::new(text, cmd);
    findings.extend(commands::tag(&written));
    findings.extend(commands::folded(&written));
    // The commands of another program are not read.
    let Some(shell) = shell else { return };
    let reading = commands.read(cmd, shell.dialect);
    let is_readable = reading.is_none_or(|reading| reading.mistake.is_none());
    if shell.can_be_chosen && !shell.ends_at_failure && is_readable {
        findings.extend(failures::unnoticed(&written));
    }
    if let Some(reading) = reading {
        findings.extend(reading.mistake.as_ref().map(|mistake| {
            Diagnostic::new(Code::ShellSyntax, written.visible_place(mistake.range), mistake.message.clone())
        }));
        findings.extend(bash_only::finding(&written, &reading.bash_only, shell.image, shell.can_be_chosen));
        findings.extend(commands::shebang(&written, shell.dialect, shell.can_be_chosen));
    }
}

/// Returns the image whose `sh` runs a step, unless that is the one another step left or the machine's.
fn image_of<'p>(pipeline: &'p Pipeline, step: &'p Step) -> Option<&'p str> {
    if step.builds_in.is_some() || step.runner.as_ref().is_some_and(|runner| runner.value != "docker") {
        return None;
    }
    let image = step.image.as_ref().or(pipeline.default_image.as_ref());
    Some(image.map_or(DEFAULT_IMAGE, |image| image.value.as_str()))
}

/// Commands that were parsed already. An alias makes one value the command of many steps.
#[derive(Debug)]
pub(crate) struct Commands {
    readings: HashMap<Dialect, HashMap<String, Reading>>,
    bytes_left: usize,
    /// The first command that was no longer parsed.
    unread: Option<TextRange>,
}

impl Default for Commands {
    fn default() -> Self {
        Self { readings: HashMap::new(), bytes_left: MAX_BYTES_READ, unread: None }
    }
}

impl Commands {
    /// Returns what was found in a command that is more than words, unless there are too many.
    fn read(&mut self, cmd: &Spanned<String>, dialect: Dialect) -> Option<&Reading> {
        if shell::is_plain(&cmd.value) {
            return None;
        }
        let readings = self.readings.entry(dialect).or_default();
        if !readings.contains_key(&cmd.value) {
            let Some(left) = self.bytes_left.checked_sub(cmd.value.len()) else {
                self.unread.get_or_insert(cmd.range);
                return None;
            };
            self.bytes_left = left;
            readings.insert(cmd.value.clone(), shell::read(&cmd.value, dialect));
        }
        readings.get(&cmd.value)
    }

    /// Returns a finding about what was not parsed.
    pub(crate) fn finish(self) -> Option<Diagnostic> {
        let message = "Commands from here on are not checked, because together they are too long. Move long scripts into files of their own.";
        let mut finding = Diagnostic::new(Code::TooLarge, self.unread?, message);
        // The shell itself still checks them.
        finding.severity = Severity::Information;
        Some(finding)
    }
}
