//! What a shell linter reports about `cmd`, at its place in the file.

use crate::diagnostic::{Code, Diagnostic, Fix};
use crate::findings::Findings;
use crate::model::Pipeline;
use crate::project::{Project, Remark};
use crate::shell;
use crate::syntax::offsets::Offsets;
use crate::syntax::written::in_single_quotes;
use crate::text::{Spanned, TextEdit, TextRange, apply_edits};

pub(crate) fn check(text: &str, pipeline: &Pipeline, project: &dyn Project, findings: &mut Findings) {
    let checked = pipeline.all_steps().filter_map(|step| Some((step, step.cmd.as_ref()?, step.dialect()?)));
    for (step, cmd, dialect) in checked {
        let remarks = project.remarks(&cmd.value, dialect);
        // A command the shell cannot parse already has a more precise finding.
        let is_unreadable =
            |finding: &Diagnostic| finding.code == Code::ShellSyntax && cmd.range.contains_range(finding.range);
        if remarks.is_empty() || findings.iter().any(is_unreadable) {
            continue;
        }
        let Some(offsets) = Offsets::of(text, cmd) else { continue };
        let reported: Vec<TextRange> = findings
            .iter()
            .filter(|finding| finding.code == Code::BashOnly && cmd.range.contains_range(finding.range))
            .flat_map(places)
            .collect();
        let expressions: Vec<TextRange> = findings
            .iter()
            .filter(|finding| finding.code == Code::ForeignExpression && cmd.range.contains_range(finding.range))
            .map(|finding| finding.range)
            .collect();
        let notices_failures = step.shell.as_ref().is_some_and(|shell| shell::ends_at_failure(&shell.value));
        let is_wanted = |remark: &&Remark| {
            let is_answered = notices_failures && is_about_failed_cd(&remark.message);
            !is_answered && !is_about_parsing(&remark.message)
        };
        for remark in remarks.iter().filter(is_wanted) {
            let Some(range) = offsets.source(remark.range) else { continue };
            let overlaps = |place: &TextRange| place.start < range.end && range.start < place.end;
            let is_reported = is_about_bash(&remark.message) && reported.iter().any(overlaps);
            if is_reported || expressions.iter().any(overlaps) {
                continue;
            }
            let mut finding = Diagnostic::new(Code::Shellcheck, range, &remark.message);
            finding.severity = remark.severity;
            finding.fixes.extend(fix(text, cmd, &offsets, remark));
            findings.push(finding);
        }
    }
}

/// Returns the places that a finding is about; another linter need not report them again.
fn places(finding: &Diagnostic) -> impl Iterator<Item = TextRange> + '_ {
    let related = finding.related.iter().map(|related| related.place.range);
    std::iter::once(finding.range).chain(related)
}

/// Whether the linter says that only bash reads something: its codes from 3000 to 3999.
fn is_about_bash(message: &str) -> bool {
    message.rsplit_once("(SC3").is_some_and(|(_, code)| code.len() == "000).".len())
}

/// Whether the linter says that the command goes on after a `cd` that failed. It does not know the options the shell is started with.
fn is_about_failed_cd(message: &str) -> bool {
    ["(SC2103).", "(SC2164)."].iter().any(|code| message.ends_with(code))
}

/// Whether the linter says that it cannot read the command. The shells can, or there would be a finding.
fn is_about_parsing(message: &str) -> bool {
    ["(SC1009).", "(SC1072).", "(SC1073)."].iter().any(|code| message.ends_with(code))
}

/// What the linter would change, as edits of the file. Quoting changes what a command does, so a person has to decide.
fn fix(text: &str, cmd: &Spanned<String>, offsets: &Offsets, remark: &Remark) -> Option<Fix> {
    command_fix(text, cmd, offsets, &remark.fix, "Apply ShellCheck's suggestion", false)
}

/// Edits of a command as edits of its file. `None`: the file would not mean exactly the edited command.
pub(super) fn command_fix(
    text: &str,
    cmd: &Spanned<String>,
    offsets: &Offsets,
    changes: &[TextEdit],
    title: &str,
    is_safe: bool,
) -> Option<Fix> {
    if changes.is_empty() || changes.iter().any(|edit| edit.new_text.contains('\n')) {
        return None;
    }
    let style = Style::of(text, cmd, offsets);
    let edits: Vec<TextEdit> = changes
        .iter()
        .map(|edit| {
            Some(TextEdit { range: place(&cmd.value, offsets, edit.range)?, new_text: style.written(&edit.new_text) })
        })
        .collect::<Option<_>>()?;
    let is_kept = |source: &str| match style {
        // A block or quoted scalar can contain any character.
        Style::Block | Style::Single | Style::Double => true,
        Style::Plain => !source.starts_with(['"', '\'']) && !source.contains(": ") && !source.contains(" #"),
    };
    let inner: Vec<TextEdit> = edits
        .iter()
        .map(|edit| {
            let range = TextRange::new(edit.range.start - cmd.range.start, edit.range.end - cmd.range.start);
            TextEdit { range, new_text: edit.new_text.clone() }
        })
        .collect();
    let source = apply_edits(text.get(cmd.range.start..cmd.range.end)?, &inner);
    // The file must then mean exactly what the linter proposed.
    let is_exact = Offsets::says(&source, &apply_edits(&cmd.value, changes));
    (is_kept(&source) && is_exact).then(|| Fix::new(title, is_safe, edits))
}

/// Where an edit of the command goes in the file. An insertion stays with the character it touches: the white space around it may be a
/// line break in the file.
fn place(command: &str, offsets: &Offsets, range: TextRange) -> Option<TextRange> {
    if !range.is_empty() {
        return offsets.source(range);
    }
    let (before, after) = command.split_at_checked(range.start)?;
    let is_visible = |character: &char| !character.is_whitespace();
    if let Some(next) = after.chars().next().filter(is_visible) {
        let next = TextRange::new(range.start, range.start + next.len_utf8());
        return Some(TextRange::at(offsets.source(next)?.start));
    }
    let last = before.chars().next_back().filter(is_visible)?;
    Some(TextRange::at(offsets.source(TextRange::new(range.start - last.len_utf8(), range.start))?.end))
}

/// How a command is written in its file.
#[derive(Clone, Copy)]
enum Style {
    Plain,
    Block,
    Single,
    Double,
}

impl Style {
    fn of(text: &str, cmd: &Spanned<String>, offsets: &Offsets) -> Self {
        match offsets.quote() {
            Some('\'') => Self::Single,
            Some(_) => Self::Double,
            None => {
                let above = text.get(..cmd.range.start).unwrap_or_default().trim_end_matches([' ', '\t']);
                let header = above.trim_end_matches(['\r', '\n']);
                let word = header.rsplit([' ', '\t', '\n']).next().unwrap_or_default();
                let is_block = header.len() < above.len() && word.starts_with(['|', '>']);
                if is_block { Self::Block } else { Self::Plain }
            }
        }
    }

    fn written(self, characters: &str) -> String {
        match self {
            Self::Plain | Self::Block => characters.to_owned(),
            Self::Single => in_single_quotes(characters),
            Self::Double => characters.replace('\\', "\\\\").replace('"', "\\\""),
        }
    }
}
