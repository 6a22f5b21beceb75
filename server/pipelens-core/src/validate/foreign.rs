//! Keys of other systems: one suggestion, with the value as it is written here.

use super::rewrite::{Rewrite, rewritten};
use crate::diagnostic::{Code, Diagnostic};
use crate::keys::foreign::{MATRIX, Meaning, meaning};
use crate::keys::{self, Place, Shape};
use crate::syntax::scalar::ScalarType;
use crate::syntax::tree::{Entry, Kind, NodeId, Tree};

/// A key of another system, in a mapping.
pub(super) struct Foreign<'a> {
    pub(super) text: &'a str,
    pub(super) tree: &'a Tree,
    pub(super) map: NodeId,
    pub(super) entry: Entry,
    pub(super) place: Place,
    /// The keys that the mapping does not have yet.
    pub(super) absent: &'a [&'static str],
}

impl Foreign<'_> {
    /// Returns the finding, and the key that was meant.
    pub(super) fn finding(&self) -> Option<(Diagnostic, Option<&'static str>)> {
        let word = self.tree.key_text(&self.entry)?;
        let range = self.tree.node(self.entry.key).range;
        let noun = self.place.noun();
        let meant = meaning(self.place, word)?;
        let (key, is_sure) = match meant {
            Meaning::Nothing(what_to_do) => {
                let message = format!("Unknown key `{word}` in {noun}. {what_to_do}");
                return Some((Diagnostic::new(Code::UnknownKey, range, message), None));
            }
            Meaning::Perhaps(key) => (key, false),
            Meaning::Key(key) | Meaning::Minutes(key) | Meaning::Duration(key) => (key, true),
            Meaning::Title => (self.title(), true),
            Meaning::Matrix => {
                let rewrite = Rewrite::new(self.text, self.tree, self.map, self.entry);
                if rewritten(rewrite, self.place, "matrix").is_none() {
                    let message = format!("Unknown key `{word}` in {noun}. {MATRIX}");
                    return Some((Diagnostic::new(Code::UnknownKey, range, message), None));
                }
                ("matrix", true)
            }
        };
        if !self.absent.contains(&key) {
            let message = format!(
                "Unknown key `{word}` in {noun}. Here it is called `{key}`, which is there already. Merge the two."
            );
            return Some((Diagnostic::new(Code::UnknownKey, range, message), None));
        }
        let message = format!("Unknown key `{word}` in {noun}. Did you mean `{key}`?");
        let mut finding = Diagnostic::new(Code::UnknownKey, range, message);
        self.add_fix(&mut finding, meant, key, is_sure);
        Some((finding, Some(key)))
    }

    fn add_fix(&self, finding: &mut Diagnostic, meant: Meaning, key: &str, is_sure: bool) {
        let rewrite = Rewrite::new(self.text, self.tree, self.map, self.entry);
        let (value, title) = match meant {
            Meaning::Minutes(_) => (rewrite.seconds(true), format!("Change to `{key}`, in seconds")),
            Meaning::Duration(_) => (rewrite.seconds(false), format!("Change to `{key}`, in seconds")),
            Meaning::Key(_) | Meaning::Perhaps(_) | Meaning::Title | Meaning::Matrix | Meaning::Nothing(_) => {
                (rewritten(rewrite, self.place, key), format!("Change to `{key}`"))
            }
        };
        match (value, meant) {
            (Some(value), _) => finding.fixes.extend(rewrite.replaced(key, &value, title)),
            (None, Meaning::Minutes(_)) => {}
            // A number without a unit may be minutes.
            (None, Meaning::Duration(_)) if self.fits(key) => finding.fixes.extend(rewrite.renamed(key, false)),
            (None, _) if self.fits(key) => finding.fixes.extend(rewrite.renamed(key, is_sure)),
            (None, _) => {}
        }
    }

    /// Tells whether the value has the form that the key requires.
    fn fits(&self, key: &str) -> bool {
        let Some(known) = keys::find(self.place, key) else { return false };
        let Some(node) = self.tree.resolved(self.entry.value) else { return false };
        match (&known.shape, &node.kind) {
            (Shape::Bool, Kind::Scalar(scalar)) => matches!(scalar.resolve(), ScalarType::Bool(_)),
            (Shape::Integer { min, max }, Kind::Scalar(scalar)) => {
                matches!(scalar.resolve(), ScalarType::Integer(value) if u64::try_from(value).is_ok_and(|value| (*min..=*max).contains(&value)))
            }
            (Shape::StepKeys, Kind::Scalar(scalar)) => scalar.resolve() == ScalarType::Text && !scalar.text.is_empty(),
            (Shape::StepKeys | Shape::List { .. }, Kind::List { items, .. }) => {
                items.iter().all(|item| self.tree.scalar(*item).is_some_and(|item| item.resolve() == ScalarType::Text))
            }
            (Shape::Env | Shape::Map(_), Kind::Map { .. }) => true,
            (Shape::Env | Shape::Map(_) | Shape::Bool | Shape::Integer { .. } | Shape::List { .. }, _) => false,
            (_, Kind::Scalar(scalar)) => scalar.resolve() == ScalarType::Text && !scalar.text.trim().is_empty(),
            (_, Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_)) => false,
        }
    }

    /// A step's title is its key if that is missing and the title can be one.
    fn title(&self) -> &'static str {
        let title = self.tree.scalar(self.entry.value).map(|scalar| scalar.text.as_str()).unwrap_or_default();
        let is_key = !title.is_empty()
            && title.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if is_key && self.absent.contains(&"key") { "key" } else { "label" }
    }
}
