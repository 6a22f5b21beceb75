//! The one way from text to `Analysis`: read, lower, check, and leave out what nobody asked to hear.

use std::collections::BTreeSet;

use crate::diagnostic::{Code, Diagnostic};
use crate::model::Pipeline;
use crate::syntax::repair::{self, Repaired};
use crate::syntax::{json, tree::Tree};
use crate::text::{LineIndex, TextRange};
use crate::{Analysis, Format, Project, lower, suppress, validate};

/// Sixteen mebibytes: a thousand times what people write, and still read in a second.
const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;
/// An editor is of no more use with more, and nobody reads them.
const MAX_DIAGNOSTICS: usize = 1_000;

pub(crate) fn analyze(text: &str, format: Format, project: Option<&dyn Project>) -> Analysis {
    let line_index = LineIndex::new(text);
    if text.len() > MAX_TEXT_BYTES {
        let message = "This file is larger than 16 MiB, which is more than a pipeline can be. Split it.";
        let diagnostics = vec![Diagnostic::new(Code::TooLarge, TextRange::at(0), message)];
        return Analysis { line_index, diagnostics, text: text.to_owned(), ..Analysis::default() };
    }
    let Repaired { tree, mut findings, mended_lines } = repair::read(text, &line_index);
    let is_repaired = !findings.is_empty();
    if format == Format::Json && !is_repaired && !text.trim_start_matches('\u{feff}').trim().is_empty() {
        findings.extend(json::check(text, &line_index));
    }
    let mut meaning = Vec::new();
    let pipelines = read_documents(text, &tree, format, project, &mut meaning);
    if is_repaired {
        let mended = Mended { text, lines: &line_index, mended_lines: &mended_lines };
        meaning.retain(|finding| !mended.invented(finding, &pipelines));
    }
    validate::add_removals(text, &tree, &mut meaning);
    findings.append(&mut meaning);
    let mut silenced = suppress::apply(text, &line_index, &tree.comments, &mut findings);
    silenced.retain(suppress::still_refuses);
    findings.sort_by(|a, b| (a.range, a.code, &a.message).cmp(&(b.range, b.code, &b.message)));
    findings.dedup();
    // Errors must not be cut off: a run relies on them.
    if findings.len() > MAX_DIAGNOSTICS {
        findings.sort_by_key(|finding| finding.severity);
        findings.truncate(MAX_DIAGNOSTICS);
        findings.sort_by_key(|finding| finding.range);
    }
    Analysis { line_index, pipelines, diagnostics: findings, is_repaired, silenced, text: text.to_owned(), tree }
}

fn read_documents(
    text: &str,
    tree: &Tree,
    format: Format,
    project: Option<&dyn Project>,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Pipeline> {
    if !validate::check_references(text, tree, findings) {
        return Vec::new();
    }
    let mut pipelines = Vec::new();
    let mut is_empty = true;
    for root in tree.documents.iter().copied().filter(|root| validate::says_something(tree, *root)) {
        is_empty = false;
        validate::check_document(text, tree, root, findings);
        if let Some(kind) = lower::document_kind(tree, root) {
            pipelines.extend(lower::pipelines(tree, root, kind, format == Format::Json));
        }
    }
    if is_empty {
        let message = "This file has no pipeline yet. Start with `steps:` and a step with `key` and `cmd`.";
        findings.push(Diagnostic::new(Code::EmptyFile, TextRange::at(0), message));
    }
    for pipeline in &mut pipelines {
        let steps = pipeline.steps.iter_mut().chain(&mut pipeline.unnamed_steps);
        steps.for_each(|step| step.range.start = dash_before(text, step.range.start));
    }
    for pipeline in &pipelines {
        validate::check_pipeline(text, pipeline, findings);
        if let Some(project) = project {
            validate::check_in_project(text, pipeline, project, findings);
        }
    }
    pipelines
}

/// A step begins with the `-` of its list entry: a cursor on it is in the step.
pub(crate) fn dash_before(text: &str, start: usize) -> usize {
    let before = text.get(..start).unwrap_or_default().trim_end_matches(' ');
    if before.ends_with('-') && before.len() < start { before.len() - 1 } else { start }
}

/// The lines a repair touched: what is found there, or is missing because of them, is the repair's doing.
struct Mended<'a> {
    text: &'a str,
    lines: &'a LineIndex,
    mended_lines: &'a BTreeSet<usize>,
}

impl Mended<'_> {
    fn invented(&self, finding: &Diagnostic, pipelines: &[Pipeline]) -> bool {
        if self.touches(finding.range) || finding.related.iter().any(|related| self.touches(related.range)) {
            return true;
        }
        match finding.code {
            Code::NotAPipeline | Code::EmptyFile | Code::EmptyList | Code::UnusedAnchor | Code::UndefinedAnchor => true,
            Code::MissingKey | Code::MissingPolicyKey => self.is_near(finding.range),
            Code::WrongType | Code::UnknownKey | Code::MisplacedKey | Code::DuplicateMappingKey => {
                self.is_near(finding.range) && !is_in_whole_step(self, finding, pipelines)
            }
            Code::UnknownStep => self.mentions(finding),
            _ => false,
        }
    }

    fn touches(&self, range: TextRange) -> bool {
        self.mended_lines.range(self.lines.line(range.start)..=self.lines.line(range.end)).next().is_some()
    }

    /// A finding of absence stands at the start of what lacks it; the mended line may be anywhere in that block.
    fn is_near(&self, range: TextRange) -> bool {
        let first = self.lines.line(range.start);
        let indent = |line: usize| {
            let range = self.lines.line_range(line);
            let content = self.text.get(range.start..range.end).unwrap_or_default().trim_end();
            (!content.is_empty()).then(|| content.len() - content.trim_start().len())
        };
        let own = indent(first).unwrap_or_default();
        let starts_entry = |line: usize| indent(line).is_some_and(|indent| indent <= own);
        let begin = (0..first).rev().find(|line| starts_entry(*line)).unwrap_or_default();
        // Keys of one block share an indentation, so the block reaches to whatever is indented less.
        let is_list_entry =
            self.text.get(self.lines.line_start(first) + own..).is_some_and(|rest| rest.starts_with("- "));
        let ends =
            |line: usize| indent(line).is_some_and(|indent| if is_list_entry { indent <= own } else { indent < own });
        let end = (first + 1..self.lines.line_count()).find(|line| ends(*line)).unwrap_or(self.lines.line_count());
        self.mended_lines.range(begin..=end).next().is_some()
    }

    /// The mended lines may be where the name was defined.
    fn mentions(&self, finding: &Diagnostic) -> bool {
        let name = self.text.get(finding.range.start..finding.range.end).unwrap_or_default().trim_matches(['"', '\'']);
        self.mended_lines.iter().any(|line| {
            let range = self.lines.line_range(*line);
            self.text.get(range.start..range.end).is_some_and(|line| line.contains(name))
        })
    }
}

fn is_in_whole_step(mended: &Mended<'_>, finding: &Diagnostic, pipelines: &[Pipeline]) -> bool {
    pipelines.iter().any(|pipeline| {
        // Steps stand in file order, so only the last that starts before the finding can hold it.
        let behind = pipeline.steps.partition_point(|step| step.range.start <= finding.range.start);
        let step = behind.checked_sub(1).and_then(|before| pipeline.steps.get(before));
        step.is_some_and(|step| step.range.contains_range(finding.range) && !mended.touches(step.range))
    })
}
