//! What a run would take from the cache, for lenses and hover. Looked up in the background, when the user stops typing and when a run has
//! ended: editing never waits for a container engine, and does not need one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pipelens_core::plan::{CachePolicy, Plan, Reuse, Target, plan};
use pipelens_engine::cache::CacheDecision;

use crate::lsp::session::debounced::Debounced;
use crate::lsp::session::documents::{Document, OpenDocuments};
use crate::lsp::session::lenses::LensRefresh;
use crate::lsp::session::settings::SessionSettings;
use crate::project;

/// A document is checked when the user stops typing.
pub(crate) const REST: Duration = Duration::from_millis(300);
/// Files can change outside the editor, so a prediction older than this is looked up again when it is shown.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Policies may read many files, so lookups take at most a tenth of the time.
const PAUSE_FACTOR: u32 = 9;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// An engine that could not be reached is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// What is known of each open document, by its URI.
#[derive(Debug)]
pub(crate) struct Predictions {
    known: Mutex<BTreeMap<String, Known>>,
    wanted: Arc<Debounced<String>>,
}

#[derive(Debug)]
struct Known {
    /// For each pipeline of the file, the decision for each step.
    pipelines: Vec<BTreeMap<String, CacheDecision>>,
    looked: Instant,
}

impl Predictions {
    /// `wanted` is the queue of documents to look up, to which others may add as well.
    pub(crate) fn new(wanted: Arc<Debounced<String>>) -> Self {
        Self { known: Mutex::default(), wanted }
    }

    /// Returns the decision for a step, as far as it is known.
    pub(crate) fn of_step(&self, uri: &str, pipeline: usize, key: &str) -> Option<CacheDecision> {
        self.known.lock().get(uri)?.pipelines.get(pipeline)?.get(key).cloned()
    }

    /// Returns how many steps of a pipeline would come from the cache, and how many it has.
    pub(crate) fn hits(&self, uri: &str, pipeline: usize) -> Option<(usize, usize)> {
        let known = self.known.lock();
        let decisions = known.get(uri)?.pipelines.get(pipeline)?;
        let hits = decisions.values().filter(|decision| matches!(decision, CacheDecision::Hit { .. })).count();
        Some((hits, decisions.len()))
    }

    /// Requests a lookup for a document, soon.
    pub(crate) fn want(&self, uri: &str) {
        self.wanted.want(uri.to_owned());
    }

    /// Requests a lookup for a document if the last one was some time ago.
    pub(crate) fn want_if_old(&self, uri: &str) {
        if self.known.lock().get(uri).is_some_and(|known| known.looked.elapsed() > MAX_AGE) {
            self.want(uri);
        }
    }

    /// Performs the requested lookups until the process ends.
    pub(crate) async fn look(
        &self,
        documents: Arc<OpenDocuments>,
        settings: Arc<SessionSettings>,
        lenses: Arc<LensRefresh>,
    ) {
        let mut away_since: Option<Instant> = None;
        loop {
            let wanted = self.wanted.next().await;
            let began = Instant::now();
            for uri in wanted {
                let Some(document) = documents.now().named(&uri) else {
                    self.known.lock().remove(&uri);
                    continue;
                };
                if settings.is_untrusted() || away_since.is_some_and(|since| since.elapsed() < RETRY_AFTER) {
                    continue;
                }
                match predict(&document, &settings).await {
                    Some(Ok(pipelines)) => {
                        away_since = None;
                        let known = Known { pipelines, looked: Instant::now() };
                        let now = known.pipelines.clone();
                        let before = self.known.lock().insert(uri, known);
                        if before.map(|before| before.pipelines).unwrap_or_default() != now {
                            lenses.want();
                        }
                    }
                    // A run will report this; a prediction need not.
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
async fn predict(
    document: &Document,
    session: &SessionSettings,
) -> Option<Result<Vec<BTreeMap<String, CacheDecision>>, String>> {
    let path = document.path()?;
    let root = session.root_of(&path);
    let (settings, project) = (session.settings_for(&path), session.project(&root));
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
        let mut request = project::look_request(plan, root.clone(), &settings, &project).ok()?;
        if let Some(registry) = request.cache.as_mut().and_then(|cache| cache.registry.as_mut()) {
            registry.is_asked_by_user = false;
        }
        if let Some(cluster) = &mut request.cluster {
            cluster.is_asked_by_user = false;
        }
        match pipelens_engine::run::predict(&request).await {
            Ok(decisions) => pipelines.push(keys.into_iter().zip(decisions).collect()),
            Err(error) => return Some(Err(error.sentence())),
        }
    }
    Some(Ok(pipelines))
}

/// If no step has a cache policy, there is nothing to predict, and the engine is not asked.
fn asks_for_results(plan: &Plan) -> bool {
    let mut policies = plan.steps.iter().filter_map(|step| step.cache.as_ref()).map(|cache| &cache.policy);
    policies.any(|policy| *policy != CachePolicy::None) || plan.steps.iter().any(|step| step.reuse == Reuse::Last)
}
