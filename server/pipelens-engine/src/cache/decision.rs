//! Decides which steps of a run are taken from earlier runs, and why others are not. Computes no keys and stores nothing.

use std::collections::{BTreeMap, HashMap};

use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use pipelens_core::plan::{Plan, PlanStep};

use crate::cache::inputs::Inputs;
use crate::cache::keys::{KeyedPlan, Keys, Stores, parents_first, shared_name};
use crate::cache::policy::Policy;
use crate::cache::results::KeptResults;
use crate::cache::shared::{SharedKeys, record_key};
use crate::snapshot::{Hit, SnapshotStore};
use crate::store::StoreError;

const LOOKUPS_AT_ONCE: usize = 8;

/// What a run will do with a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheDecision {
    /// Taken from an earlier run.
    Hit { key: String },
    /// Runs, and its result is kept; the reason says why it was not taken: "`Cargo.lock` changed".
    MissBuildAs { key: Option<String>, reason: String },
    /// Runs on its own last result, and its result is kept; the reason says why it was not taken, if its policy asks for caching.
    MissFromLast { key: Option<String>, reason: Option<String> },
    /// Runs, and its result is not kept; with the reason if its policy asks for caching.
    MissNoCommit { reason: Option<String> },
    /// It was not requested, and the steps that start from it or get its artifacts are taken from earlier runs.
    NotNeeded,
}

/// Looks up the steps concurrently, because the engine has to be asked about each snapshot.
pub(super) async fn decide(
    keyed: &KeyedPlan,
    results: &KeptResults,
    stores: &Stores,
    shares_with_harmont: bool,
    shared: &SharedKeys,
) -> Result<Decided, StoreError> {
    let before = {
        let (workspace, pipeline) = (results.workspace.clone(), keyed.plan.name.clone());
        results.store.with(move |store| store.inputs(&workspace, &pipeline)).await?
    };
    let lookup = Lookup { keyed, results, before, shares_with_harmont, shared };
    // A step's key contains its parent's, so computing the keys of one step costs as much as computing all: do it once per store, not once per step.
    let mut keys_of: HashMap<&str, Vec<Option<Keys>>> = HashMap::new();
    let mut lookups = Vec::new();
    let mut last_keys = Vec::new();
    for (index, name) in keyed.runners.iter().enumerate() {
        let Some(snapshots) = stores.get(name.as_str()).map(AsRef::as_ref) else {
            lookups.push(async { Ok((CacheDecision::MissNoCommit { reason: None }, None)) }.boxed());
            continue;
        };
        let store_name = snapshots.name().await;
        let keys = keys_of.entry(name).or_insert_with(|| keyed.keys(store_name));
        let keys = keys.get_mut(index).and_then(Option::take);
        last_keys.extend(keys.as_ref().and_then(|keys| keys.last.clone()).map(|key| (index, key, snapshots)));
        lookups.push(lookup.decide_step(index, snapshots, keys).boxed());
    }
    let decided = stream::iter(lookups).buffered(LOOKUPS_AT_ONCE).try_collect::<Vec<_>>().await?;
    let (mut decisions, mut hits) = (Vec::new(), HashMap::new());
    for (index, (decision, hit)) in decided.into_iter().enumerate() {
        decisions.push(decision);
        hits.extend(hit.map(|hit| (index, hit)));
    }
    leave_out_unneeded(&keyed.plan, &mut decisions);
    let mut decided = Decided { decisions, hits, bases: HashMap::new() };
    for (index, key, snapshots) in last_keys {
        decided.start_from_last(keyed, results, index, &key, snapshots).await?;
    }
    Ok(decided)
}

/// What a run will do.
pub(super) struct Decided {
    pub(super) decisions: Vec<CacheDecision>,
    pub(super) hits: HashMap<usize, Hit>,
    /// What the steps start from that ask for their last results.
    pub(super) bases: HashMap<usize, LastResult>,
}

/// What a step starts from that asks for its last result.
#[derive(Debug)]
pub(super) enum LastResult {
    Found(Hit),
    /// It cannot be used, with the reason, which reads as the end of a sentence.
    Unusable(String),
}

