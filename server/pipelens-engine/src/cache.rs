//! Which steps of a run are taken from earlier runs and why others are not, and under which keys their results are kept.
//! Starts nothing; asks snapshot stores only whether a snapshot still exists.

mod cache_request;
mod decision;
pub(crate) mod eviction;
mod inputs;
mod keys;
mod policy;
mod results;
mod shared;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use pipelens_core::plan::{BootsFrom, Plan, PlanStep, Reuse};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::blocking;
pub use crate::cache::cache_request::{Budget, CacheRequest};
pub use crate::cache::decision::CacheDecision;
use crate::cache::decision::{Decided, LastResult};
pub(crate) use crate::cache::inputs::canonical;
pub(crate) use crate::cache::keys::Stores;
use crate::cache::keys::{KeyedPlan, shared_name};
use crate::cache::policy::{Policy, World};
pub(crate) use crate::cache::results::SourceImages;
use crate::cache::results::{Before, KeptResults};
use crate::cache::shared::{SharedKeys, has_secrets, record_key};
use crate::event_queue::EventQueue;
pub use crate::fingerprint::workspace_id;
use crate::owner::Owner;
pub use crate::snapshot::CacheRegistry;
use crate::snapshot::{Hit, Saved, Shared, SharedSources, SnapshotStore};
use crate::sources::{Manifest, Sources};
use crate::store::{PastRun, Store, StoreError};

/// How many results are pulled at once. Each has several layers, which an engine pulls concurrently.
const FETCHES_AT_ONCE: usize = 2;

/// The cache as one run sees it.
#[derive(Debug)]
pub(crate) struct Cache {
    results: Arc<KeptResults>,
    sources: Arc<Sources>,
    keyed: KeyedPlan,
    shares_with_harmont: bool,
    decisions: Vec<CacheDecision>,
    hits: HashMap<usize, Hit>,
    bases: HashMap<usize, LastResult>,
}

/// Why a snapshot is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The step's policy asks for it.
    Cache,
    /// Steps that start from this one can start here, as long as nothing has changed.
    Rerun,
    /// So that the user can open a shell in it and see why the step failed.
    Failure,
}

impl Cache {
    /// Evaluates every policy and decides about every step. What a run needs of a registry is pulled; `events` is that run's.
    pub(crate) async fn open(
        request: &CacheRequest,
        store: Arc<Store>,
        plan: Arc<Plan>,
        sources: Arc<Sources>,
        stores: &Stores,
        default_runner: &str,
        events: Option<&EventQueue>,
    ) -> Result<Self, StoreError> {
        let evaluated = {
            let (request, plan, sources) = (request.clone(), Arc::clone(&plan), Arc::clone(&sources));
            blocking::run(move |stop| {
                let world = World { sources: &sources, variables: &request.variables, now: SystemTime::now(), stop };
                let evaluate = |step: &PlanStep| policy::evaluate(step.cache.as_ref(), &world);
                let policies: Vec<Policy> = plan.steps.iter().map(evaluate).collect();
                (policies, Manifest::of(&sources))
            })
        };
        let (policies, manifest) = evaluated.await?;
        let (workspace, sources_digest) = (workspace_id(&sources.root), manifest.digest());
        let runner_of = |step: &PlanStep| step.runner.as_deref().unwrap_or(default_runner).to_owned();
        let keyed = KeyedPlan {
            workspace: workspace.clone(),
            sources_digest: sources_digest.clone(),
            history: match &sources.history {
                Some(Ok(history)) => history.digest.clone(),
                Some(Err(_)) | None => String::new(),
            },
            policies,
            runners: plan.steps.iter().map(runner_of).collect(),
            plan,
            images: Mutex::default(),
        };
        let results = Arc::new(KeptResults {
            store,
            workspace,
            cache_name: Owner::this_process().name_of_cache(&request.state_dir),
            is_read: request.is_read,
            budget: request.budget,
            manifest: Arc::new(manifest),
            sources_digest,
        });
        keyed.look_up_images(stores).await;
        let shares_with_harmont = request.shares_with_harmont;
        if let (Some(CacheRegistry { project: None, repository, .. }), Some(events)) = (&request.registry, events) {
            events.notice(format!(
                "Nothing is shared through `{repository}`: the project has no git remote `origin` on another machine, by which it is recognised there."
            ));
        }
        let shared = match request.is_read {
            true => SharedKeys::of(&keyed, stores).await,
            false => SharedKeys::default(),
        };
        let Decided { decisions, hits, bases } = loop {
            let decided = decision::decide(&keyed, &results, stores, shares_with_harmont, &shared).await?;
            let Some(events) = events else { break decided };
            for shared in stores.values().filter_map(|snapshots| snapshots.shared()) {
                let repository = &shared.settings().repository;
                let say = |why| {
                    events.notice(format!("The cache registry `{repository}` does not say what it has: {why}."));
                };
                shared.take_complaint().into_iter().for_each(say);
            }
            let wanted = decided.to_fetch(&keyed.plan);
            if wanted.is_empty() {
                break decided;
            }
            let fetcher = Fetcher { keyed: &keyed, results: &results, stores, events };
            let fetches: Vec<_> =
                wanted.iter().map(|index| fetcher.fetch(*index, shared.get(*index)).boxed()).collect();
            stream::iter(fetches).buffer_unordered(FETCHES_AT_ONCE).try_collect::<Vec<()>>().await?;
            // Those that could not be pulled are made here.
            wanted.into_iter().for_each(|index| shared.leave_out(index));
        };
        Ok(Self { results, sources, keyed, shares_with_harmont, decisions, hits, bases })
    }

