//! Steps as processes on this machine, each in a private copy of the sources. For machines without a container engine.

mod copy;
#[cfg(unix)]
mod detached;
mod folder_store;
#[cfg(unix)]
mod history;
mod leftovers;
#[cfg(unix)]
mod mounting;
mod place;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod shell;
#[cfg(unix)]
mod view;
mod workdir;

use std::collections::BTreeMap;
#[cfg(unix)]
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use pipelens_core::arguments::services;
use pipelens_core::runners;
#[cfg(unix)]
use tokio::sync::OnceCell;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::artifacts::Artifacts;
use crate::artifacts::taking::Taking;
use crate::blocking;
use crate::error::{EngineError, counted};
use crate::host::folder_store::{FolderStore, HostSnapshot};
#[cfg(unix)]
use crate::host::history::Given;
use crate::host::leftovers::{FOLDER_PREFIX, OWNER_FILE};
#[cfg(unix)]
use crate::host::mounting::{Bind, Mounting};
use crate::host::place::Place;
#[cfg(unix)]
use crate::host::view::{Location, Setup, View};
use crate::limits;
use crate::logs::StepLogs;
use crate::mounts::Meter;
#[cfg(unix)]
use crate::mounts::Mounts;
use crate::owner::Owner;
use crate::private;
use crate::runner::{OpenRequest, OpenRunner, Runner, RunnerSpec, StepResult};
use crate::snapshot::{Saved, Snapshot};
use crate::step_context::{Base, Ending, SnapshotUse, StepContext};
use crate::stop::{self, Interruption};

pub(crate) static RUNNER: RunnerSpec = RunnerSpec {
    vocabulary: runners::named("host"),
    open: |request| std::future::ready(open(request)).boxed(),
    inspect: |request| std::future::ready(Ok(open_store(&request))).boxed(),
};

#[derive(Debug)]
struct HostRunner {
    /// Everything this run creates is in here, and is removed with it.
    folder: PathBuf,
    /// The snapshots that outlive the run.
    store: Arc<FolderStore>,
    project: PathBuf,
    /// `None`: nothing outlives the run.
    #[cfg(unix)]
    mounts: Option<Mounts>,
    /// The cache mounts that this run has used, by id: their sizes are looked up at its end.
    used_mounts: Mutex<BTreeMap<String, Meter>>,
    /// Whether steps may have namespaces.
    is_isolated: bool,
    /// Where steps see their workspace; from `begin` to `close`.
    place: Mutex<Option<Arc<Place>>>,
    #[cfg(unix)]
    setup: OnceCell<Setup>,
    /// Directories of steps that are being removed.
    removals: Arc<Mutex<JoinSet<Option<()>>>>,
}

fn open(request: OpenRequest) -> Result<OpenRunner, EngineError> {
    if cfg!(unix) { Ok(open_store(&request)) } else { Err(EngineError::HostUnsupported) }
}

fn open_store(request: &OpenRequest) -> OpenRunner {
    let mounts = request.mounts();
    let store = Arc::new(FolderStore::new(request.state_dir.as_deref(), request.run_id, mounts.clone()));
    let folder = std::env::temp_dir().join(format!("{FOLDER_PREFIX}{}", request.run_id));
    let runner = HostRunner {
        folder,
        store: Arc::clone(&store),
        project: request.source_root.clone(),
        #[cfg(unix)]
        mounts,
        used_mounts: Mutex::default(),
        is_isolated: request.host_isolation,
        place: Mutex::default(),
        #[cfg(unix)]
        setup: OnceCell::new(),
        removals: Arc::default(),
    };
    OpenRunner { spec: &RUNNER, runner: Arc::new(runner), snapshots: store }
}

