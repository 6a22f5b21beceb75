//! The keys under which the results of a plan's steps are kept. Looks up only images.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use pipelens_core::plan::{BootsFrom, Plan, PlanStep, Reuse};

use crate::cache::inputs::{Ground, Inputs};
use crate::cache::policy::Policy;
use crate::snapshot::SnapshotStore;

/// The snapshot store of each runner that a plan needs, by the runner's name.
pub(crate) type Stores = BTreeMap<&'static str, Arc<dyn SnapshotStore>>;

/// The keys under which a step's result would be kept, once everything it starts from is known.
pub(super) struct Keys {
    pub(super) cache: String,
    pub(super) inputs: Inputs,
    pub(super) fit: String,
    /// The key under which its last result is kept as what it starts from next time, if it asks for that.
    pub(super) last: Option<String>,
}

impl Keys {
    /// Identifies a step's result: a cached one stays the same while its policy allows it, any other is made of the current sources.
    fn of_result(&self, policy: Option<&Policy>) -> &str {
        match policy {
            Some(Policy::While(_) | Policy::ReadyMade(_)) => &self.cache,
            Some(Policy::None | Policy::Unknown(_)) | None => &self.fit,
        }
    }
}

/// A plan with everything that its keys depend on.
#[derive(Debug)]
pub(super) struct KeyedPlan {
    pub(super) plan: Arc<Plan>,
    pub(super) workspace: String,
    pub(super) sources_digest: String,
    /// Identifies the project's git history; empty if there is none.
    pub(super) history: String,
    pub(super) policies: Vec<Policy>,
    /// The name of each step's runner.
    pub(super) runners: Vec<String>,
    /// Digests of images by reference; an image that has not been pulled has none.
    pub(super) images: Mutex<HashMap<String, String>>,
}

impl KeyedPlan {
    pub(super) async fn look_up_images(&self, stores: &Stores) {
        let mut wanted = BTreeMap::new();
        for (step, runner) in self.plan.steps.iter().zip(&self.runners) {
            if let BootsFrom::Image(reference) = &step.boots_from {
                wanted.insert(reference, runner);
            }
        }
        for (reference, runner) in wanted {
            if let Some(snapshots) = stores.get(runner.as_str()) {
                self.look_up_image(reference, snapshots.as_ref()).await;
            }
        }
    }

    pub(super) async fn look_up_image(&self, reference: &str, snapshots: &dyn SnapshotStore) {
        if let Some(id) = snapshots.resolve_image(reference).await {
            self.images.lock().insert(reference.to_owned(), id);
        }
    }

    /// Returns the steps on whose results that of a step depends, itself included: those it starts from, and those whose artifacts it gets.
    pub(super) fn contributors(&self, index: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open = vec![index];
        while let Some(at) = open.pop() {
            if found.insert(at) {
                open.extend(self.plan.steps.get(at).into_iter().flat_map(PlanStep::inputs));
            }
        }
        found
    }

    /// Returns each step's keys; `None` if the image its lineage starts from is not known.
    pub(super) fn keys(&self, store_name: &str) -> Vec<Option<Keys>> {
        let images = self.images.lock().clone();
        self.keys_in(&self.workspace, store_name, &images)
    }

