//! The state of one editor session: the client's capabilities, the user's settings, the documents and their projects. Runs are in `runs`.

pub(super) mod client;
pub(super) mod debounced;
mod document;
pub(super) mod documents;
pub(super) mod images;
pub(super) mod lenses;
pub(super) mod linting;
pub(super) mod projects;
pub(super) mod rendering;
mod renderings;
pub(super) mod settings;
pub(super) mod watching;
pub(super) mod workspace;