impl HostRunner {
    #[cfg(unix)]
    async fn carry_out(
        &self,
        context: &StepContext,
        logs: &mut StepLogs,
        home: &Path,
        copying: &mut Option<Copying>,
    ) -> Result<Ending, Interruption> {
        if context.step().runner_args.as_ref().is_some_and(|arguments| !services(arguments).is_empty()) {
            return Err(EngineError::ServicesOnHost.into());
        }
        let workspace = home.join("workspace");
        let workdir = workdir::on_host(&workspace, &context.step().workdir)?;
        let place = self.place().ok_or_else(|| panicked(std::io::Error::other("the runner is not open")))?;
        // What the kernel allows is found out meanwhile, for the first step.
        let (copied, setup) = tokio::join!(self.copy(context, workspace.clone(), workdir, copying), self.setup(&place));
        copied?;
        let setup = setup?;
        let seen_workdir = |seen: &Path| workdir::on_host(seen, &context.step().workdir);
        let mounting = match context.step().cache_mounts.is_empty() {
            true => None,
            false => Some(Mounting::begin(self.mounts.as_ref(), context, home).await?),
        };
        let mounting = mounting.as_ref();
        let leases = mounting.map_or(&[][..], Mounting::leases);
        self.used_mounts.lock().extend(leases.iter().map(|lease| (lease.id.clone(), lease.meter())));
        let locks = mounting.map_or_else(Vec::new, Mounting::locks);
        let given = self.give_history(context, &workspace, home)?;
        if let View::Own(_) = setup.view {
            let seen = place.workspace();
            let mut binds = mounting.map_or(Ok(Vec::new()), |mounting| mounting.binds(context, &workspace, &seen))?;
            if let Some((given, inside)) =
                given.as_ref().and_then(|it| Some((it, it.folder().strip_prefix(&workspace).ok()?)))
            {
                let from = given.folder().to_owned();
                binds.push(Bind { from, to: seen.join(inside), is_read_only: true });
            }
            let location = Location { real: &workspace, seen: &seen, workdir: &seen_workdir(&seen)?, binds: &binds };
            let ending = run(context, logs, home, setup, &location, locks).await;
            remove_history(given)?;
            return ending;
        }
        let lane = place.lane(context.root_key()).enter(&workspace, &context.stop).await?;
        let seen = lane.workspace();
        let location = Location { real: &seen, seen: &seen, workdir: &seen_workdir(&seen)?, binds: &[] };
        let ending = match mounting.map_or(Ok(()), |mounting| mounting.link(context, &seen)) {
            Ok(()) => run(context, logs, home, setup, &location, locks).await,
            Err(error) => Err(error.into()),
        };
        let unlinked = mounting.map_or(Ok(()), |mounting| mounting.unlink(&seen));
        lane.leave(&workspace)?;
        remove_history(given)?;
        unlinked?;
        ending
    }

    /// Makes a `.git` in a step's workspace, if the step gets the project's history.
    #[cfg(unix)]
    fn give_history(&self, context: &StepContext, workspace: &Path, home: &Path) -> Result<Option<Given>, EngineError> {
        let Some((history, folder)) = context.history.as_ref().zip(context.history_folder()) else { return Ok(None) };
        let folder = workdir::on_host(workspace, &folder)?;
        let given = Given::put(history, folder.clone(), home);
        given.map(Some).map_err(|source| EngineError::File { doing: "Writing the git history", path: folder, source })
    }

    /// Finds out with what steps run, once.
    #[cfg(unix)]
    async fn setup(&self, place: &Place) -> Result<&Setup, EngineError> {
        let find = async || {
            let shell = process::shell(&self.project)?;
            let mut view = View::Shared;
            if self.is_isolated {
                let scratch = self.folder.join("scratch");
                private::create_folder(&scratch).ok();
                view = View::best(&self.project, &shell, &scratch, &place.workspace()).await;
                self.store.show(&view, place.workspace());
            }
            Ok(Setup { shell, view })
        };
        self.setup.get_or_try_init(find).await
    }

    /// Copies the artifacts out of a workspace, in which links may name the path at which the step has seen it.
    async fn take_artifacts(
        &self,
        context: &StepContext,
        artifacts: &Artifacts,
        workspace: &Path,
    ) -> Result<(), EngineError> {
        let in_workdir = |workspace: &Path| workdir::on_host(workspace, &context.step().workdir);
        let folder = in_workdir(workspace)?;
        let mut workdirs = vec![folder.clone()];
        if let Some(place) = self.place() {
            workdirs.push(in_workdir(&place.workspace())?);
            workdirs.push(in_workdir(&place.lane(context.root_key()).workspace())?);
        }
        let (own, own_folder) = (artifacts.clone(), folder.clone());
        let taken = blocking::run(move |_| {
            let mut taking = Taking::new(own, workdirs);
            taking.take_from_folder(&own_folder)?;
            taking.finish()
        });
        let taken = taken.await.flatten();
        let failed = |source| EngineError::File { doing: "Writing the artifacts", path: folder, source };
        context.report_artifacts(artifacts, &taken.map_err(failed)?);
        Ok(())
    }

    fn place(&self) -> Option<Arc<Place>> {
        self.place.lock().clone()
    }

    #[cfg(not(unix))]
    async fn carry_out(
        &self,
        _: &StepContext,
        _: &mut StepLogs,
        _: &Path,
        _: &mut Option<Copying>,
    ) -> Result<Ending, Interruption> {
        Err(EngineError::HostUnsupported.into())
    }