impl Decided {
    /// Looks up the last result of a step that runs. What it starts from otherwise must be unchanged, and must not be made again.
    async fn start_from_last(
        &mut self,
        keyed: &KeyedPlan,
        results: &KeptResults,
        index: usize,
        key: &str,
        snapshots: &dyn SnapshotStore,
    ) -> Result<(), StoreError> {
        let Some((step, decision)) = keyed.plan.steps.get(index).zip(self.decisions.get(index)) else { return Ok(()) };
        let (kept_as, reason) = match decision {
            CacheDecision::Hit { .. } | CacheDecision::NotNeeded => return Ok(()),
            CacheDecision::MissBuildAs { key, reason } => (key.clone(), Some(reason.clone())),
            CacheDecision::MissFromLast { key, reason } => (key.clone(), reason.clone()),
            CacheDecision::MissNoCommit { reason } => (None, reason.clone()),
        };
        let is_taken = |input: &usize| {
            matches!(self.decisions.get(*input), Some(CacheDecision::Hit { .. } | CacheDecision::NotNeeded))
        };
        let remade = step.inputs().find(|input| !is_taken(input)).and_then(|input| keyed.plan.steps.get(input));
        let why_not = match remade {
            _ if !results.is_read => "cached results are ignored in this run".to_owned(),
            Some(input) => format!("`{}` runs again", input.key),
            None => match results.find(key, snapshots).await? {
                Some(hit) => {
                    self.bases.insert(index, LastResult::Found(hit));
                    self.decide(index, CacheDecision::MissFromLast { key: kept_as, reason });
                    return Ok(());
                }
                None if results.has_last(&step.key, snapshots).await? => match step.parent() {
                    Some(parent) => {
                        let parent = keyed.plan.steps.get(parent).map_or("", |parent| parent.key.as_str());
                        format!("the result of `{parent}` has changed since then")
                    }
                    None => "its image has changed since then".to_owned(),
                },
                None => {
                    // Nothing to say about its first run.
                    if reason.is_none() {
                        let reason = "it has no last result yet".to_owned();
                        self.decide(index, CacheDecision::MissBuildAs { key: kept_as, reason });
                    }
                    return Ok(());
                }
            },
        };
        if reason.is_none() {
            let reason = format!("its last result is not used, because {why_not}");
            self.decide(index, CacheDecision::MissBuildAs { key: kept_as, reason });
        }
        self.bases.insert(index, LastResult::Unusable(why_not));
        Ok(())
    }

    /// Returns the steps whose results are in a registry, and are needed here: steps that run start from them, or their artifacts are copied.
    pub(super) fn to_fetch(&self, plan: &Plan) -> Vec<usize> {
        let is_hit = |index: usize| matches!(self.decisions.get(index), Some(CacheDecision::Hit { .. }));
        let runs = |index: usize| !is_hit(index) && self.decisions.get(index) != Some(&CacheDecision::NotNeeded);
        let has_running_child = |index: usize| {
            plan.steps.iter().enumerate().any(|(child, step)| step.parent() == Some(index) && runs(child))
        };
        let is_needed = |index: &usize| {
            let has_artifacts = plan.steps.get(*index).is_some_and(|step| !step.artifacts.is_empty());
            is_hit(*index) && !self.hits.contains_key(index) && (has_artifacts || has_running_child(*index))
        };
        (0..plan.steps.len()).filter(is_needed).collect()
    }

    fn decide(&mut self, index: usize, decision: CacheDecision) {
        if let Some(slot) = self.decisions.get_mut(index) {
            *slot = decision;
        }
    }
}

/// What the decisions are based on.
struct Lookup<'a> {
    keyed: &'a KeyedPlan,
    results: &'a KeptResults,
    /// The inputs of each step when it last ran.
    before: BTreeMap<String, String>,
    shares_with_harmont: bool,
    shared: &'a SharedKeys,
}

