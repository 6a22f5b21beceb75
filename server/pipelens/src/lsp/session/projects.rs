//! The projects that open documents belong to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::debounced::Debounced;
use crate::project_context::ProjectContext;
use crate::settings::Settings;

/// A build or a checkout makes many files: they are looked at when it pauses.
const FILES_REST: Duration = Duration::from_millis(200);

/// Projects by their root folder.
#[derive(Debug)]
pub(crate) struct Projects {
    known: Mutex<BTreeMap<PathBuf, Arc<ProjectContext>>>,
    /// A lookup of a project's files has finished in the background.
    pub(super) files_found: Arc<Debounced<()>>,
}

impl Default for Projects {
    fn default() -> Self {
        Self { known: Mutex::default(), files_found: Arc::new(Debounced::new(FILES_REST)) }
    }
}

impl Projects {
    /// Returns what is known about a project. Its files are looked up in the background.
    pub(super) fn context(&self, root: PathBuf, settings: &Settings) -> Arc<ProjectContext> {
        if let Some(project) = self.known.lock().get(&root) {
            return project.clone();
        }
        // Created without the lock: the disk may be slow.
        let found = self.files_found.clone();
        let ready = Arc::new(move || found.want(()));
        let project = Arc::new(ProjectContext::in_background(root.clone(), settings, ready));
        self.known.lock().entry(root).or_insert(project).clone()
    }

    /// Looks a project's files up again: some have appeared or vanished.
    pub(super) fn look_again(&self, root: &Path) {
        if let Some(project) = self.known.lock().get(root) {
            project.look_again();
        }
    }

    /// Forgets everything, because the settings or the user's consents have changed.
    pub(super) fn clear(&self) {
        self.known.lock().clear();
    }
}
