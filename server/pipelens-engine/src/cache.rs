//! Which steps of a run are taken from earlier runs, under which key the results of the others are kept, and why one was not
//! taken. Starts nothing; asks runners only whether something still exists.

mod decision;
pub(crate) mod eviction;
mod inputs;
mod policy;
mod shelf;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use pipelens_core::plan::{BootsFrom, Plan, PlanStep};
use sha2::{Digest as _, Sha256};

pub use crate::cache::decision::CacheDecision;
pub(crate) use crate::cache::inputs::canonical;
use crate::cache::inputs::{Ground, Inputs};
use crate::cache::policy::Policy;
pub(crate) use crate::cache::policy::globs;
pub(crate) use crate::cache::shelf::Shelf;
use crate::outbox::Outbox;
use crate::owner::Owner;
use crate::runner::{Saved, StepRunner};
use crate::sources::{Manifest, Sources};
use crate::store::{KeptSnapshot, PastRun, Store};

/// Where the results of earlier runs are, and how much of them is kept.
#[derive(Debug, Clone)]
pub struct CacheRequest {
    /// The user's own folder.
    pub state_dir: PathBuf,
    /// `false`: every step runs, and its result replaces the older one.
    pub is_read: bool,
    /// Values of the variables that `env_keys` name.
    pub variables: BTreeMap<String, String>,
    pub budget: Budget,
    /// The user shares results with the Harmont tools: theirs are taken, and ours get the names they look for. A name says nothing of
    /// who made an image, so this is never a file's own word.
    pub shares_with_harmont: bool,
}

/// What a workspace may keep. Whatever was unused longest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub bytes: u64,
    pub age: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: 20_000_000_000, age: Duration::from_secs(30 * 24 * 60 * 60) }
    }
}

/// The cache as one run sees it.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) store: Arc<Store>,
    pub(crate) workspace: String,
    pub(crate) store_name: String,
    is_read: bool,
    shares_with_harmont: bool,
    budget: Budget,
    plan: Arc<Plan>,
    manifest: Arc<Manifest>,
    sources_digest: String,
    policies: Vec<Policy>,
    /// The name of each step's runner.
    runners: Vec<String>,
    /// Digests of images by reference; an image that is not there has none.
    images: Mutex<HashMap<String, String>>,
    decisions: Vec<CacheDecision>,
    hits: HashMap<usize, Hit>,
}

/// What a step is taken from.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) place: String,
    /// The sources in it, if they are not today's.
    pub(crate) outdated: Option<Outdated>,
}

/// Sources of another day.
#[derive(Debug, Clone)]
pub(crate) struct Outdated {
    pub(crate) manifest: Arc<Manifest>,
    /// Where in the snapshot they are.
    pub(crate) folder: String,
}

/// Why something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The step's policy asks for it.
    Cache,
    /// Whoever boots from the step may start here, as long as everything is the same.
    Rerun,
    /// A shell in it shows why the step failed.
    Failure,
}

/// What a step would be kept under, once everything it boots from is known.
struct Keys {
    cache: String,
    inputs: Inputs,
    fit: String,
}

impl Cache {
    /// Looks up every policy and decides about every step. `runners` has those the plan needs, by name.
    pub(crate) async fn open(
        request: &CacheRequest,
        store: Arc<Store>,
        plan: Arc<Plan>,
        sources: Arc<Sources>,
        runners: &BTreeMap<&'static str, Arc<dyn StepRunner>>,
        default_runner: &str,
    ) -> Result<Self, rusqlite::Error> {
        let looked_up = {
            let (request, plan, sources) = (request.clone(), Arc::clone(&plan), Arc::clone(&sources));
            tokio::task::spawn_blocking(move || {
                let now = SystemTime::now();
                let look_up = |step: &PlanStep| policy::look_up(step.cache.as_ref(), &sources, &request.variables, now);
                let policies: Vec<Policy> = plan.steps.iter().map(look_up).collect();
                (policies, Manifest::of(&sources))
            })
        };
        let (policies, manifest) = looked_up.await.map_err(|_| rusqlite::Error::InvalidQuery)?;
        let mut cache = Self {
            store,
            workspace: workspace_id(&sources.root),
            store_name: Owner::this_process().name_of_store(&request.state_dir),
            is_read: request.is_read,
            shares_with_harmont: request.shares_with_harmont,
            budget: request.budget,
            runners: plan
                .steps
                .iter()
                .map(|step| step.runner.as_deref().unwrap_or(default_runner).to_owned())
                .collect(),
            sources_digest: manifest.digest(),
            manifest: Arc::new(manifest),
            plan,
            policies,
            images: Mutex::default(),
            decisions: Vec::new(),
            hits: HashMap::new(),
        };
        cache.look_for_images(runners).await;
        cache.decide(runners).await?;
        Ok(cache)
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

    /// Whether the step's result is to be kept by its policy.
    pub(crate) fn asks_for_result(&self, index: usize) -> bool {
        matches!(self.policies.get(index), Some(Policy::While(_) | Policy::ReadyMade(_)))
    }

    /// The name under which the Harmont tools look for a step's result, if it is shared with them.
    pub(crate) fn shared_name(&self, index: usize) -> Option<String> {
        match (self.policies.get(index), self.plan.steps.get(index)) {
            (Some(Policy::ReadyMade(key)), Some(step)) if self.shares_with_harmont => shared_name(&step.key, key),
            _ => None,
        }
    }

    /// Says, for each step whose policy cannot be worked out, why.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let steps = self.plan.steps.iter().zip(&self.policies);
        steps
            .filter_map(|(step, policy)| match policy {
                Policy::Unknown(why) => Some(format!("The result of `{}` is not kept: {why}.", step.key)),
                Policy::None | Policy::While(_) | Policy::ReadyMade(_) => None,
            })
            .collect()
    }

