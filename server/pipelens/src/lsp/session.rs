//! What one editor has told us and opened: its capabilities, the user's settings, the documents and their projects. Runs are not part of it.

pub(super) mod client;
pub(super) mod debounced;
pub(super) mod documents;
pub(super) mod images;
pub(super) mod lenses;
pub(super) mod linting;
pub(super) mod projects;
pub(super) mod settings;
