//! One entry of the vocabulary.

use super::shape::Shape;

/// One key of one place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) is_required: bool,
    /// Markdown: what it means, then its default.
    pub(crate) doc: &'static str,
    /// What to do when it is missing.
    pub(crate) when_missing: &'static str,
    /// The value that a quick fix inserts with the key.
    pub(crate) example: &'static str,
}

impl Key {
    pub(super) const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { is_required: true, ..Self::optional(name, shape, doc) }
    }

    pub(super) const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, shape, is_required: false, doc, when_missing: "Add it.", example: "" }
    }

    pub(super) const fn when_missing(self, when_missing: &'static str) -> Self {
        Self { when_missing, ..self }
    }

    pub(super) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }
}
