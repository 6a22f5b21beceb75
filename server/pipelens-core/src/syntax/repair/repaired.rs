//! What repairing a text results in.

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::syntax::tree::Tree;

/// A text that could be read, perhaps after mending.
pub(crate) struct Repaired {
    pub(crate) tree: Tree,
    pub(crate) findings: Vec<Diagnostic>,
    /// Zero-based lines that say something else now than their author wrote.
    pub(crate) repaired_lines: BTreeSet<usize>,
}
