//! What a program has made, at the places of its text.

use tree_sitter::Tree;

use super::envelope::Envelope;
use super::made::{Failure, Frame, Made, Position, Rendering};
use super::{nodes, stale, typescript};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::files::Language;
use crate::findings::Findings;
use crate::model::Pipeline;
use crate::project::Project;
use crate::syntax::parse::floor_char_border;
use crate::text::{LineIndex, Spanned, TextRange};
use crate::validate;

impl Rendering {
    /// Puts the pipelines of an envelope at the places of the program that made them. `made` has one entry for each, and `before` is what was
    /// made the last time.
    pub fn new(
        text: &str,
        language: Language,
        envelope: &str,
        made: &[Made],
        project: Option<&dyn Project>,
        before: Option<&Self>,
    ) -> Self {
        let envelope = Envelope::analyzed(envelope, before.and_then(|before| before.envelope.as_ref()));
        let places = Places::new(text, language);
        let mut pipelines = envelope.pipelines.clone();
        for (index, pipeline) in pipelines.iter_mut().enumerate() {
            places.put(pipeline, made.get(index));
        }
        let mut findings = Findings::default();
        let mut commands = validate::Commands::default();
        for pipeline in &pipelines {
            validate::check_pipeline(text, pipeline, &mut commands, &mut findings);
            if let Some(project) = project {
                validate::check_in_project(text, pipeline, project, &mut findings);
            }
        }
        findings.extend(commands.finish());
        // What is wrong with the envelope itself is shown where its pipeline or its step is made.
        for finding in &envelope.diagnostics {
            let is_known = findings.iter().any(|known| known.code == finding.code && known.message == finding.message);
            if !is_known && finding.severity == Severity::Error {
                let range = new_place(&envelope.pipelines, &pipelines, finding.range);
                findings.push(Diagnostic { range, related: Vec::new(), fixes: Vec::new(), ..finding.clone() });
            }
        }
        // An edit cannot be made from here: the program computes what would have to change.
        findings.list_mut().iter_mut().for_each(|finding| finding.fixes.clear());
        let diagnostics = findings.finish();
        Self { text: text.to_owned(), envelope: Some(envelope), pipelines, diagnostics, unplaced: Vec::new() }
    }

    /// Keeps what was made before, and says why a text has made nothing.
    pub fn failed(text: &str, language: Language, failure: &Failure, before: Option<&Self>) -> Self {
        let places = Places::new(text, language);
        let range = failure.place.map_or_else(|| import(text), |place| places.range(place));
        let mut finding = Diagnostic::new(Code::ProgramFailed, range, failure.message.clone());
        for related in failure.related.iter().rev() {
            finding = finding.with_related(places.range(*related), "Called from here");
        }
        let kept = before.map(|before| stale::placed(text, before, &[]));
        let (pipelines, unplaced) = kept.map(|kept| (kept.pipelines, kept.unplaced)).unwrap_or_default();
        let envelope = before.and_then(|before| before.envelope.clone());
        Self { text: text.to_owned(), envelope, pipelines, diagnostics: vec![finding], unplaced }
    }
}

/// Returns the place of what was at a range of the envelope.
fn new_place(before: &[Pipeline], after: &[Pipeline], range: TextRange) -> TextRange {
    let index = before.iter().position(|pipeline| pipeline.range.contains_range(range)).unwrap_or(0);
    let (Some(old), Some(new)) = (before.get(index), after.get(index)) else { return TextRange::at(0) };
    let step = old.steps.iter().position(|step| step.range.contains_range(range));
    step.and_then(|step| new.steps.get(step)).map_or(new.heading, |step| step.range)
}

/// Returns the line that imports the SDK, else the first one.
fn import(text: &str) -> TextRange {
    let lines = LineIndex::new(text);
    let ranges = (0..lines.line_count()).map(|line| lines.line_range(line).first_line(text));
    let imports = |range: &TextRange| {
        let line = range.of(text);
        (line.starts_with("import") || line.starts_with("from")) && line.contains("harmont")
    };
    ranges.clone().find(imports).or_else(|| ranges.clone().next()).unwrap_or_default()
}

struct Places<'t> {
    text: &'t str,
    lines: LineIndex,
    /// Of a language whose runtimes only say where a call starts.
    tree: Option<Tree>,
}

impl<'t> Places<'t> {
    fn new(text: &'t str, language: Language) -> Self {
        let tree = if language == Language::TypeScript { nodes::parsed(text, language) } else { None };
        Self { text, lines: LineIndex::new(text), tree }
    }

    fn put(&self, pipeline: &mut Pipeline, made: Option<&Made>) {
        let declared = made.and_then(|made| made.declared).map(|frame| self.range(frame));
        let heading = declared.unwrap_or_else(|| import(self.text));
        pipeline.place(heading);
        let steps = made.map(|made| made.steps.as_slice()).unwrap_or_default();
        let ranges: Vec<Option<TextRange>> = (0..pipeline.steps.len())
            .map(|step| steps.get(step).copied().flatten().map(|frame| self.range(frame)))
            .collect();
        let links: Vec<Option<TextRange>> =
            ranges.iter().map(|range| Some(self.link(range.as_ref()?, &ranges))).collect();
        for (step, range) in pipeline.steps.iter_mut().zip(links) {
            step.place(range.unwrap_or(heading));
            if let (Some(range), Some(cmd)) = (range, &mut step.cmd) {
                cmd.range = command_literal(self.text, range, cmd).unwrap_or(range);
            }
        }
        pipeline.unnamed_steps.iter_mut().for_each(|step| step.place(heading));
    }

    /// Returns the part of a chain that made a step: what comes after the steps before it.
    fn link(&self, range: &TextRange, all: &[Option<TextRange>]) -> TextRange {
        let before = all.iter().flatten().filter(|other| other.start == range.start && other.end < range.end);
        let Some(end) = before.map(|other| other.end).max() else { return *range };
        let rest = TextRange::new(end, range.end).of(self.text);
        let skipped =
            rest.len() - rest.trim_start_matches(|next: char| next.is_whitespace() || ".\\?!)".contains(next)).len();
        TextRange::new(end + skipped, range.end)
    }

    fn range(&self, frame: Frame) -> TextRange {
        let start = self.offset(frame.start);
        match (frame.end, &self.tree) {
            (Some(end), _) => TextRange::new(start, self.offset(end)),
            (None, Some(tree)) => typescript::call_at(self.text, tree, start),
            (None, None) => self.lines.line_range(self.lines.line(start)).first_line(self.text),
        }
    }

    fn offset(&self, position: Position) -> usize {
        let line = self.lines.line_range(position.line);
        floor_char_border(self.text, (line.start + position.column).min(line.end))
    }
}

/// Returns the literal with a command, if the part of the program that made its step has exactly one.
fn command_literal(text: &str, range: TextRange, cmd: &Spanned<String>) -> Option<TextRange> {
    if cmd.value.is_empty() || cmd.value.contains(['\\', '"', '\'', '\n', '\r', '`']) {
        return None;
    }
    let written = range.of(text);
    let mut found = written.match_indices(cmd.value.as_str()).filter(|(at, _)| {
        let before = written.get(..*at).and_then(|before| before.chars().next_back());
        let after = written.get(at + cmd.value.len()..).and_then(|after| after.chars().next());
        before == after && matches!(before, Some('"' | '\'' | '`'))
    });
    let (at, _) = found.next()?;
    found.next().is_none().then(|| TextRange::new(range.start + at, range.start + at + cmd.value.len()))
}
