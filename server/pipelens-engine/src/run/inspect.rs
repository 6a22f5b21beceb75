//! Shows or removes what earlier runs have kept. Runs nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cache::{CacheDecision, Stores, eviction, workspace_id};
use crate::cluster_settings::ClusterSettings;
use crate::deadlines::Deadlines;
use crate::error::EngineError;
use crate::locked_folder;
use crate::mounts::{KeptMount, Mounts};
use crate::owner::Owner;
use crate::run::run_request::RunRequest;
use crate::run::run_tools::{open_cache, open_store, sources_of};
use crate::runner::{OpenRequest, OpenRunner};
use crate::runners::RUNNERS;
use crate::store::{KeptSnapshot, PastRun, Store};

/// Returns which results a run would take from earlier runs, and why not the others. Starts and creates nothing.
pub async fn predict(request: &RunRequest) -> Result<Vec<CacheDecision>, EngineError> {
    let mut stores = Stores::new();
    for spec in RUNNERS.iter().filter(|spec| request.needs(spec)) {
        let opened = (spec.inspect)(OpenRequest { is_asked_soon: true, ..request.open_request() }).await?;
        stores.insert(spec.name(), opened.snapshots);
    }
    let sources = sources_of(request).await?;
    let Some(cache) = &request.cache else {
        return Ok(vec![CacheDecision::MissNoCommit { reason: None }; request.plan.steps.len()]);
    };
    let store = open_store(&cache.state_dir).await?;
    let cache = open_cache(request, cache, &store, &sources, &stores, None).await?;
    // What is there was found without it.
    if let Some(trouble) = stores.values().find_map(|snapshots| snapshots.trouble()) {
        return Err(trouble);
    }
    Ok(cache.decisions().to_vec())
}

/// Where runners keep what outlives a run, besides the state directory.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// The Docker endpoint, if the user set one; otherwise it is found as the Docker client finds it.
    pub docker_host: Option<String>,
    /// The cluster, if the user has one.
    pub cluster: Option<ClusterSettings>,
}

/// Removes the kept results of one project or all, of one step or all, on this machine and in the engines. Returns how
/// many bytes that freed.
pub async fn clean(
    state_dir: &Path,
    engines: &Engines,
    project: Option<&Path>,
    step: Option<&str>,
) -> Result<u64, EngineError> {
    let mut freed = 0;
    for InStore { store, opened, kept } in in_stores(state_dir, engines, project).await? {
        freed += eviction::remove(&store, opened.snapshots.as_ref(), of_step(kept, step)).await?;
    }
    Ok(freed)
}

/// Removes the kept results and cache mounts of all projects, and what processes that have exited left. Returns how many bytes that freed, and what
/// stays: something uses it, or its engine does not answer.
pub async fn clean_all(state_dir: &Path, engines: &Engines) -> Result<(u64, Vec<KeptThing>), EngineError> {
    let mut freed = 0;
    let cache_name = Owner::this_process().name_of_cache(state_dir);
    let at_once = CancellationToken::new();
    at_once.cancel();
    for InStore { store, opened, kept } in in_stores(state_dir, engines, None).await? {
        opened.runner.sweep_dead_owners(at_once.clone()).await;
        freed += eviction::remove(&store, opened.snapshots.as_ref(), kept).await?;
        let known = store.with(Store::all_snapshots).await?.into_iter().map(|kept| kept.place).collect();
        opened.snapshots.sweep(&cache_name, &known).await;
        opened.snapshots.sweep_mounts().await;
    }
    let store = open_store(state_dir).await?;
    let mounts = Mounts::new(state_dir, state_dir, &[]).kept(None, None);
    let mounts = mounts.into_iter().map(|KeptMount { id, record }| (id, KeptKind::Mount(record.name), record.bytes));
    let snapshots = store.with(Store::all_snapshots).await?;
    let snapshots = snapshots.into_iter().map(|kept| (kept.place.clone(), kind_of(&kept), kept.bytes));
    Ok((freed, things(snapshots.chain(mounts))))
}

/// Holds the state directory alone, so that it can be removed; `None`: another process uses it.
pub fn hold_state(state_dir: &Path) -> io::Result<Option<File>> {
    locked_folder::hold(state_dir, true)
}

/// The file in a state directory by which it is held.
pub const STATE_LOCK: &str = locked_folder::LOCK;

