//! Collects findings up to a limit: any beyond it are counted instead of kept, and the count is reported at the end.

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::text::TextRange;

/// Showing more is of no use to anyone.
const MAX_SHOWN: usize = 1_000;
/// Enough for every pipeline people write: a hundred unknown names among a thousand steps.
const MAX_COMPARISONS: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Findings {
    list: Vec<Diagnostic>,
    /// How many of each code were kept.
    kept: [usize; Code::ALL.len()],
    omitted: usize,
    omitted_errors: usize,
    comparisons_left: usize,
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            kept: [0; Code::ALL.len()],
            omitted: 0,
            omitted_errors: 0,
            comparisons_left: MAX_COMPARISONS,
        }
    }
}

impl Findings {
    pub(crate) fn push(&mut self, finding: Diagnostic) {
        match self.kept.get_mut(finding.code as usize) {
            Some(kept) if *kept < MAX_SHOWN => {
                *kept += 1;
                self.list.push(finding);
            }
            Some(_) | None => self.omit(finding.severity),
        }
    }

    /// Tells whether there is no room for another finding of this code, and counts it if so. Then it need not be made.
    pub(crate) fn omits(&mut self, code: Code, severity: Severity) -> bool {
        let is_full = self.kept.get(code as usize).is_none_or(|kept| *kept >= MAX_SHOWN);
        if is_full {
            self.omit(severity);
        }
        is_full
    }

    /// Tells whether a name may still be compared with this many others, and deducts that from the budget.
    pub(crate) fn may_compare_with(&mut self, names: usize) -> bool {
        let left = self.comparisons_left.checked_sub(names);
        self.comparisons_left = left.unwrap_or(self.comparisons_left);
        left.is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    pub(crate) fn list_mut(&mut self) -> &mut Vec<Diagnostic> {
        &mut self.list
    }

    /// Returns the findings to show, in text order. If not all can be shown, errors come first; how many are
    /// omitted is a finding too.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by(|a, b| (a.file, a.range, a.code, &a.message).cmp(&(b.file, b.range, b.code, &b.message)));
        self.list.dedup();
        if self.list.len() > MAX_SHOWN {
            self.list.sort_by_key(|finding| finding.severity);
            for finding in self.list.split_off(MAX_SHOWN) {
                self.omit(finding.severity);
            }
            self.list.sort_by_key(|finding| (finding.file, finding.range));
        }
        let (omitted, errors) = (self.omitted, self.omitted_errors);
        if omitted > 0 {
            let (severity, consequence) = match errors {
                0 => (Severity::Information, ""),
                _ => (Severity::Error, ", including errors, so this file cannot be run"),
            };
            let message =
                format!("There are {omitted} more findings that are not shown{consequence}. Fix the ones shown first.");
            let mut finding = Diagnostic::new(Code::TooLarge, TextRange::at(0), message);
            finding.severity = severity;
            self.list.insert(0, finding);
        }
        self.list
    }

    fn omit(&mut self, severity: Severity) {
        self.omitted += 1;
        self.omitted_errors += usize::from(severity == Severity::Error);
    }
}

impl Extend<Diagnostic> for Findings {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, findings: T) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}
