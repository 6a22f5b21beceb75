//! Which findings a repair caused: those at or near the lines it touched say nothing about what the author wrote.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::diagnostic::{Code, Diagnostic};
use crate::model::Pipeline;
use crate::text::{LineIndex, TextRange};

/// A repair that touched more text than this may have removed any name.
const MAX_SEARCHED_BYTES: usize = 64 * 1024;

/// The lines a repair touched: it caused whatever is found there, or is missing because of them.
pub(crate) struct Repairs<'a> {
    text: &'a str,
    lines: &'a LineIndex,
    repaired_lines: &'a BTreeSet<usize>,
    blocks: OnceCell<Blocks>,
    repaired_text: OnceCell<Option<String>>,
}

impl<'a> Repairs<'a> {
    pub(crate) fn new(text: &'a str, lines: &'a LineIndex, repaired_lines: &'a BTreeSet<usize>) -> Self {
        Self { text, lines, repaired_lines, blocks: OnceCell::new(), repaired_text: OnceCell::new() }
    }

    /// Tells whether a repair caused a finding. `pipelines` are in text order.
    pub(crate) fn caused(&self, finding: &Diagnostic, pipelines: &[Pipeline]) -> bool {
        if self.touches(finding.range) || finding.related.iter().any(|related| self.touches(related.place.range)) {
            return true;
        }
        match finding.code {
            Code::NotAPipeline | Code::EmptyFile | Code::EmptyList | Code::UnusedAnchor | Code::UndefinedAnchor => true,
            Code::MissingKey | Code::MissingPolicyKey => self.is_near(finding.range),
            Code::WrongType | Code::UnknownKey | Code::MisplacedKey | Code::DuplicateMappingKey => {
                self.is_near(finding.range) && !self.is_in_whole_step(finding, pipelines)
            }
            Code::UnknownStep => self.mentions(finding),
            _ => false,
        }
    }

    fn touches(&self, range: TextRange) -> bool {
        self.repaired_lines.range(self.lines.line(range.start)..=self.lines.line(range.end)).next().is_some()
    }

    /// A finding about something missing is at the start of the incomplete block; the repaired line may be anywhere in that block.
    fn is_near(&self, range: TextRange) -> bool {
        let block = self.blocks.get_or_init(|| Blocks::of(self.text, self.lines)).around(self.lines.line(range.start));
        self.repaired_lines.range(block.0..=block.1).next().is_some()
    }

    /// The name may have been defined on one of the repaired lines.
    fn mentions(&self, finding: &Diagnostic) -> bool {
        let name = finding.range.of(self.text).trim_matches(['"', '\'']);
        let repaired = self.repaired_text.get_or_init(|| self.repaired_text());
        repaired.as_ref().is_none_or(|repaired| repaired.contains(name))
    }

    fn repaired_text(&self) -> Option<String> {
        let mut repaired = String::new();
        for line in self.repaired_lines {
            let range = self.lines.line_range(*line);
            repaired.push_str(range.of(self.text));
            repaired.push('\n');
            if repaired.len() > MAX_SEARCHED_BYTES {
                return None;
            }
        }
        Some(repaired)
    }

    fn is_in_whole_step(&self, finding: &Diagnostic, pipelines: &[Pipeline]) -> bool {
        let after = pipelines.partition_point(|pipeline| pipeline.range.start <= finding.range.start);
        let Some(pipeline) = after.checked_sub(1).and_then(|before| pipelines.get(before)) else { return false };
        // Steps are in file order too, so only the last one that starts before the finding can contain it.
        let after = pipeline.steps.partition_point(|step| step.range.start <= finding.range.start);
        let step = after.checked_sub(1).and_then(|before| pipeline.steps.get(before));
        step.is_some_and(|step| step.range.contains_range(finding.range) && !self.touches(step.range))
    }
}

/// Where the block of each line begins and ends, by indentation. A block extends from the nearest line above that is indented no
/// more to the nearest line below that is indented less; that of a list's item ends with the next item.
struct Blocks {
    ranges: Vec<(usize, usize)>,
}

impl Blocks {
    fn of(text: &str, lines: &LineIndex) -> Self {
        let count = lines.line_count();
        let content = |line: usize| {
            let range = lines.line_range(line);
            range.of(text).trim_end()
        };
        let indent = |content: &str| content.len() - content.trim_start().len();
        let mut ranges = vec![(0, count); count];
        // Lines whose block has not ended, each indented more than the one before it or as much.
        let mut open: Vec<(usize, usize, bool)> = Vec::new();
        for line in 0..count {
            let content = content(line);
            if content.is_empty() {
                continue;
            }
            let own = indent(content);
            let ends = |(_, outer, is_item): &(usize, usize, bool)| own < *outer || (own == *outer && *is_item);
            let mut begin = None;
            while let Some((ended, outer, _)) = open.pop_if(|block| ends(block)) {
                if let Some(range) = ranges.get_mut(ended) {
                    range.1 = line;
                }
                begin = begin.or((outer == own).then_some(ended));
            }
            let begin = begin.or(open.last().map(|(line, ..)| *line)).unwrap_or_default();
            if let Some(range) = ranges.get_mut(line) {
                range.0 = begin;
            }
            let is_item = content.get(own..).is_some_and(|rest| rest.starts_with("- "));
            open.push((line, own, is_item));
        }
        Self { ranges }
    }

    fn around(&self, line: usize) -> (usize, usize) {
        self.ranges.get(line).copied().unwrap_or_default()
    }
}
