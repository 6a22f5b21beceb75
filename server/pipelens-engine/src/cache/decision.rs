//! What will become of each step of a run, and why. Makes no keys and keeps nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use pipelens_core::plan::BootsFrom;

use crate::cache::inputs::Inputs;
use crate::cache::policy::Policy;
use crate::cache::{Cache, Hit, Keys, parents_first, shared_name};
use crate::runner::StepRunner;

const LOOKUPS_AT_ONCE: usize = 8;

/// What will become of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheDecision {
    /// Taken from an earlier run.
    Hit { key: String },
    /// Runs, and its result is kept; the reason says why it was not taken: "`Cargo.lock` changed".
    MissBuildAs { key: Option<String>, reason: String },
    /// Runs, and nothing of it is kept; with the reason if its policy asks for more.
    MissNoCommit { reason: Option<String> },
    /// Nobody asked for it, and those that boot from it are taken from earlier runs.
    NotNeeded,
}

impl Cache {
    /// Looks up the steps side by side: an engine is asked about each snapshot.
    pub(super) async fn decide(
        &mut self,
        runners: &BTreeMap<&'static str, Arc<dyn StepRunner>>,
    ) -> Result<(), rusqlite::Error> {
        let before = {
            let (workspace, pipeline) = (self.workspace.clone(), self.plan.name.clone());
            self.store.with(move |store| store.inputs(&workspace, &pipeline)).await?
        };
        // A step's key holds its parent's, so those of one step cost those of all: once an engine, not once a step.
        let mut keys_of: HashMap<&str, Vec<Option<Keys>>> = HashMap::new();
        let mut lookups = Vec::new();
        for (index, name) in self.runners.iter().enumerate() {
            let Some(runner) = runners.get(name.as_str()).map(AsRef::as_ref) else {
                lookups.push(async { Ok((CacheDecision::MissNoCommit { reason: None }, None)) }.boxed());
                continue;
            };
            let engine = runner.engine().await;
            let keys = keys_of.entry(name).or_insert_with(|| self.keys(engine));
            let keys = keys.get_mut(index).and_then(Option::take);
            lookups.push(self.decide_step(index, runner, keys, &before).boxed());
        }
        let decided = stream::iter(lookups).buffered(LOOKUPS_AT_ONCE).try_collect::<Vec<_>>().await?;
        for (index, (decision, hit)) in decided.into_iter().enumerate() {
            self.decisions.push(decision);
            self.hits.extend(hit.map(|hit| (index, hit)));
        }
        self.leave_out_what_nobody_needs();
        Ok(())
    }

    async fn decide_step(
        &self,
        index: usize,
        runner: &dyn StepRunner,
        keys: Option<Keys>,
        before: &BTreeMap<String, String>,
    ) -> Result<(CacheDecision, Option<Hit>), rusqlite::Error> {
        let Some((step, policy)) = self.plan.steps.get(index).zip(self.policies.get(index)) else {
            return Ok((CacheDecision::MissNoCommit { reason: None }, None));
        };
        if !step.is_wanted
            && let Some(keys) = &keys
            && let Some(hit) = self.find(&keys.fit, runner).await?
        {
            return Ok((CacheDecision::Hit { key: keys.fit.clone() }, Some(hit)));
        }
        let decision = match (policy, keys) {
            (Policy::None, _) => CacheDecision::MissNoCommit { reason: None },
            (Policy::Unknown(why), _) => CacheDecision::MissNoCommit { reason: Some(why.clone()) },
            (Policy::While(_) | Policy::ReadyMade(_), None) => {
                CacheDecision::MissBuildAs { key: None, reason: "its image is not here yet".into() }
            }
            (Policy::While(_) | Policy::ReadyMade(_), Some(keys)) if !self.is_read => {
                let reason = "earlier results are not to be used".to_owned();
                CacheDecision::MissBuildAs { key: Some(keys.cache), reason }
            }
            (Policy::While(_) | Policy::ReadyMade(_), Some(keys)) => {
                let mut hit = self.find(&keys.cache, runner).await?;
                if let (None, Policy::ReadyMade(key), true) = (&hit, policy, self.shares_with_harmont)
                    && let Some(name) = shared_name(&step.key, key)
                {
                    let shared = runner.shared_result(&name, &self.workspace).await;
                    hit = shared.map(|place| Hit { place, outdated: None });
                }
                if hit.is_some() {
                    return Ok((CacheDecision::Hit { key: keys.cache }, hit));
                }
                let reason = match before.get(&step.key).map(|before| serde_json::from_str::<Inputs>(before)) {
                    Some(Ok(before)) => {
                        keys.inputs.change_since(&before).unwrap_or_else(|| "its snapshot is gone".to_owned())
                    }
                    Some(Err(_)) | None => "it has not run here yet".to_owned(),
                };
                CacheDecision::MissBuildAs { key: Some(keys.cache), reason }
            }
        };
        Ok((decision, None))
    }

    /// A step that is there only to be booted from is not needed if all that boot from it are taken from earlier runs.
    fn leave_out_what_nobody_needs(&mut self) {
        for index in parents_first(&self.plan).into_iter().rev() {
            let Some(step) = self.plan.steps.get(index) else { continue };
            let is_hit = matches!(self.decisions.get(index), Some(CacheDecision::Hit { .. }));
            if step.is_wanted || is_hit {
                continue;
            }
            let mut children = (0..self.plan.steps.len()).filter(|child| {
                self.plan.steps.get(*child).is_some_and(|child| child.boots_from == BootsFrom::Step(index))
            });
            let is_needed = children.any(|child| {
                !matches!(self.decisions.get(child), Some(CacheDecision::Hit { .. } | CacheDecision::NotNeeded))
            });
            if !is_needed && let Some(decision) = self.decisions.get_mut(index) {
                *decision = CacheDecision::NotNeeded;
            }
        }
    }
}
