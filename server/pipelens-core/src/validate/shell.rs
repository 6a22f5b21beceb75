//! What the shell could not read in `cmd`, at its exact place in the file.

use std::collections::HashSet;

use crate::arguments::Ready;
use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::model::Pipeline;
use crate::shell;
use crate::syntax::offsets::Offsets;
use crate::text::{Spanned, TextRange};

pub(super) fn check(text: &str, pipeline: &Pipeline, findings: &mut Findings) {
    let steps = pipeline.steps.iter().chain(&pipeline.unnamed_steps);
    // An alias makes one text the command of many steps: it is read once.
    let mut seen = HashSet::new();
    let mut mistake = |text: &str, cmd: &Spanned<String>| {
        let is_new = !shell::is_plain(&cmd.value) && seen.insert(cmd.range);
        is_new.then(|| mistake(text, cmd)).flatten()
    };
    for step in steps {
        findings.extend(step.cmd.iter().filter_map(|cmd| mistake(text, cmd)));
        for service in step.services() {
            let asked = service.ready.and_then(|ready| match ready.value {
                Ready::Command(command) => Some(Spanned::new(command, ready.range)),
                Ready::Port(_) => None,
            });
            findings.extend(service.cmd.iter().chain(&asked).filter_map(|cmd| mistake(text, cmd)));
        }
    }
}

fn mistake(text: &str, cmd: &Spanned<String>) -> Option<Diagnostic> {
    let mistake = shell::mistake(&cmd.value)?;
    Some(Diagnostic::new(Code::ShellSyntax, place(text, cmd, mistake.range), mistake.message))
}

/// Where a part of a command stands in the file; where that cannot be told, its first line.
fn place(text: &str, cmd: &Spanned<String>, range: TextRange) -> TextRange {
    let exact = Offsets::of(text, cmd).and_then(|offsets| offsets.source(range));
    exact.unwrap_or_else(|| {
        let source = text.get(cmd.range.start..cmd.range.end).unwrap_or_default();
        TextRange::new(cmd.range.start, cmd.range.start + source.lines().next().map_or(0, str::len))
    })
}
