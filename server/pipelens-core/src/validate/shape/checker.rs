//! What every check of a shape needs: the tree, the findings, and how to report a value of the wrong type.

use std::collections::HashSet;

use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::keys::Place;
use crate::syntax::parse::Style;
use crate::syntax::scalar::ScalarType;
use crate::syntax::tree::{Kind, NodeId, Scalar, Tree};
use crate::syntax::written::quoted;
use crate::text::TextRange;

pub(in crate::validate) struct Checker<'a> {
    pub(super) text: &'a str,
    pub(super) tree: &'a Tree,
    pub(super) findings: &'a mut Findings,
    /// Places of aliased values that were checked already: a mistake in shared defaults is one finding.
    pub(super) seen: HashSet<(TextRange, &'static str)>,
    pub(super) allows_null: bool,
    /// The kind of mapping that the value being checked belongs to.
    pub(super) place: Place,
}

impl<'a> Checker<'a> {
    pub(in crate::validate) fn new(text: &'a str, tree: &'a Tree, findings: &'a mut Findings) -> Self {
        Self { text, tree, findings, seen: HashSet::new(), allows_null: false, place: Place::Pipeline }
    }

    /// Tells whether a place was not checked before. Without aliases each place is reached only once.
    pub(super) fn is_first(&mut self, range: TextRange, role: &'static str) -> bool {
        !self.tree.has_aliases || self.seen.insert((range, role))
    }

    pub(super) fn wrong_type(&mut self, id: NodeId, name: &str, wanted: &str) {
        let range = self.visible_range(id);
        if self.is_null(id) {
            let message = format!("`{name}` has no value; it must be {wanted}. Add a value, or remove `{name}`.");
            self.findings.push(Diagnostic::new(Code::WrongType, range, message));
            return;
        }
        let Some(node) = self.tree.resolved(id) else { return };
        let found = match &node.kind {
            Kind::Scalar(scalar) => match scalar.resolve() {
                ScalarType::Null => "nothing",
                ScalarType::Bool(_) => "a boolean",
                ScalarType::Integer(_) | ScalarType::Float(_) => "a number",
                ScalarType::Text => "a string",
            },
            Kind::List { .. } => "a list",
            Kind::Map { .. } => "a mapping",
            Kind::Alias(_) => return,
        };
        let message = format!("`{name}` must be {wanted}, but this is {found}.");
        let mut finding = Diagnostic::new(Code::WrongType, range, message);
        if let (true, Kind::Scalar(scalar)) = (wanted == "a string", &self.tree.node(id).kind) {
            finding.message.push_str(" Put it in quotes.");
            finding = finding.with_safe_fix("Put it in quotes", range, format!("\"{}\"", scalar.text));
        }
        if let (true, Kind::List { is_flow: true, .. } | Kind::Map { is_flow: true, .. }) =
            (wanted == "a string", &self.tree.node(id).kind)
            && !self.tree.node(id).range.of(self.text).contains('\n')
        {
            let written = range.of(self.text);
            let open = written.chars().next().unwrap_or_default();
            finding.message.push_str(&format!(" A value that starts with `{open}` has to be in quotes to be text."));
            finding = finding.with_fix("Put it in quotes", range, quoted(written));
        }
        if let (true, Kind::Scalar(scalar)) = (wanted == "a whole number", &self.tree.node(id).kind)
            && scalar.style != Style::Plain
            && scalar.text.parse::<u32>().is_ok()
        {
            finding = finding.with_safe_fix("Remove the quotes", range, scalar.text.clone());
        }
        if let (true, Kind::Scalar(scalar)) = (wanted == "a list", &self.tree.node(id).kind)
            && !scalar.text.is_empty()
        {
            finding = self.with_list_fix(finding, range, scalar);
        }
        self.findings.push(finding);
    }

    /// Each part between commas is meant to be an item of its own.
    fn with_list_fix(&self, finding: Diagnostic, range: TextRange, scalar: &Scalar) -> Diagnostic {
        let written = range.of(self.text);
        match scalar.style {
            Style::Block => finding,
            Style::Plain if scalar.text.contains(['[', ']', '{', '}', '"', '\\']) => finding,
            Style::Plain if scalar.text.contains(',') => {
                let items: Vec<&str> = written.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
                finding.with_fix(format!("Make it a list of {}", items.len()), range, format!("[{}]", items.join(", ")))
            }
            Style::Plain | Style::SingleQuoted | Style::DoubleQuoted => {
                finding.with_fix("Make it a list", range, format!("[{written}]"))
            }
        }
    }

    pub(super) fn is_null(&self, id: NodeId) -> bool {
        self.tree.scalar(id).is_some_and(|scalar| scalar.resolve() == ScalarType::Null)
    }

    /// Returns a value's range; if there is nothing to see, that of the last character before it.
    pub(super) fn visible_range(&self, id: NodeId) -> TextRange {
        let range = self.tree.node(id).range;
        if !range.is_empty() {
            // A long list or mapping is pointed at by its first line.
            let content = range.of(self.text);
            let line = content.lines().next().unwrap_or_default().trim_end();
            return TextRange::new(range.start, range.start + line.len());
        }
        let before = self.text.get(..range.start).unwrap_or_default().trim_end();
        let last = before.chars().next_back().map_or(0, char::len_utf8);
        TextRange::new(before.len() - last, before.len())
    }
}