fn kind_of(kept: &KeptSnapshot) -> KeptKind {
    if eviction::mount_of(kept).is_some() {
        KeptKind::Mount(kept.sources_folder.clone())
    } else if kept.step.is_empty() {
        KeptKind::Sources
    } else {
        KeptKind::Result(kept.step.clone())
    }
}

/// Returns what is at each place. A result may have several keys.
fn things(places: impl Iterator<Item = (String, KeptKind, u64)>) -> Vec<KeptThing> {
    let mut by_place: BTreeMap<String, KeptThing> = BTreeMap::new();
    for (place, what, bytes) in places {
        by_place.entry(place).or_insert(KeptThing { what, bytes: 0 }).bytes += bytes;
    }
    let mut things: Vec<KeptThing> = by_place.into_values().collect();
    things.sort();
    things
}

/// Something that outlives runs, and that [`clean`] removes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptThing {
    pub what: KeptKind,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeptKind {
    /// A result of the step with this key.
    Result(String),
    /// An image that holds the sources.
    Sources,
    /// The cache mount with this name.
    Mount(String),
}

/// Returns what [`clean`] would remove of one project or all, of one step or all, as far as the stores can be reached.
pub async fn kept(
    state_dir: &Path,
    engines: &Engines,
    project: Option<&Path>,
    step: Option<&str>,
) -> Result<Vec<KeptThing>, EngineError> {
    let mut all = Vec::new();
    for InStore { kept, .. } in in_stores(state_dir, engines, project).await? {
        let kept = of_step(kept, step);
        all.extend(things(kept.into_iter().map(|kept| (kept.place.clone(), kind_of(&kept), kept.bytes))));
    }
    all.sort();
    Ok(all)
}

/// What is kept in one store.
struct InStore {
    store: Arc<Store>,
    opened: OpenRunner,
    kept: Vec<KeptSnapshot>,
}

async fn in_stores(state_dir: &Path, engines: &Engines, project: Option<&Path>) -> Result<Vec<InStore>, EngineError> {
    let store = Arc::new(Store::open(state_dir)?);
    let workspace = project.map(workspace_of).transpose()?;
    let request = OpenRequest {
        run_id: Uuid::nil(),
        source_root: state_dir.to_owned(),
        state_dir: Some(state_dir.to_owned()),
        shared_cache_mounts: Vec::new(),
        docker_host: engines.docker_host.clone(),
        cache_registry: None,
        cluster: engines.cluster.clone(),
        host_isolation: false,
        deadlines: Deadlines::default(),
        is_asked_soon: false,
    };
    let mut stores = Vec::new();
    for spec in RUNNERS {
        // From a store that cannot be reached, nothing is removed now; its records stay, and so do its snapshots.
        let Ok(opened) = (spec.inspect)(request.clone()).await else { continue };
        let (engine, of_workspace) = (opened.snapshots.name().await.to_owned(), workspace.clone());
        let kept = store.with(move |store| store.snapshots(&engine, of_workspace.as_deref())).await?;
        let kept = eviction::with_mounts(kept, opened.snapshots.as_ref(), workspace.as_deref()).await;
        stores.push(InStore { store: Arc::clone(&store), opened, kept });
    }
    Ok(stores)
}

/// Leaves what is kept of one step or all.
fn of_step(mut kept: Vec<KeptSnapshot>, step: Option<&str>) -> Vec<KeptSnapshot> {
    kept.retain(|kept| step.is_none_or(|step| is_of(&kept.step, step)));
    kept
}

/// Tells whether a key is that of a step, or of a combination of its matrix.
fn is_of(key: &str, step: &str) -> bool {
    let rest = key.strip_prefix(step);
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with(" (") && rest.ends_with(')')))
}

/// Returns the remembered runs of a project, newest first.
pub fn history(state_dir: &Path, project: &Path) -> Result<Vec<PastRun>, EngineError> {
    let workspace = workspace_of(project)?;
    Ok(Store::open(state_dir)?.runs(&workspace)?)
}

fn workspace_of(project: &Path) -> Result<String, EngineError> {
    let missing = |source: io::Error| EngineError::Project { path: PathBuf::from(project), source };
    Ok(workspace_id(&project.canonicalize().map_err(missing)?))
}
