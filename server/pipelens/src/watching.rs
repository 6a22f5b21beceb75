//! Runs again when the files of a project change. What is run is up to the command line and the editor.

use std::path::{Path, PathBuf};

use pipelens_engine::run::{RunRequest, step_folder};
use pipelens_engine::watch::{Exceptions, Found, Watch, WatchRequest};
use tokio_util::sync::CancellationToken;

use crate::settings::{PROJECT_FILE, Settings};
use crate::{present, project};

/// More changed files are counted, not named.
const MOST_NAMED: usize = 3;

/// What runs in each round.
pub(crate) trait Rounds: Send {
    /// Runs a round to its end. It is cancelled if something changes meanwhile.
    fn run(&mut self, found: Found, cancel: CancellationToken) -> impl Future<Output = ()> + Send;

    /// Nothing runs until something changes.
    fn rest(&mut self, watch: &Watch);
}

/// Runs one round after another until it is stopped. The newest state of the project is the one that is run last, and no state is run twice.
pub(crate) async fn follow(watch: &mut Watch, stop: &CancellationToken, rounds: &mut impl Rounds) {
    while !stop.is_cancelled() {
        let found = watch.take();
        let sources = found.sources.clone();
        let cancel = stop.child_token();
        let interrupted = async {
            watch.changed().await;
            cancel.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = rounds.run(found, cancel.clone()) => {}
            () = interrupted => {}
        }
        // A change that ended the round has been noticed, but its state has not been taken.
        let is_outdated = sources.is_some_and(|sources| sources.have_changed());
        if !cancel.is_cancelled() && !is_outdated {
            rounds.rest(watch);
            tokio::select! {
                () = stop.cancelled() => return,
                () = watch.changed() => {}
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = watch.settled() => {}
        }
    }
}

/// Returns what to watch for a pipeline.
pub(crate) fn request(file: &Path, root: PathBuf, settings: &Settings) -> WatchRequest {
    let mut except: Vec<PathBuf> = settings.secrets_file.iter().cloned().chain(project::state_dir().ok()).collect();
    // What is printed into a file of the project would be a reason to run again.
    let outputs = [1, 2].map(|number| std::fs::read_link(format!("/proc/self/fd/{number}")));
    except.extend(outputs.into_iter().flatten().filter(|path| path.is_absolute()));
    WatchRequest { also: vec![file.to_owned(), root.join(PROJECT_FILE)], root, except }
}

/// Prepares the run of a round. Returns a sentence about what no longer counts, once.
pub(crate) fn prepare(request: &mut RunRequest, found: Found, exceptions: &Exceptions) -> Option<String> {
    request.sources = found.sources.filter(|sources| sources.are_of(&request.source_root));
    let folder = request.artifacts_dir.as_ref()?;
    if !request.plan.steps.iter().any(|step| !step.artifacts.is_empty()) {
        return None;
    }
    let is_whole_project = request.source_root.canonicalize().is_ok_and(|root| root == *folder);
    let is_new = if is_whole_project {
        let steps = request.plan.steps.iter().map(|step| step_folder(folder, &step.key));
        let probe = crate::artifacts::probe(folder);
        steps.chain([probe]).fold(false, |is_new, path| exceptions.add(&path) | is_new)
    } else {
        exceptions.add(folder)
    };
    is_new.then(|| format!("Artifacts are put in `{}`, so changes there start no run.", folder.display()))
}

/// Returns a sentence about what has changed; `None` for the first round.
pub(crate) fn changed(found: &Found) -> Option<String> {
    let names = found.changed.iter().map(|path| path.display().to_string());
    (!found.changed.is_empty()).then(|| format!("{} changed.", present::some_of(names, MOST_NAMED)))
}