impl Lookup<'_> {
    async fn decide_step(
        &self,
        index: usize,
        snapshots: &dyn SnapshotStore,
        keys: Option<Keys>,
    ) -> Result<(CacheDecision, Option<Hit>), StoreError> {
        let Some((step, policy)) = self.keyed.plan.steps.get(index).zip(self.keyed.policies.get(index)) else {
            return Ok((CacheDecision::MissNoCommit { reason: None }, None));
        };
        if !step.is_wanted
            && let Some(keys) = &keys
            && let Some(hit) = self.results.find(&keys.fit, snapshots).await?
        {
            return Ok((CacheDecision::Hit { key: keys.fit.clone() }, Some(hit)));
        }
        let decision = match (policy, keys) {
            (Policy::None, _) => CacheDecision::MissNoCommit { reason: None },
            (Policy::Unknown(why), _) => CacheDecision::MissNoCommit { reason: Some(why.to_string()) },
            (Policy::While(_) | Policy::ReadyMade(_), None) => {
                if let Some(found) = self.find_shared(index, snapshots).await? {
                    return Ok(found);
                }
                CacheDecision::MissBuildAs { key: None, reason: "its image has not been pulled yet".into() }
            }
            (Policy::While(_) | Policy::ReadyMade(_), Some(keys)) if !self.results.is_read => {
                let reason = "cached results are ignored in this run".to_owned();
                CacheDecision::MissBuildAs { key: Some(keys.cache), reason }
            }
            (Policy::While(_) | Policy::ReadyMade(_), Some(keys)) => {
                let mut hit = self.results.find(&keys.cache, snapshots).await?;
                if let (None, Policy::ReadyMade(key), true) = (&hit, policy, self.shares_with_harmont)
                    && let Some(name) = shared_name(&step.key, key)
                {
                    let shared = snapshots.find_shared(&name, &self.results.workspace).await;
                    hit = shared.map(|place| Hit { place, outdated: None });
                }
                if hit.is_some() {
                    return Ok((CacheDecision::Hit { key: keys.cache }, hit));
                }
                if let Some(found) = self.find_shared(index, snapshots).await? {
                    return Ok(found);
                }
                let reason = match self.before.get(&step.key).map(|before| serde_json::from_str::<Inputs>(before)) {
                    Some(Ok(before)) => {
                        keys.inputs.change_since(&before).unwrap_or_else(|| "its snapshot no longer exists".to_owned())
                    }
                    Some(Err(_)) | None => "it has not run here yet".to_owned(),
                };
                CacheDecision::MissBuildAs { key: Some(keys.cache), reason }
            }
        };
        Ok((decision, None))
    }

    /// Looks up a result that other machines share. Without a place here, it is only in the registry.
    async fn find_shared(
        &self,
        index: usize,
        snapshots: &dyn SnapshotStore,
    ) -> Result<Option<(CacheDecision, Option<Hit>)>, StoreError> {
        let Some(key) = self.shared.get(index) else { return Ok(None) };
        let decision = CacheDecision::Hit { key: key.to_owned() };
        if let Some(hit) = self.results.find(&record_key(key), snapshots).await? {
            return Ok(Some((decision, Some(hit))));
        }
        let Some(shared) = snapshots.shared() else { return Ok(None) };
        Ok(self.shared.is_in(shared, index).await.then_some((decision, None)))
    }
}

/// A step that was not requested is not needed if all steps that start from it, or get its artifacts, are taken from earlier runs.
fn leave_out_unneeded(plan: &Plan, decisions: &mut [CacheDecision]) {
    for index in parents_first(plan).into_iter().rev() {
        let Some(step) = plan.steps.get(index) else { continue };
        let is_hit = matches!(decisions.get(index), Some(CacheDecision::Hit { .. }));
        if step.is_wanted || is_hit {
            continue;
        }
        let uses_it = |child: &PlanStep| child.inputs().any(|input| input == index);
        let mut children = (0..plan.steps.len()).filter(|child| plan.steps.get(*child).is_some_and(uses_it));
        let is_needed = children
            .any(|child| !matches!(decisions.get(child), Some(CacheDecision::Hit { .. } | CacheDecision::NotNeeded)));
        if !is_needed && let Some(decision) = decisions.get_mut(index) {
            *decision = CacheDecision::NotNeeded;
        }
    }
}