    /// Copies the artifacts, and saves the snapshot after a success.
    async fn finish(&self, context: &StepContext, ending: Ending, home: &Path) -> Result<Option<Saved>, Interruption> {
        if let Some(artifacts) = context.artifacts_after(ending) {
            let taken = self.take_artifacts(context, &artifacts, &home.join("workspace")).await;
            context.forgive_after_failure(ending, taken.map_err(Interruption::from))?;
        }
        if ending != Ending::Exited(0) || !context.keeping.is_cached {
            return Ok(None);
        }
        let (store, workspace, stop) = (Arc::clone(&self.store), home.join("workspace"), context.stop.clone());
        let has_children = context.keeps_snapshot.after(ending);
        let kept = blocking::run(move |_| match has_children {
            true => store.copy(&workspace, &stop),
            // Nothing else needs it.
            false => store.take_or_copy(&workspace, &stop),
        });
        kept.await.map_err(panicked)?
    }

    /// Fills the step's private directory. After a stop, a copy that is still in progress is in `copying`.
    #[cfg(unix)]
    async fn copy(
        &self,
        context: &StepContext,
        workspace: PathBuf,
        workdir: PathBuf,
        copying: &mut Option<Copying>,
    ) -> Result<(), Interruption> {
        use crate::event::Phase;

        let stop = context.stop.clone();
        let needed = context.needed_artifacts().await?;
        let (artifacts_folder, artifacts_stop) = (workdir.clone(), context.stop.clone());
        let work: Box<dyn FnOnce() -> Result<(), Interruption> + Send> = match &context.base {
            Base::Image(_) => {
                let sources = Arc::clone(&context.sources);
                context.report_phase(Phase::SendingSources { files: sources.files, bytes: sources.bytes });
                Box::new(move || copy::sources(&sources, &workdir, &stop))
            }
            Base::Snapshot(snapshot, outdated) => match snapshot.get::<HostSnapshot>().cloned() {
                Some(HostSnapshot::Copied(parent)) => {
                    let update = outdated.as_ref().map(|outdated| {
                        let folder = workdir::on_host(&workspace, &outdated.folder)?;
                        Ok::<_, EngineError>((context.delta_since(outdated), folder))
                    });
                    let update = update.transpose()?;
                    Box::new(move || {
                        let newest = copy::tree(&parent, &workspace, &stop)?;
                        if let Some((delta, folder)) = update {
                            copy::update(&delta, &folder, newest, &stop)?;
                        }
                        Ok(copy::create_folder(&workdir)?)
                    })
                }
                Some(HostSnapshot::Moved(parent)) => Box::new(move || {
                    copy::take_over(&parent, &workspace)?;
                    Ok(copy::create_folder(&workdir)?)
                }),
                None => return Err(context.no_snapshot().into()),
            },
        };
        let task = copying.insert(tokio::task::spawn_blocking(move || {
            work()?;
            for (provider, artifacts) in needed {
                copy::add(&artifacts, &artifacts_folder, &artifacts_stop)?;
                provider.check_sent(&artifacts)?;
            }
            Ok(())
        }));
        let copied = async { task.await.unwrap_or_else(|panic| Err(panicked(std::io::Error::other(panic)).into())) };
        stop::unless_stopped(&context.stop, copied).await?;
        *copying = None;
        Ok(())
    }
}

/// Runs the step's command, or a person's shell in its place.
#[cfg(unix)]
async fn run(
    context: &StepContext,
    logs: &mut StepLogs,
    home: &Path,
    setup: &Setup,
    location: &Location<'_>,
    locks: Vec<File>,
) -> Result<Ending, Interruption> {
    match &context.terminal {
        None => Ok(process::run(context, logs, home, setup, location, locks).await?),
        Some(terminal) => shell::run(context, terminal, home, setup, location, locks).await,
    }
}

#[cfg(unix)]
fn remove_history(given: Option<Given>) -> Result<(), EngineError> {
    let Some(given) = given else { return Ok(()) };
    let path = given.folder().to_owned();
    given.remove().map_err(|source| EngineError::File { doing: "Removing the git history", path, source })
}

/// A copy in progress.
type Copying = JoinHandle<Result<(), Interruption>>;