    /// Remembers what a step left. The image it began with is known by now.
    pub(crate) async fn keep(
        &self,
        index: usize,
        purpose: Purpose,
        saved: Saved,
        run_id: uuid::Uuid,
        runner: &dyn StepRunner,
    ) -> Result<(), rusqlite::Error> {
        if let Some(BootsFrom::Image(reference)) = self.root(index).map(|step| &step.boots_from)
            && let Some(id) = runner.image_id(reference).await
        {
            self.images.lock().unwrap_or_else(PoisonError::into_inner).insert(reference.clone(), id);
        }
        let Some(step) = self.plan.steps.get(index) else { return Ok(()) };
        let keys = self.keys(runner.engine().await).into_iter().nth(index).flatten();
        let mut rows = Vec::new();
        match (purpose, keys) {
            (Purpose::Failure, _) => rows.push(failure_key(run_id, &step.key)),
            (Purpose::Cache, Some(keys)) => {
                rows.extend([keys.cache, keys.fit]);
                let inputs = serde_json::to_string(&keys.inputs).unwrap_or_default();
                let (workspace, pipeline, key) = (self.workspace.clone(), self.plan.name.clone(), step.key.clone());
                self.store.with(move |store| store.remember_inputs(&workspace, &pipeline, &key, &inputs)).await?;
            }
            (Purpose::Rerun, Some(keys)) => rows.push(keys.fit),
            (Purpose::Cache | Purpose::Rerun, None) => return Ok(()),
        }
        let folder = self.root(index).map_or("", |root| &root.workdir);
        for (number, key) in rows.into_iter().enumerate() {
            // The second row is the same snapshot.
            let saved = Saved { bytes: if number == 0 { saved.bytes } else { 0 }, place: saved.place.clone() };
            self.remember_snapshot(key, &step.key, saved, folder, runner).await?;
        }
        Ok(())
    }

    /// Remembers a filesystem with today's sources in a folder of it.
    async fn remember_snapshot(
        &self,
        key: String,
        step: &str,
        saved: Saved,
        sources_folder: &str,
        runner: &dyn StepRunner,
    ) -> Result<(), rusqlite::Error> {
        let kept = KeptSnapshot {
            engine: runner.engine().await.to_owned(),
            workspace: self.workspace.clone(),
            key,
            step: step.to_owned(),
            place: saved.place,
            bytes: saved.bytes,
            used_at: seconds_now(),
            sources: self.sources_digest.clone(),
            sources_folder: sources_folder.to_owned(),
        };
        let manifest = Arc::clone(&self.manifest);
        let replaced = self.store.with(move |store| store.keep(&kept, &manifest)).await?;
        // What something still boots from, or is built on, stays for the budget.
        eviction::remove(&self.store, runner, replaced.into_iter().collect()).await.map(drop)
    }

    /// Adds a run to the history.
    pub(crate) async fn remember(&self, run: PastRun, outbox: &Outbox) {
        let workspace = self.workspace.clone();
        if let Err(error) = self.store.with(move |store| store.remember_run(&workspace, &run)).await {
            outbox.notice(format!("The run could not be remembered: {error}."));
        }
    }

    /// Returns the first step of a step's lineage.
    fn root(&self, index: usize) -> Option<&PlanStep> {
        let mut step = self.plan.steps.get(index)?;
        while let BootsFrom::Step(parent) = step.boots_from {
            step = self.plan.steps.get(parent)?;
        }
        Some(step)
    }

    async fn look_for_images(&self, runners: &BTreeMap<&'static str, Arc<dyn StepRunner>>) {
        let mut wanted = BTreeMap::new();
        for (step, runner) in self.plan.steps.iter().zip(&self.runners) {
            if let BootsFrom::Image(reference) = &step.boots_from {
                wanted.insert(reference, runner);
            }
        }
        for (reference, runner) in wanted {
            let Some(runner) = runners.get(runner.as_str()) else { continue };
            if let Some(id) = runner.image_id(reference).await {
                self.images.lock().unwrap_or_else(PoisonError::into_inner).insert(reference.clone(), id);
            }
        }
    }

