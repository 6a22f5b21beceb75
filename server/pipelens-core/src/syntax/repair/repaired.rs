//! The result of a repair.

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::syntax::tree::Tree;

/// Text that could be parsed, perhaps after repairs.
pub(crate) struct Repaired {
    pub(crate) tree: Tree,
    pub(crate) findings: Vec<Diagnostic>,
    /// Zero-based lines that no longer say what their author wrote.
    pub(crate) repaired_lines: BTreeSet<usize>,
}

impl Repaired {
    /// Text that needed no repair.
    pub(crate) fn unrepaired(tree: Tree) -> Self {
        Self { tree, findings: Vec::new(), repaired_lines: BTreeSet::new() }
    }
}