    /// Like `keys`, in a workspace with this name, with these digests of images.
    pub(super) fn keys_in(
        &self,
        workspace: &str,
        store_name: &str,
        images: &HashMap<String, String>,
    ) -> Vec<Option<Keys>> {
        let mut keys: Vec<Option<Keys>> = Vec::new();
        keys.resize_with(self.plan.steps.len(), || None);
        for index in parents_first(&self.plan) {
            let Some((step, runner)) = self.plan.steps.get(index).zip(self.runners.get(index)) else { continue };
            let inputs = |ground: Ground<'_>| Inputs::of(step, workspace, runner, ground);
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
            if step.git {
                cached.add("`HEAD` or a branch or tag of git", &self.history);
                fitting.add("`HEAD` or a branch or tag of git", &self.history);
            }
            let mut providers_known = true;
            for provider in &step.needs_artifacts {
                let provider_step = self.plan.steps.get(*provider);
                let Some((provider_step, provider)) = provider_step.zip(keys.get(*provider).and_then(Option::as_ref))
                else {
                    providers_known = false;
                    break;
                };
                cached.add_artifacts(provider_step, &provider.cache);
                fitting.add_artifacts(provider_step, &provider.fit);
            }
            if !providers_known {
                continue;
            }
            fitting.add("the sources", &self.sources_digest);
            fitting.add("the engine", store_name);
            let mut ready_made = None;
            match self.policies.get(index) {
                Some(Policy::While(parts)) => cached.extend(parts),
                Some(Policy::ReadyMade(key)) => ready_made = Some(format!("plan:{key}")),
                Some(Policy::None | Policy::Unknown(_)) | None => {}
            }
            let last =
                (step.reuse == Reuse::Last).then(|| self.key_of_last(index, step, runner, images, &keys)).flatten();
            let made =
                Keys { cache: ready_made.unwrap_or_else(|| cached.key()), inputs: cached, fit: fitting.key(), last };
            if let Some(slot) = keys.get_mut(index) {
                *slot = Some(made);
            }
        }
        keys
    }

    /// Returns the key of a step's last result: another one as soon as what the step starts from otherwise has changed.
    fn key_of_last(
        &self,
        index: usize,
        step: &PlanStep,
        runner: &str,
        images: &HashMap<String, String>,
        keys: &[Option<Keys>],
    ) -> Option<String> {
        let result_of = |step: usize| Some(keys.get(step)?.as_ref()?.of_result(self.policies.get(step)));
        let parent = step.parent().and_then(|parent| self.plan.steps.get(parent));
        let ground = match &step.boots_from {
            BootsFrom::Image(reference) => Ground::ImageDigest(images.get(reference)?),
            BootsFrom::Step(parent_index) => Ground::Parent { step: &parent?.key, key: result_of(*parent_index)? },
        };
        let mut inputs = Inputs::of_last(step, &self.workspace, &self.plan.name, runner, ground);
        // The sources of its last result are there.
        inputs.add("the folder of the sources", &self.plan.root(index)?.workdir);
        for provider in &step.needs_artifacts {
            inputs.add_artifacts(self.plan.steps.get(*provider)?, result_of(*provider)?);
        }
        Some(format!("{LAST}{}", inputs.key()))
    }
}

/// How the keys of last results begin.
pub(super) const LAST: &str = "last:";

/// Returns the indices of the steps, each after the one it starts from and those whose artifacts it gets.
pub(super) fn parents_first(plan: &Plan) -> Vec<usize> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for start in 0..plan.steps.len() {
        // Each step comes twice: to look at what it needs, and when that is done.
        let mut open = vec![(start, false)];
        while let Some((at, is_ready)) = open.pop() {
            if is_ready {
                order.push(at);
            } else if seen.insert(at) {
                open.push((at, true));
                open.extend(plan.steps.get(at).into_iter().flat_map(PlanStep::inputs).map(|input| (input, false)));
            }
        }
    }
    order
}

/// Returns the name under which the Harmont tools look for a result; the name of a repository is lowercase. `None`: the key cannot be part of
/// a name.
pub(super) fn shared_name(step_key: &str, key: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_name_is_accepted_by_every_engine() {
        let is = |step, key, name: Option<&str>| assert_eq!(shared_name(step, key).as_deref(), name);
        is("Build.All", "0123456789abcdef0123", Some("harmont-cache/build-all:0123456789abcdef"));
        is("…", "k", Some("harmont-cache/step:k"));
        for key in ["", "a/b", "a:b", "-a", ".a", "a b", "ä", "a@sha256"] {
            is("step", key, None);
        }
    }
}
