//! A project of two entries, for what the core is told about the disk.

use pipelens_core::Project;

pub(crate) struct Small;

impl Project for Small {
    fn has_match(&self, path: &str) -> Option<bool> {
        Some(matches!(path, "Cargo.lock" | "src"))
    }

    fn has_folder(&self, path: &str) -> Option<bool> {
        Some(matches!(path, "frontend" | "src"))
    }
}
