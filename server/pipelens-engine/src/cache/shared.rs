//! The results that a registry shares with other machines: their keys, and what is recorded here of one that was pulled. Decides nothing.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use pipelens_core::plan::BootsFrom;

use crate::cache::keys::{KeyedPlan, Stores};
use crate::cache::policy::Policy;
use crate::fingerprint::digest;
use crate::snapshot::{SharedResults, SnapshotStore};

/// The key of each step's result in the registry, which depends on nothing that differs between machines.
#[derive(Debug, Default)]
pub(super) struct SharedKeys {
    keys: HashMap<usize, String>,
    /// Whether the registry has the result of a step, once it has been asked.
    answers: Mutex<HashMap<usize, bool>>,
}

impl SharedKeys {
    pub(super) async fn of(keyed: &KeyedPlan, stores: &Stores) -> Self {
        let mut keys = Self::default();
        for (runner, snapshots) in stores {
            keys.add(keyed, runner, snapshots.as_ref()).await;
        }
        keys
    }

    /// Adds the keys of the steps of a runner. Only a step with a policy has one. What a step with secrets leaves may contain them, and so may
    /// everything that is made from it.
    pub(super) async fn add(&mut self, keyed: &KeyedPlan, runner: &str, snapshots: &dyn SnapshotStore) {
        let Some(shared) = snapshots.shared() else { return };
        let Some(project) = &shared.settings().project else { return };
        let of_runner: BTreeSet<usize> =
            keyed.runners.iter().enumerate().filter(|(_, name)| *name == runner).map(|(index, _)| index).collect();
        let mut images = HashMap::new();
        for step in of_runner.iter().filter_map(|index| keyed.plan.steps.get(*index)) {
            if let BootsFrom::Image(reference) = &step.boots_from
                && !images.contains_key(reference)
                && let Some(image) = shared.image(reference).await
            {
                images.insert(reference.clone(), image);
            }
        }
        let place = format!("{project}\0{}", shared.platform().await);
        let keys = keyed.keys_in(&place, "", &images);
        for (index, keys) in keys.into_iter().enumerate().filter(|(index, _)| of_runner.contains(index)) {
            let has_policy = matches!(keyed.policies.get(index), Some(Policy::While(_) | Policy::ReadyMade(_)));
            let (Some(keys), Some(step)) = (keys, keyed.plan.steps.get(index)) else { continue };
            if has_policy && !has_secrets(keyed, index) {
                let key = digest(format!("{place}\0{runner}\0{}\0{}", step.key, keys.cache));
                self.keys.insert(index, key);
            }
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&str> {
        self.keys.get(&index).map(String::as_str)
    }

    /// Asks whether the registry has the result of a step, once.
    pub(super) async fn is_in(&self, shared: &dyn SharedResults, index: usize) -> bool {
        let Some(key) = self.get(index) else { return false };
        if let Some(answer) = self.answers.lock().get(&index) {
            return *answer;
        }
        let answer = shared.has(key).await;
        self.answers.lock().insert(index, answer);
        answer
    }

    /// From now on, the registry counts as not having the result of this step.
    pub(super) fn leave_out(&self, index: usize) {
        self.answers.lock().insert(index, false);
    }
}

/// Whether a step, or one that contributes to it, gets secrets.
pub(super) fn has_secrets(keyed: &KeyedPlan, index: usize) -> bool {
    let mut steps = keyed.contributors(index).into_iter().filter_map(|index| keyed.plan.steps.get(index));
    steps.any(|step| step.all_secrets().next().is_some())
}

/// Returns the key under which a pulled result is recorded here.
pub(super) fn record_key(key: &str) -> String {
    format!("shared:{key}")
}
