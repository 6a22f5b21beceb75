//! Notices that the files a run would get have changed. What the system reports only says when to look; what has changed is found by comparing the
//! sources with those before, so that an ignored file never counts and a save is never missed.

mod hints;
mod look;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::blocking;
use crate::error::EngineError;
use crate::sources::{Sources, Watched};
use crate::watch::hints::{Hints, Pending};
use crate::watch::look::{Look, Seen};

/// One save is often several changes: they are over when nothing has happened for this long.
const QUIET: Duration = Duration::from_millis(100);
/// Where changes do not end, they are looked at after this long.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often the project is looked at where the system reports nothing, and at most this share of the time.
const POLL: Duration = Duration::from_secs(2);
const POLL_REST: u32 = 9;
/// How soon a project that cannot be read is looked at again.
const RETRY: Duration = Duration::from_secs(1);

/// What to watch.
#[derive(Debug, Clone)]
pub struct WatchRequest {
    /// The project. Nothing outside is watched.
    pub root: PathBuf,
    /// Files of the project that count even if they are ignored: the pipeline, the settings.
    pub also: Vec<PathBuf>,
    /// Files and folders that do not count.
    pub except: Vec<PathBuf>,
}

/// The sources as they were found, for one run. If a file changes while it is sent, the run is cancelled before any command gets it.
#[derive(Debug, Clone)]
pub struct FoundSources(pub(crate) Arc<Sources>);

impl FoundSources {
    /// Whether a file has changed while it was sent. The change may be one that does not count, such as a file that was written again.
    pub fn have_changed(&self) -> bool {
        self.0.watched.as_ref().is_some_and(|watched| watched.stop.is_cancelled())
    }

    /// Whether they are those of the project in this folder.
    pub fn are_of(&self, root: &Path) -> bool {
        root.canonicalize().is_ok_and(|root| root == self.0.root)
    }
}

/// The newest state of a project.
#[derive(Debug)]
pub struct Found {
    /// `None`: they cannot be read now, and a run says why.
    pub sources: Option<FoundSources>,
    /// What has changed since the state that was taken before, relative to the project.
    pub changed: Vec<PathBuf>,
}

/// Watches a project until it is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    version: watch::Receiver<u64>,
    is_settled: watch::Receiver<bool>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seen: Option<Arc<Seen>>,
    changed: BTreeSet<PathBuf>,
    /// Relative to the root.
    except: Arc<Mutex<Vec<PathBuf>>>,
    notices: Vec<String>,
}

impl Shared {
    fn except(&self) -> Vec<PathBuf> {
        self.state.lock().except.lock().clone()
    }
}

/// Tells a watch what is not to be watched, while it is used elsewhere.
#[derive(Debug, Clone)]
pub struct Exceptions(Arc<Shared>);

impl Exceptions {
    /// What is at a path or below does not count from now on. Returns whether it did until now: it is inside the project, and not ignored yet.
    pub fn add(&self, path: &Path) -> bool {
        let Some(inside) = inside(&self.0.root, path) else { return false };
        let except = Arc::clone(&self.0.state.lock().except);
        let mut except = except.lock();
        let is_known = except.iter().any(|known| inside.starts_with(known));
        if !is_known {
            except.push(inside);
        }
        !is_known
    }
}

impl Watch {
    /// Looks at the project and begins to watch it.
    pub async fn open(request: WatchRequest) -> Result<Self, EngineError> {
        let failed = |source| EngineError::Sources { path: request.root.clone(), source };
        let root = request.root.canonicalize().map_err(failed)?;
        let relative = |paths: &[PathBuf]| paths.iter().filter_map(|path| inside(&root, path)).collect::<Vec<_>>();
        let except = relative(&request.except);
        // A link to a pipeline changes with the file it leads to.
        let targets = request.also.iter().filter_map(|path| path.canonicalize().ok()).collect::<Vec<_>>();
        let mut also = relative(&request.also);
        also.extend(relative(&targets));
        also.sort();
        also.dedup();
        let pending = Arc::new(Pending::new(root.clone()));
        let mut hints = Hints::open(&root, Arc::clone(&pending));
        let look = Look { root: root.clone(), also };
        let (opened, first) = (look.clone(), except.clone());
        let looked = blocking::run(move |stop| {
            let mut seen = opened.at_once(&mut hints, &first, stop);
            seen.iter_mut().for_each(Seen::read_first);
            (hints, seen)
        });
        let (hints, seen) = looked.await.map_err(failed)?;
        let notices = hints.notice().into_iter().collect();
        let state = State {
            seen: Some(Arc::new(seen?)),
            changed: BTreeSet::new(),
            except: Arc::new(Mutex::new(except)),
            notices,
        };
        let shared = Arc::new(Shared { root, state: Mutex::new(state) });
        let (versions, version) = watch::channel(0);
        let (settling, is_settled) = watch::channel(true);
        let follower = Follower { shared: Arc::clone(&shared), pending, hints: Some(hints), look, versions, settling };
        let task = AbortOnDropHandle::new(tokio::spawn(follower.follow()));
        Ok(Self { shared, version, is_settled, _task: task })
    }