    /// Returns each step's keys; `None` where the image its lineage begins with is not known.
    fn keys(&self, engine: &str) -> Vec<Option<Keys>> {
        let images = self.images.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut keys: Vec<Option<Keys>> = Vec::new();
        keys.resize_with(self.plan.steps.len(), || None);
        for index in parents_first(&self.plan) {
            let Some((step, runner)) = self.plan.steps.get(index).zip(self.runners.get(index)) else { continue };
            let inputs = |ground: Ground<'_>| Inputs::of(step, &self.workspace, runner, ground);
            let (mut cached, mut fitting) = match &step.boots_from {
                BootsFrom::Image(reference) => {
                    let Some(digest) = images.get(reference) else { continue };
                    (inputs(Ground::ImageDigest(digest)), inputs(Ground::ImageDigest(digest)))
                }
                BootsFrom::Step(parent) => {
                    let Some(parent_step) = self.plan.steps.get(*parent) else { continue };
                    let Some(parent) = keys.get(*parent).and_then(Option::as_ref) else { continue };
                    let ground = |key| Ground::Parent { step: &parent_step.key, key };
                    (inputs(ground(&parent.cache)), inputs(ground(&parent.fit)))
                }
            };
            fitting.add("the sources", &self.sources_digest);
            fitting.add("the engine", engine);
            let mut ready_made = None;
            match self.policies.get(index) {
                Some(Policy::While(parts)) => cached.extend(parts),
                Some(Policy::ReadyMade(key)) => ready_made = Some(format!("plan:{key}")),
                Some(Policy::None | Policy::Unknown(_)) | None => {}
            }
            let made = Keys { cache: ready_made.unwrap_or_else(|| cached.key()), inputs: cached, fit: fitting.key() };
            if let Some(slot) = keys.get_mut(index) {
                *slot = Some(made);
            }
        }
        keys
    }

    /// Returns a kept snapshot, if the engine still has it.
    async fn find(&self, key: &str, runner: &dyn StepRunner) -> Result<Option<Hit>, rusqlite::Error> {
        let (engine, workspace, key) = (runner.engine().await.to_owned(), self.workspace.clone(), key.to_owned());
        let Some(kept) = self.store.with(move |store| store.snapshot(&engine, &workspace, &key)).await? else {
            return Ok(None);
        };
        if !runner.still_has(&kept.place).await {
            self.store.with(move |store| store.forget(&kept)).await?;
            return Ok(None);
        }
        let outdated = if kept.sources == self.sources_digest {
            None
        } else {
            let digest = kept.sources.clone();
            let manifest = self.store.with(move |store| store.sources(&digest)).await?;
            // Without the old list, whatever is in today's counts as changed; nothing can be removed.
            Some(Outdated { manifest: Arc::new(manifest.unwrap_or_default()), folder: kept.sources_folder.clone() })
        };
        let place = kept.place.clone();
        self.store.with(move |store| store.mark_used(&kept, seconds_now())).await?;
        Ok(Some(Hit { place, outdated }))
    }
}

/// Returns the indices of the steps, each behind the one it boots from.
fn parents_first(plan: &Plan) -> Vec<usize> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for start in 0..plan.steps.len() {
        let mut line = Vec::new();
        let mut at = start;
        while seen.insert(at) {
            line.push(at);
            match plan.steps.get(at).map(|step| &step.boots_from) {
                Some(BootsFrom::Step(parent)) => at = *parent,
                Some(BootsFrom::Image(_)) | None => break,
            }
        }
        order.extend(line.into_iter().rev());
    }
    order
}

/// Where the Harmont tools look for a result; a repository's name is lower-case. `None`: the key cannot be part of a name.
fn shared_name(step_key: &str, key: &str) -> Option<String> {
    let safe: String = step_key
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' })
        .collect();
    let safe = safe.trim_matches('-');
    let tag: String = key.chars().take(16).collect();
    let begins_well = tag.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    let is_tag = begins_well && tag.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '-'));
    is_tag.then(|| format!("harmont-cache/{}:{tag}", if safe.is_empty() { "step" } else { safe }))
}

/// Under what a failed step's state is found again.
pub(crate) fn failure_key(run_id: uuid::Uuid, step_key: &str) -> String {
    format!("failed:{run_id}:{step_key}")
}

/// Names bytes without telling them, in sixteen digits.
pub(crate) fn short_name(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Names a workspace without telling its path.
pub fn workspace_id(root: &Path) -> String {
    short_name(root.as_os_str().as_encoded_bytes())
}

pub(crate) fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_name_is_one_an_engine_accepts() {
        let is = |step, key, name: Option<&str>| assert_eq!(shared_name(step, key).as_deref(), name);
        is("Build.All", "0123456789abcdef0123", Some("harmont-cache/build-all:0123456789abcdef"));
        is("…", "k", Some("harmont-cache/step:k"));
        for key in ["", "a/b", "a:b", "-a", ".a", "a b", "ä", "a@sha256"] {
            is("step", key, None);
        }
    }
}