    /// Pushes what a step left, if it is shared. Returns a sentence about that.
    pub(crate) async fn publish(
        &self,
        index: usize,
        saved: &Saved,
        snapshots: Arc<dyn SnapshotStore>,
        stop: &CancellationToken,
    ) -> Option<String> {
        let shared = snapshots.shared()?;
        let registry = Some(shared.settings()).filter(|it| it.pushes && it.project.is_some())?;
        let step = self.keyed.plan.steps.get(index).filter(|_| self.has_policy(index))?;
        let (key, repository) = (&step.key, &registry.repository);
        if has_secrets(&self.keyed, index) {
            return Some(format!("The result of `{key}` is not shared, because secrets were used to make it."));
        }
        // By now, its image is here, so its digest is that of the image it was made from.
        let mut keys = SharedKeys::default();
        keys.add(&self.keyed, self.keyed.runners.get(index)?, snapshots.as_ref()).await;
        let shared_key = keys.get(index)?;
        // A run that ignores earlier results replaces them.
        if self.results.is_read {
            let is_there = tokio::select! {
                is_there = shared.has(shared_key) => is_there,
                () = stop.cancelled() => false,
            };
            if is_there {
                return None;
            }
        }
        let folder = self.keyed.plan.root(index).map_or_else(String::new, |root| root.workdir.clone());
        let sources = SharedSources { folder, manifest: Manifest::clone(&self.results.manifest) };
        Some(match shared.publish(shared_key, saved, &sources, stop).await {
            Ok(()) => format!("The result of `{key}` is now in `{repository}`."),
            Err(why) => format!("The result of `{key}` was not pushed to `{repository}`: {why}."),
        })
    }

    pub(crate) fn workspace(&self) -> &str {
        &self.results.workspace
    }

    /// Identifies the state directory, so that processes with another one leave its snapshots alone.
    pub(crate) fn name(&self) -> &str {
        &self.results.cache_name
    }

    pub(crate) fn source_images(&self) -> SourceImages {
        SourceImages(Arc::clone(&self.results))
    }

    pub(crate) fn decision(&self, index: usize) -> Option<&CacheDecision> {
        self.decisions.get(index)
    }

    pub(crate) fn decisions(&self) -> &[CacheDecision] {
        &self.decisions
    }

    pub(crate) fn hit(&self, index: usize) -> Option<&Hit> {
        self.hits.get(&index)
    }

