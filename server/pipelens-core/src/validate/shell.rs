//! What is wrong with commands before a shell sees them: syntax errors, and what not every `sh` reads, at its exact place in the file.

use std::collections::HashMap;

use super::bash_only;
use super::commands::{self, Written};
use super::services::services;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use crate::model::{Pipeline, Step};
use crate::shell::{self, Dialect, Reading};
use crate::text::{Spanned, TextRange};

/// How much text of commands that are more than words is parsed, each once. Beyond that, only the shell itself checks them.
const MAX_BYTES_READ: usize = 256 * 1024;

pub(super) fn check(text: &str, pipeline: &Pipeline, commands: &mut Commands, findings: &mut Findings) {
    for step in pipeline.all_steps() {
        if let Some(cmd) = &step.cmd {
            check_command(text, cmd, image_of(pipeline, step), commands, findings);
        }
        for service in services(step) {
            for cmd in service.cmd.iter().chain(&service.ready_command) {
                check_command(text, cmd, Some(&service.image.value), commands, findings);
            }
        }
    }
}

fn check_command(
    text: &str,
    cmd: &Spanned<String>,
    image: Option<&str>,
    commands: &mut Commands,
    findings: &mut Findings,
) {
    findings.extend(commands::tag(text, cmd));
    findings.extend(commands::folded(&Written { text, cmd }));
    if let Some(reading) = commands.read(cmd) {
        let written = Written { text, cmd };
        findings.extend(reading.mistake.as_ref().map(|mistake| {
            Diagnostic::new(Code::ShellSyntax, written.visible_place(mistake.range), mistake.message.clone())
        }));
        findings.extend(bash_only::finding(&written, &reading.bash_only, image));
        findings.extend(commands::shebang(&written));
    }
}

/// Returns the image whose `sh` runs a step, if it is named in the step or is the default.
fn image_of<'p>(pipeline: &'p Pipeline, step: &'p Step) -> Option<&'p str> {
    if step.builds_in.is_some() || step.runner.as_ref().is_some_and(|runner| runner.value != "docker") {
        return None;
    }
    step.image.as_ref().or(pipeline.default_image.as_ref()).map(|image| image.value.as_str())
}

/// Commands that were parsed already. An alias makes one value the command of many steps.
#[derive(Debug)]
pub(crate) struct Commands {
    readings: HashMap<String, Reading>,
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
    fn read(&mut self, cmd: &Spanned<String>) -> Option<&Reading> {
        if shell::is_plain(&cmd.value) {
            return None;
        }
        if !self.readings.contains_key(&cmd.value) {
            let Some(left) = self.bytes_left.checked_sub(cmd.value.len()) else {
                self.unread.get_or_insert(cmd.range);
                return None;
            };
            self.bytes_left = left;
            self.readings.insert(cmd.value.clone(), shell::read(&cmd.value, Dialect::Sh));
        }
        self.readings.get(&cmd.value)
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
