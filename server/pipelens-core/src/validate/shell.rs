//! Shell syntax errors in `cmd`, at their exact place in the file.

use std::collections::HashMap;

use super::services::services;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::findings::Findings;
use crate::model::Pipeline;
use crate::shell::{self, Dialect, Reading};
use crate::syntax::offsets::Offsets;
use crate::text::{Spanned, TextRange};

/// How much text of commands that are more than words is parsed, each once. Beyond that, only the shell itself checks them.
const MAX_BYTES_READ: usize = 256 * 1024;

pub(super) fn check(text: &str, pipeline: &Pipeline, commands: &mut Commands, findings: &mut Findings) {
    let steps = pipeline.all_steps();
    for step in steps {
        findings.extend(step.cmd.iter().filter_map(|cmd| commands.mistake(text, cmd)));
        for service in services(step) {
            findings
                .extend(service.cmd.iter().chain(&service.ready_command).filter_map(|cmd| commands.mistake(text, cmd)));
        }
    }
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
    fn mistake(&mut self, text: &str, cmd: &Spanned<String>) -> Option<Diagnostic> {
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
        let mistake = self.readings.get(&cmd.value)?.mistake.as_ref()?;
        Some(Diagnostic::new(Code::ShellSyntax, place(text, cmd, mistake.range), mistake.message.clone()))
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

/// Where a part of a command is in the file; if that is unknown, the command's first line.
fn place(text: &str, cmd: &Spanned<String>, range: TextRange) -> TextRange {
    let exact = Offsets::of(text, cmd).and_then(|offsets| offsets.source(range));
    exact.unwrap_or_else(|| {
        let source = cmd.range.of(text);
        TextRange::new(cmd.range.start, cmd.range.start + source.lines().next().map_or(0, str::len))
    })
}