    /// Returns the last result of a step that starts from it; `Err` says why it does not, although it has one.
    pub(crate) fn last_result(&self, index: usize) -> Option<Result<&Hit, &str>> {
        self.bases.get(&index).map(|base| match base {
            LastResult::Found(hit) => Ok(hit),
            LastResult::Unusable(why) => Err(why.as_str()),
        })
    }

    /// Whether the step's result is to be kept: its policy asks for that, or its next run may start from it.
    pub(crate) fn keeps_result(&self, index: usize) -> bool {
        self.has_policy(index) || self.keyed.plan.steps.get(index).is_some_and(|step| step.reuse == Reuse::Last)
    }

    fn has_policy(&self, index: usize) -> bool {
        matches!(self.keyed.policies.get(index), Some(Policy::While(_) | Policy::ReadyMade(_)))
    }

    /// Returns the name under which the Harmont tools look for a step's result, if it is shared with them.
    pub(crate) fn shared_name(&self, index: usize) -> Option<String> {
        match (self.keyed.policies.get(index), self.keyed.plan.steps.get(index)) {
            (Some(Policy::ReadyMade(key)), Some(step)) if self.shares_with_harmont => shared_name(&step.key, key),
            _ => None,
        }
    }

    /// Returns a sentence for each step whose policy cannot be evaluated.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let steps = self.keyed.plan.steps.iter().zip(&self.keyed.policies);
        steps
            .filter_map(|(step, policy)| match policy {
                Policy::Unknown(why) => Some(format!("The result of `{}` is not cached: {why}.", step.key)),
                Policy::None | Policy::While(_) | Policy::ReadyMade(_) => None,
            })
            .collect()
    }

    /// Returns a file that the result of a step depends on according to its policy, or to that of a step that contributes to it, and that was sent
    /// in another state than the one its key was computed from.
    fn changed_input(&self, index: usize) -> Option<String> {
        let changed: Vec<String> = self.sources.sent_changed().iter().map(|path| policy::input_name(path)).collect();
        if changed.is_empty() {
            return None;
        }
        self.keyed.contributors(index).into_iter().find_map(|step| match self.keyed.policies.get(step) {
            Some(Policy::While(inputs)) => changed.iter().find(|name| inputs.contains_key(*name)).cloned(),
            Some(Policy::None | Policy::ReadyMade(_) | Policy::Unknown(_)) | None => None,
        })
    }

    /// Records the snapshot a step left, and returns a sentence if it is not recorded. By now, the images that it depends on are known.
    pub(crate) async fn keep(
        &self,
        index: usize,
        purpose: Purpose,
        saved: Saved,
        run_id: Uuid,
        snapshots: &dyn SnapshotStore,
    ) -> Result<Option<String>, StoreError> {
        for step in self.keyed.contributors(index) {
            if let Some(BootsFrom::Image(reference)) = self.keyed.plan.steps.get(step).map(|step| &step.boots_from) {
                self.keyed.look_up_image(reference, snapshots).await;
            }
        }
        let Some(step) = self.keyed.plan.steps.get(index) else { return Ok(None) };
        if purpose == Purpose::Cache
            && let Some(name) = self.changed_input(index)
        {
            return Ok(Some(format!("The result of `{}` is not cached: {name} changed during the run.", step.key)));
        }
        let keys = self.keyed.keys(snapshots.name().await).into_iter().nth(index).flatten();
        let mut rows = Vec::new();
        match (purpose, keys) {
            (Purpose::Failure, _) => rows.push((failure_key(&run_id.to_string(), &step.key), Before::IsRemoved)),
            (Purpose::Cache, Some(keys)) => {
                let has_policy = self.has_policy(index);
                // With a policy, the last result before may be taken again.
                let before = if has_policy { Before::KeepsOtherKeys } else { Before::IsRemovedWithAllKeys };
                rows.extend(Some(keys.cache).filter(|_| has_policy).map(|key| (key, Before::IsRemoved)));
                rows.push((keys.fit, Before::IsRemoved));
                rows.extend(keys.last.map(|key| (key, before)));
                let inputs = serde_json::to_string(&keys.inputs).unwrap_or_default();
                let workspace = self.results.workspace.clone();
                let (pipeline, key) = (self.keyed.plan.name.clone(), step.key.clone());
                let remember = move |store: &Store| store.remember_inputs(&workspace, &pipeline, &key, &inputs);
                self.results.store.with(remember).await?;
            }
            (Purpose::Rerun, Some(keys)) => rows.push((keys.fit, Before::IsRemoved)),
            (Purpose::Cache | Purpose::Rerun, None) => return Ok(None),
        }
        let folder = self.keyed.plan.root(index).map_or("", |root| &root.workdir);
        for (number, row) in rows.into_iter().enumerate() {
            // The other rows refer to the same snapshot.
            let saved = Saved { bytes: if number == 0 { saved.bytes } else { 0 }, place: saved.place.clone() };
            self.results.record(row, &step.key, saved, folder, snapshots).await?;
        }
        Ok(None)
    }

    /// Returns what a step left when it failed last, if that is kept.
    pub(crate) async fn failure(
        &self,
        step: &str,
        snapshots: &dyn SnapshotStore,
    ) -> Result<Option<String>, StoreError> {
        let workspace = self.results.workspace.clone();
        let runs = self.results.store.with(move |store| store.runs(&workspace)).await?;
        for run in runs.iter().filter(|run| run.pipeline == self.keyed.plan.name) {
            if let Some(hit) = self.results.find(&failure_key(&run.run_id, step), snapshots).await? {
                return Ok(Some(hit.place));
            }
        }
        Ok(None)
    }

    /// Adds a run to the history.
    pub(crate) async fn record_run(&self, run: PastRun) -> Result<(), StoreError> {
        let workspace = self.results.workspace.clone();
        self.results.store.with(move |store| store.remember_run(&workspace, &run)).await
    }

    /// Returns what the user should be told about the store itself, once.
    pub(crate) fn take_notices(&self) -> Vec<String> {
        self.results.store.take_notices()
    }

    /// Removes snapshots that are too old, exceed the budget, or were never recorded.
    pub(crate) async fn clean_up(&self, snapshots: &dyn SnapshotStore) -> Result<(), StoreError> {
        self.results.keep_within_budget(snapshots).await?;
        self.results.remove_unrecorded(snapshots).await
    }
}