    /// Waits for a change since the state that was taken last.
    pub async fn changed(&mut self) {
        if self.version.changed().await.is_err() {
            // Only a bug ends the task; then nothing changes any more.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until what is being written now has been looked at, but not for files that are written all the time.
    pub async fn settled(&mut self) {
        let settled = self.is_settled.wait_for(|is_settled| *is_settled);
        drop(tokio::time::timeout(LONGEST_WAIT + QUIET, settled).await);
    }

    /// Whether there is a change since the state that was taken last.
    pub fn has_changed(&self) -> bool {
        self.version.has_changed().unwrap_or(false)
    }

    /// Takes the newest state.
    pub fn take(&mut self) -> Found {
        let mut state = self.shared.state.lock();
        // Under the lock, so that no state is taken and then reported as a change.
        self.version.mark_unchanged();
        let watched = Watched { stop: CancellationToken::new(), except: Arc::clone(&state.except) };
        let sources = state.seen.as_ref().map(|seen| FoundSources(Arc::new(seen.sources.watched(watched))));
        Found { sources, changed: std::mem::take(&mut state.changed).into_iter().collect() }
    }

    /// Returns how many files are watched.
    pub fn files(&self) -> usize {
        let state = self.shared.state.lock();
        state.seen.as_ref().map_or(0, |seen| seen.files(&state.except.lock()))
    }

    /// Returns what the user should know about how the project is watched, once.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state.lock().notices)
    }

    pub fn exceptions(&self) -> Exceptions {
        Exceptions(Arc::clone(&self.shared))
    }
}

/// Looks at the project whenever something may have changed.
struct Follower {
    shared: Arc<Shared>,
    pending: Arc<Pending>,
    /// `None` only while a look has them.
    hints: Option<Hints>,
    look: Look,
    versions: watch::Sender<u64>,
    settling: watch::Sender<bool>,
}

impl Follower {
    async fn follow(mut self) {
        let mut took = Duration::ZERO;
        loop {
            let is_readable = self.shared.state.lock().seen.is_some();
            match (is_readable, self.hints.as_ref().is_some_and(Hints::is_polling)) {
                (false, _) => tokio::time::sleep(RETRY).await,
                (true, true) => tokio::time::sleep(POLL.max(took * POLL_REST)).await,
                (true, false) => self.pending.wait().await,
            }
            self.settling.send_replace(false);
            let first = Instant::now();
            while first.elapsed() < LONGEST_WAIT && tokio::time::timeout(QUIET, self.pending.wait()).await.is_ok() {}
            let started = Instant::now();
            self.look().await;
            took = started.elapsed();
            self.settling.send_replace(true);
        }
    }

    async fn look(&mut self) {
        let Some(mut hints) = self.hints.take() else { return };
        let (look, except) = (self.look.clone(), self.shared.except());
        let was_polling = hints.is_polling();
        let looked = blocking::run(move |stop| {
            let seen = look.at_once(&mut hints, &except, stop);
            (hints, seen)
        });
        let (hints, now) = match looked.await {
            Ok(looked) => looked,
            Err(panic) => {
                tracing::error!(%panic, "looking at a project panicked");
                return;
            }
        };
        let notice = hints.notice().filter(|_| !was_polling);
        self.hints = Some(hints);
        let now = now.map_err(|error| tracing::warn!("{}", error.sentence())).ok();
        let before = self.shared.state.lock().seen.clone();
        let except = self.shared.except();
        // Files whose stamps differ are read, so the lock is not held.
        let comparing = blocking::run(move |_| match (before, now) {
            (Some(before), Some(mut now)) => {
                let changed = now.changes_since(&before, &except);
                (Some(now), changed, false)
            }
            (None, Some(now)) => (Some(now), BTreeSet::new(), true),
            // A run says why.
            (before, None) => (None, BTreeSet::new(), before.is_some()),
        });
        let Ok((seen, changed, is_other)) = comparing.await else { return };
        if let Some(seen) = &seen {
            self.pending.looked(&seen.paths(), !changed.is_empty());
        }
        let mut state = self.shared.state.lock();
        state.notices.extend(notice);
        state.seen = seen.map(Arc::new);
        if is_other || !changed.is_empty() {
            state.changed.extend(changed);
            self.versions.send_modify(|version| *version += 1);
        }
    }
}

/// Returns a path relative to the root, if it is inside. What does not exist yet may be.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let real = |path: &Path| {
        let parent = path.parent()?.canonicalize().ok()?;
        Some(parent.join(path.file_name()?))
    };
    let found = [Some(absolute.clone()), real(&absolute), absolute.canonicalize().ok()];
    let inside = found.into_iter().flatten().find_map(|path| path.strip_prefix(root).ok().map(Path::to_owned))?;
    (!inside.as_os_str().is_empty()).then_some(inside)
}
