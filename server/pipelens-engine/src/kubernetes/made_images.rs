//! The images that a run pushes for later runs, written down before they are pushed: if its process is killed before they are recorded, a later run
//! of the same user removes them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::blocking;
use crate::error::EngineError;
use crate::kubernetes::attempts::persistently;
use crate::kubernetes::image::Image;
use crate::kubernetes::kept_for::KeptFor;
use crate::kubernetes::registry::Registry;
use crate::locked_folder::{LOCK, hold, share};
use crate::private;

/// In the state directory: a directory for each run, whose lock the run has until all its images are recorded or removed.
const FOLDER: &str = "cluster-images";
/// The file in it, with a place in each line.
const PLACES: &str = "places";

/// The images of one run that are neither recorded nor removed yet.
#[derive(Debug)]
pub(super) struct MadeImages {
    /// `None`: nothing outlives the run, and nothing is written down.
    state_dir: Option<PathBuf>,
    run_id: Uuid,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    places: BTreeSet<String>,
    /// The lock of the directory; from the first image until there is none left.
    lock: Option<File>,
}

/// Writes an image down, pushes it, and returns its place.
pub(super) async fn push(made: &Arc<MadeImages>, registry: &Registry, image: &Image) -> Result<String, EngineError> {
    let kept_for = KeptFor::LaterRuns(Uuid::new_v4());
    let place = registry.name_of(&image.encode(kept_for.annotations()).manifest_digest);
    let (list, line) = (Arc::clone(made), place.clone());
    let written = blocking::run(move |_| list.add(&line)).await.flatten();
    let doing = "Recording an image before it is pushed";
    written.map_err(|source| EngineError::File { doing, path: made.folder().unwrap_or_default(), source })?;
    persistently(|| registry.push(image, &kept_for).boxed()).await?;
    Ok(place)
}

/// What a run whose process is gone has written down.
#[derive(Debug)]
pub(super) struct LeftImages {
    pub(super) places: Vec<String>,
    folder: PathBuf,
    lock: File,
}

impl MadeImages {
    pub(super) fn new(state_dir: Option<PathBuf>, run_id: Uuid) -> Self {
        Self { state_dir, run_id, open: Mutex::default() }
    }

    /// Writes down an image that is about to be pushed.
    pub(super) fn add(&self, place: &str) -> io::Result<()> {
        let mut open = self.open.lock();
        if let Some(folder) = self.folder() {
            if open.lock.is_none() {
                open.lock = Some(share(&folder)?);
            }
            private::touch(&folder.join(PLACES))?;
            OpenOptions::new().append(true).open(folder.join(PLACES))?.write_all(format!("{place}\n").as_bytes())?;
        }
        open.places.insert(place.to_owned());
        Ok(())
    }

    /// Returns the places of the images.
    pub(super) fn places(&self) -> Vec<String> {
        self.open.lock().places.iter().cloned().collect()
    }

    /// An image has been recorded or removed.
    pub(super) fn close(&self, place: &str) {
        let mut open = self.open.lock();
        open.places.remove(place);
        if !open.places.is_empty() {
            return;
        }
        if let Some((folder, lock)) = self.folder().zip(open.lock.take()) {
            remove(&folder, &lock);
        }
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.state_dir.as_ref()?.join(FOLDER).join(self.run_id.to_string()))
    }

    /// Returns what the runs of processes that are gone have written down.
    pub(super) fn left_by_others(&self) -> Vec<LeftImages> {
        let Some(Ok(entries)) = self.state_dir.as_ref().map(|it| fs::read_dir(it.join(FOLDER))) else {
            return Vec::new();
        };
        let folders = entries.flatten().map(|entry| entry.path()).filter(|path| Some(path) != self.folder().as_ref());
        folders.filter_map(|folder| LeftImages::read(&folder)).collect()
    }
}

impl LeftImages {
    /// `None`: its run still holds it, or it cannot be read.
    fn read(folder: &Path) -> Option<Self> {
        let lock = hold(folder, true).ok().flatten()?;
        let places = match fs::read_to_string(folder.join(PLACES)) {
            Ok(places) => places,
            // The process was killed before it wrote the first one, or after it had removed the last one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(_) => return None,
        };
        // What was written only in part had not been pushed.
        let whole = places.rfind('\n').and_then(|end| places.get(..end)).unwrap_or_default();
        Some(Self { places: whole.lines().map(str::to_owned).collect(), folder: folder.to_owned(), lock })
    }

    /// All of them have been recorded or removed.
    pub(super) fn forget(self) {
        remove(&self.folder, &self.lock);
    }
}

/// Removes a directory that is held: at the end, its lock.
fn remove(folder: &Path, _lock: &File) {
    // If something cannot be removed, a later run does it.
    fs::remove_file(folder.join(PLACES)).ok();
    fs::remove_file(folder.join(LOCK)).ok();
    fs::remove_dir(folder).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(state: &Path) -> MadeImages {
        MadeImages::new(Some(state.to_owned()), Uuid::new_v4())
    }

    fn places_left(by: &MadeImages) -> Vec<Vec<String>> {
        by.left_by_others().into_iter().map(|left| left.places).collect()
    }

    #[test]
    fn only_what_a_run_that_is_gone_has_written_down_is_left() {
        let state = tempfile::tempdir().unwrap();
        let (one, other) = (made(state.path()), made(state.path()));
        one.add("a").unwrap();
        one.add("b").unwrap();
        assert_eq!(one.places(), ["a", "b"]);
        assert_eq!(places_left(&other), [[""; 0]; 0]);
        drop(one);
        assert_eq!(places_left(&other), [["a", "b"]]);
        other.left_by_others().into_iter().for_each(LeftImages::forget);
        assert_eq!(places_left(&other), [[""; 0]; 0]);
    }

    #[test]
    fn a_run_that_has_recorded_or_removed_everything_leaves_no_file() {
        let state = tempfile::tempdir().unwrap();
        let made = made(state.path());
        for _ in 0..2 {
            made.add("a").unwrap();
            made.add("b").unwrap();
            made.close("a");
            assert_eq!(fs::read_dir(state.path().join(FOLDER)).unwrap().count(), 1);
            made.close("b");
            assert_eq!(fs::read_dir(state.path().join(FOLDER)).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_line_that_is_not_complete_names_no_image() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join(FOLDER).join("killed");
        private::create_folder(&folder).unwrap();
        for (text, expected) in [("", vec![]), ("registry/team@sha", vec![]), ("a\nregistry/team@sha", vec!["a"])] {
            private::write(&folder.join(PLACES), text.as_bytes()).unwrap();
            assert_eq!(places_left(&made(state.path())), [expected]);
        }
    }
}