/// Pulls results from a registry.
struct Fetcher<'a> {
    keyed: &'a KeyedPlan,
    results: &'a KeptResults,
    stores: &'a Stores,
    events: &'a EventQueue,
}

impl Fetcher<'_> {
    /// Pulls the result of a step and records it. If that fails, the step runs.
    async fn fetch(&self, index: usize, key: Option<&str>) -> Result<(), StoreError> {
        let Some((key, step)) = key.zip(self.keyed.plan.steps.get(index)) else { return Ok(()) };
        let snapshots = self.keyed.runners.get(index).and_then(|runner| self.stores.get(runner.as_str()));
        let Some((snapshots, shared)) = snapshots.and_then(|snapshots| Some((snapshots, snapshots.shared()?))) else {
            return Ok(());
        };
        let (name, repository) = (&step.key, &shared.settings().repository);
        self.events.notice(format!("The result of `{name}` is being pulled from `{repository}`."));
        match shared.fetch(key).await {
            Ok(Shared { saved, sources: SharedSources { folder, manifest } }) => {
                let digest = manifest.digest();
                let sources = ((Arc::new(manifest), digest), folder.as_str());
                let row = (record_key(key), Before::IsRemoved);
                self.results.record_with(row, name, saved, sources, snapshots.as_ref()).await
            }
            Err(why) => {
                self.events
                    .notice(format!("The result of `{name}` could not be pulled, so the step runs here: {why}."));
                Ok(())
            }
        }
    }
}

/// Returns the key under which a failed step's state is found.
fn failure_key(run_id: &str, step_key: &str) -> String {
    format!("failed:{run_id}:{step_key}")
}
