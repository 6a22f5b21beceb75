//! The axes of a matrix: their names and values.

use super::checker::Checker;
use crate::diagnostic::{Code, Diagnostic};
use crate::nearest::nearest;
use crate::printable::is_deceptive;
use crate::syntax::scalar::ScalarType;
use crate::syntax::tree::{Entry, NodeId};
use crate::validate::mapping;
use crate::validate::rewrite::Rewrite;

/// The keys of a matrix that are no axes.
const OWN: [&str; 2] = ["include", "exclude"];

impl Checker<'_> {
    /// Checks the name of an axis. `false`: the entry is no axis, so its value need not be looked at.
    pub(super) fn check_axis(&mut self, map: NodeId, entry: &Entry) -> bool {
        let name = self.tree.key_text(entry).unwrap_or_default();
        if OWN.contains(&name) {
            return true;
        }
        let range = self.tree.node(entry.key).range;
        let holds_maps = self
            .tree
            .items(entry.value)
            .is_some_and(|items| !items.is_empty() && items.iter().all(|item| self.tree.own_entries(*item).is_some()));
        if let Some(near) = nearest(name, OWN.into_iter()).filter(|_| holds_maps) {
            let message = format!("Unknown key `{name}` in a matrix. Did you mean `{near}`?");
            let finding = Diagnostic::new(Code::UnknownKey, range, message);
            self.findings.push(mapping::with_key_fix(finding, self.tree, entry.key, near));
            return false;
        }
        // CircleCI and Buildkite have the axes one level deeper.
        if matches!(name, "parameters" | "setup") && self.tree.own_entries(entry.value).is_some() {
            let message = format!("Unknown key `{name}` in a matrix. Here the axes are in `matrix` itself.");
            let mut finding = Diagnostic::new(Code::UnknownKey, range, message);
            finding.fixes.extend(Rewrite::new(self.text, self.tree, map, *entry).hoisted());
            self.findings.push(finding);
            return false;
        }
        self.check_axis_name(entry);
        true
    }

    pub(super) fn check_axis_name(&mut self, entry: &Entry) {
        let Some(name) = self.tree.key_text(entry) else { return };
        let range = self.tree.node(entry.key).range;
        if self.tree.is_merge(entry) || !self.is_first(range, "an axis's name") {
            return;
        }
        let (code, why) = if name.trim().is_empty() {
            (Code::BadValue, "The name of an axis is empty. Give it one.".to_owned())
        } else if let Some(found) = name.chars().find(|character| is_deceptive(*character)) {
            let why = format!(
                "The name of this axis contains the character U+{:04X}, which is invisible or controls a terminal. Remove it.",
                u32::from(found)
            );
            (Code::ControlCharacter, why)
        } else if name.contains("}}") || name.trim() != name {
            (Code::BadValue, format!("An expression cannot name the axis `{name}`. Use letters, digits, `-` and `_`."))
        } else {
            return;
        };
        self.findings.push(Diagnostic::new(code, range, why));
    }

    /// Checks a value that may be of any type, because its source text counts.
    pub(super) fn check_scalar(&mut self, id: NodeId, name: &str) {
        match self.tree.scalar(id).filter(|scalar| scalar.resolve() != ScalarType::Null) {
            Some(scalar) => {
                self.yaml_trap(id, scalar, name);
                self.control_characters(id, scalar, name);
            }
            None => self.wrong_type(id, name, "a single value"),
        }
    }
}