#[async_trait]
impl Runner for HostRunner {
    async fn capacity(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Makes the run's folder.
    fn begin(&self) -> Result<(), EngineError> {
        let doing = "Creating the run's directory";
        let error = |source| EngineError::File { doing, path: self.folder.clone(), source };
        // It must be new, because any user can create a directory there.
        private::create_new_folder(&self.folder).map_err(error)?;
        private::write(&self.folder.join(OWNER_FILE), Owner::this_process().to_string().as_bytes()).map_err(error)?;
        let place = Place::claim(&std::env::temp_dir(), FOLDER_PREFIX, &self.project);
        // Then its path is another one in each run.
        let place = place.or_else(|_| Place::claim(&self.folder, "", &self.project)).map_err(error)?;
        *self.place.lock() = Some(Arc::new(place));
        Ok(())
    }

    fn sweep_dead_owners(&self, _hurry: CancellationToken) -> BoxFuture<'static, Option<String>> {
        async {
            let sweep = |_: &CancellationToken| leftovers::remove(&std::env::temp_dir(), &Owner::this_process());
            let swept = blocking::run(sweep).await.unwrap_or(0);
            (swept > 0)
                .then(|| format!("Removed leftovers of processes that have exited: {}.", counted(swept, "folder")))
        }
        .boxed()
    }

    async fn run_step(&self, context: &StepContext, logs: &mut StepLogs) -> StepResult {
        // A new directory for every attempt, because nothing of a failed attempt may be visible in the next one.
        let home = self.folder.join(format!("{}-{}", context.index, Uuid::new_v4().simple()));
        let mut copying = None;
        let result = match self.carry_out(context, logs, &home, &mut copying).await {
            Ok(ending) => self.finish(context, ending, &home).await.map(|saved| (ending, saved)),
            Err(interruption) => Err(interruption),
        };
        let (ending, saved) = match result {
            Ok((ending, saved)) => (Ok(ending), saved),
            Err(Interruption::Stopped) => (Ok(Ending::Stopped), None),
            Err(Interruption::Failed(error)) => (Err(error), None),
        };
        let is_kept = ending.as_ref().is_ok_and(|ending| context.keeps_snapshot.after(*ending));
        if is_kept {
            let workspace = home.join("workspace");
            let snapshot = match context.snapshot_use {
                SnapshotUse::Once => HostSnapshot::Moved(workspace),
                SnapshotUse::Several => HostSnapshot::Copied(workspace),
            };
            return StepResult { ending, snapshot: Some(Snapshot::new(snapshot)), saved, tidy: None, digest: None };
        }
        let failed = matches!(ending, Ok(Ending::Exited(code)) if code != 0);
        let store = (failed && context.keeping.workspace.is_some()).then(|| Arc::clone(&self.store));
        let removals = Arc::clone(&self.removals);
        let tidy = async move {
            // It ends soon, and what it still writes is removed with everything else.
            if let Some(copying) = copying.filter(|copying| !copying.is_finished()) {
                copying.await.ok();
            }
            let from = home.join("workspace");
            let state = match store {
                Some(store) => blocking::run(move |_| store.take(&from)).await.ok().flatten(),
                None => None,
            };
            // Anything that cannot be removed now is removed with the run's directory.
            removals.lock().spawn_blocking(move || copy::remove(&home).ok());
            state
        };
        StepResult { ending, snapshot: None, saved, tidy: Some(tidy.boxed()), digest: None }
    }

    async fn hand_back_artifacts(&self, context: &StepContext) -> StepResult {
        let kept = match &context.base {
            Base::Snapshot(snapshot, _) => snapshot.get::<HostSnapshot>(),
            Base::Image(_) => None,
        };
        let taken = match (kept, &context.artifacts) {
            (Some(HostSnapshot::Copied(folder) | HostSnapshot::Moved(folder)), Some(artifacts)) => {
                let taking = self.take_artifacts(context, artifacts, folder);
                stop::unless_stopped(&context.stop, taking).await
            }
            (None, _) | (_, None) => Ok(()),
        };
        StepResult::ended(taken.map(|()| Ending::Exited(0)))
    }

    async fn close(&self) -> Vec<String> {
        drop(self.place.lock().take());
        Vec::new()
    }

    async fn remove_rest(&self) -> std::io::Result<()> {
        let removals = std::mem::take(&mut *self.removals.lock());
        removals.join_all().await;
        let (folder, used) = (self.folder.clone(), std::mem::take(&mut *self.used_mounts.lock()));
        let work = move |_: &CancellationToken| {
            for meter in used.into_values() {
                let bytes = limits::size(&meter.files());
                meter.set(bytes);
            }
            copy::remove(&folder)
        };
        blocking::run(work).await.flatten()
    }
}

fn panicked(source: std::io::Error) -> EngineError {
    EngineError::Spawn { source }
}
