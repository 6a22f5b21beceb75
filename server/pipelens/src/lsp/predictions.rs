//! What a run would take from earlier ones, for lenses and hover. Looked up aside, when somebody pauses and when a run has ended:
//! authoring never waits for a container engine, nor needs one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pipelens_core::model::CachePolicy;
use pipelens_core::plan::{Plan, Target, plan};
use pipelens_engine::cache::CacheDecision;
use tokio::sync::Notify;

use super::config::Config;
use super::outbox::Outbox;
use super::state::{Document, Snapshot, lock};
use crate::project;

/// Somebody who types is asked about when they pause.
const REST: Duration = Duration::from_millis(300);
/// Files change behind the editor's back; what is older than this is looked up again when somebody looks at it.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Policies read files, which may be many: looking takes at most a tenth of the time.
const PAUSE_FACTOR: u32 = 9;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// An engine that is away is asked again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// What is known of each open document, by its URI.
#[derive(Debug, Default)]
pub(crate) struct Predictions {
    known: Mutex<BTreeMap<String, Known>>,
    wanted: Mutex<BTreeSet<String>>,
    wake: Notify,
}

#[derive(Debug)]
struct Known {
    /// For each pipeline of the file, what would become of each step.
    pipelines: Vec<BTreeMap<String, CacheDecision>>,
    looked: Instant,
}

impl Predictions {
    /// Returns what would become of a step, as far as it is known by now.
    pub(super) fn of_step(&self, uri: &str, pipeline: usize, key: &str) -> Option<CacheDecision> {
        lock(&self.known).get(uri)?.pipelines.get(pipeline)?.get(key).cloned()
    }

    /// Returns how many steps of a pipeline would be taken from earlier runs, and how many it has.
    pub(super) fn hits(&self, uri: &str, pipeline: usize) -> Option<(usize, usize)> {
        let known = lock(&self.known);
        let decisions = known.get(uri)?.pipelines.get(pipeline)?;
        let hits = decisions.values().filter(|decision| matches!(decision, CacheDecision::Hit { .. })).count();
        Some((hits, decisions.len()))
    }

    /// Asks for a look at a document, soon.
    pub(super) fn want(&self, uri: &str) {
        lock(&self.wanted).insert(uri.to_owned());
        self.wake.notify_one();
    }

    /// Asks for a look at a document if the last one was some time ago.
    pub(super) fn want_if_old(&self, uri: &str) {
        if lock(&self.known).get(uri).is_some_and(|known| known.looked.elapsed() > MAX_AGE) {
            self.want(uri);
        }
    }

    /// Looks at what is asked for, until the process ends.
    pub(super) async fn look(&self, documents: impl Fn() -> Snapshot, config: Arc<Config>, outbox: Arc<Outbox>) {
        let mut away_since: Option<Instant> = None;
        loop {
            self.wake.notified().await;
            tokio::time::sleep(REST).await;
            let began = Instant::now();
            let wanted = std::mem::take(&mut *lock(&self.wanted));
            for uri in wanted {
                let Some(document) = documents().get(&uri).cloned() else {
                    lock(&self.known).remove(&uri);
                    continue;
                };
                if config.is_untrusted() || away_since.is_some_and(|since| since.elapsed() < RETRY_AFTER) {
                    continue;
                }
                match predict(&document, &config).await {
                    Some(Ok(pipelines)) => {
                        away_since = None;
                        let known = Known { pipelines, looked: Instant::now() };
                        let now = known.pipelines.clone();
                        let before = lock(&self.known).insert(uri, known);
                        if before.map(|before| before.pipelines).unwrap_or_default() != now {
                            outbox.refresh_lenses();
                        }
                    }
                    // Said at the run, not at every pause.
                    Some(Err(why)) => {
                        tracing::debug!("nothing is predicted: {why}");
                        away_since = Some(Instant::now());
                    }
                    None => {}
                }
            }
            tokio::time::sleep((began.elapsed() * PAUSE_FACTOR).min(LONGEST_PAUSE)).await;
        }
    }
}

/// Returns the decisions for each pipeline of a document; `None` if it cannot be run as it is.
async fn predict(document: &Document, config: &Config) -> Option<Result<Vec<BTreeMap<String, CacheDecision>>, String>> {
    let path = document.path()?;
    let root = config.root_of(&path);
    let (settings, project) = (config.settings(), config.project(&root));
    if pipelens_engine::images::needs_program(settings.docker_host.as_deref()) {
        return None;
    }
    let mut pipelines = Vec::new();
    for index in 0..document.analysis.pipelines.len() {
        let plan = plan(&document.analysis, index, &Target::Pipeline, &project::stem_of(&path)).ok()?;
        if !asks_for_results(&plan) {
            pipelines.push(BTreeMap::new());
            continue;
        }
        let keys: Vec<String> = plan.steps.iter().map(|step| step.key.clone()).collect();
        let request = project::look_request(plan, root.clone(), &settings, &project).ok()?;
        match pipelens_engine::run::predict(&request).await {
            Ok(decisions) => pipelines.push(keys.into_iter().zip(decisions).collect()),
            Err(error) => return Some(Err(error.sentence())),
        }
    }
    Some(Ok(pipelines))
}

/// Where no step asks for an earlier result there is nothing to predict, and nobody is asked.
fn asks_for_results(plan: &Plan) -> bool {
    let mut policies = plan.steps.iter().filter_map(|step| step.cache.as_ref()).map(|cache| &cache.policy);
    policies.any(|policy| *policy != CachePolicy::None)
}
