//! Everything a plan needs, opened before its first step and closed after its last.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use pipelens_core::arguments::service_secrets;
use pipelens_core::plan::PlanStep;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::blocking;
use crate::cache::{Cache, CacheRequest, Stores};
use crate::error::EngineError;
use crate::event_queue::EventQueue;
use crate::history::History;
use crate::run::run_request::RunRequest;
use crate::runner::OpenRunner;
use crate::runners::RUNNERS;
use crate::secrets::{SHORTEST_VALUE_BYTES, SecretPatterns};
use crate::sources::Sources;
use crate::store::{Store, StoreError};

/// The environment variable with the path of the state directory.
pub const STATE_DIR_VARIABLE: &str = "PIPELENS_STATE_DIR";

/// Everything a run uses.
pub(super) struct RunTools {
    pub(super) runners: BTreeMap<&'static str, OpenRunner>,
    pub(super) sources: Arc<Sources>,
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) patterns: SecretPatterns,
    /// The tasks that remove what dead owners left.
    sweeps: JoinSet<()>,
    /// Cancelled when the sweeps should no longer wait.
    hurry: CancellationToken,
}

impl RunTools {
    /// May be dropped at any await, because everything that has to be closed is created after the last one.
    pub(super) async fn open(request: &RunRequest, events: &EventQueue) -> Result<Self, EngineError> {
        let (patterns, too_short) = SecretPatterns::of(&request.secrets);
        for name in too_short {
            events.notice(format!(
                "Secret `{name}` is shorter than {SHORTEST_VALUE_BYTES} bytes and is not masked in the output."
            ));
        }
        let needed = RUNNERS.iter().filter(|spec| request.needs(spec));
        let opening = try_join_all(needed.map(|spec| (spec.open)(request.open_request())));
        let (sources, opened) = tokio::try_join!(sources_of(request), opening)?;
        events.notice(sources.summary());
        sources.notes.iter().for_each(|note| events.notice(note.clone()));
        if let Some(Err(why)) = &sources.history {
            let steps = request.plan.steps.iter().filter(|step| step.git);
            let steps: Vec<String> = steps.map(|step| format!("`{}`", step.key)).collect();
            events.notice(format!("Without a `.git`: {}, because {why}.", steps.join(", ")));
        }
        let not_borrowed = sources.history.iter().flatten().flat_map(|history| &history.not_borrowed);
        not_borrowed.for_each(|folder| events.notice(format!(
            "The git repository borrows objects from `{}`, which is another repository, so steps do not get them. Allow it with the setting \
             `pipelens.allowMachineAccess`, or `--allow-machine-access` on the command line.",
            folder.display()
        )));
        if let Some(given) = given_secrets(request) {
            events.notice(given);
        }
        let runners: BTreeMap<_, _> = opened.into_iter().map(|opened| (opened.spec.name(), opened)).collect();
        let (mut sweeps, hurry) = (JoinSet::new(), CancellationToken::new());
        for opened in runners.values() {
            // Leftovers do no harm, so only the end of the run waits for the sweep.
            let (sweep, events) = (opened.runner.sweep_dead_owners(hurry.clone()), events.clone());
            sweeps.spawn(async move { sweep.await.into_iter().for_each(|swept| events.notice(swept)) });
        }
        let stores: Stores = runners.iter().map(|(name, opened)| (*name, Arc::clone(&opened.snapshots))).collect();
        let cache = open_cache_or_say_why(request, &sources, &stores, events).await;
        runners.values().try_for_each(|opened| opened.runner.begin())?;
        Ok(Self { runners, sources, cache, patterns, sweeps, hurry })
    }

    /// Has a time limit of its own, because the cleanup also runs after a cancel.
    pub(super) async fn close(mut self, events: &EventQueue, closing: Duration) -> Rest {
        self.hurry.cancel();
        while let Some(swept) = self.sweeps.join_next().await {
            if let Err(panic) = swept {
                tracing::error!(%panic, "a sweep panicked");
            }
        }
        for opened in self.runners.values() {
            for problem in opened.runner.close().await {
                events.notice(problem);
            }
            let Some(cache) = &self.cache else { continue };
            match tokio::time::timeout(closing, cache.clean_up(opened.snapshots.as_ref())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => events.notice(format!("Older results could not be removed: {error}.")),
                Err(_) => tracing::debug!("removing older results takes too long; the next run continues with it"),
            }
        }
        Rest(self.runners.into_values().collect())
    }
}

/// What is still to be removed after the end of a run.
#[derive(Default)]
pub(super) struct Rest(Vec<OpenRunner>);

impl Rest {
    pub(super) async fn remove(self) {
        for opened in self.0 {
            if let Err(error) = opened.runner.remove_rest().await {
                tracing::warn!(%error, runner = opened.spec.name(), "some files of a run could not be removed");
            }
        }
    }
}

/// Lists which secrets are passed to which steps.
fn given_secrets(request: &RunRequest) -> Option<String> {
    let steps = request.plan.steps.iter();
    let given = steps.flat_map(|step| step.secrets.iter().map(move |name| format!("`{name}` to step `{}`", step.key)));
    let of_service = |step: &PlanStep| {
        let secrets = step.runner_args.as_ref().map(service_secrets).unwrap_or_default();
        let given = |(service, name)| format!("`{name}` to service `{service}` of step `{}`", step.key);
        secrets.into_iter().map(given).collect::<Vec<_>>()
    };
    let given: Vec<String> = given.chain(request.plan.steps.iter().flat_map(of_service)).collect();
    (!given.is_empty()).then(|| format!("Secrets given: {}.", given.join(", ")))
}

/// Returns the sources of a run: those it was started for, else today's. With the git history, if a step asks for it.
pub(super) async fn sources_of(request: &RunRequest) -> Result<Arc<Sources>, EngineError> {
    let found = request.sources.as_ref().map(|found| Arc::clone(&found.0));
    let needs_history = request.plan.steps.iter().any(|step| step.git);
    let found = match found {
        Some(found) if !needs_history => return Ok(found),
        found => found,
    };
    let (root, may_borrow) = (request.source_root.clone(), request.may_open_machine);
    let panicked = |source| EngineError::Sources { path: request.source_root.clone(), source };
    let look = move |stop: &CancellationToken| {
        let mut sources = match found {
            Some(found) => Arc::unwrap_or_clone(found),
            None => Sources::scan(&root, stop)?,
        };
        sources.history = needs_history.then(|| History::of(&sources.root, may_borrow).map(Arc::new));
        Ok::<_, EngineError>(sources)
    };
    Ok(Arc::new(blocking::run(look).await.map_err(panicked)??))
}

/// If the store cannot be read, the run only takes longer.
async fn open_cache_or_say_why(
    request: &RunRequest,
    sources: &Arc<Sources>,
    stores: &Stores,
    events: &EventQueue,
) -> Option<Arc<Cache>> {
    let cache = request.cache.as_ref()?;
    let opened = match open_store(&cache.state_dir).await {
        Ok(store) => {
            let opened = open_cache(request, cache, &store, sources, stores, Some(events)).await;
            store.take_notices().into_iter().for_each(|notice| events.notice(notice));
            opened
        }
        Err(error) => Err(error),
    };
    match opened {
        Ok(cache) => {
            cache.warnings().into_iter().for_each(|warning| events.notice(warning));
            Some(Arc::new(cache))
        }
        Err(error) => {
            let log_dir = &request.log_dir;
            let logs = match log_dir.starts_with(&cache.state_dir) {
                true => String::new(),
                false => format!(" Its logs are in `{}`.", log_dir.display()),
            };
            events.notice(format!(
                "This run does not use earlier results and is not added to the history: {error}.{logs} Set `{STATE_DIR_VARIABLE}` to a folder that \
                 you can write to."
            ));
            None
        }
    }
}

pub(super) async fn open_store(state_dir: &Path) -> Result<Arc<Store>, StoreError> {
    let state_dir = state_dir.to_owned();
    blocking::run(move |_| Store::open(&state_dir)).await?.map(Arc::new)
}

/// If the store turns out to be corrupt while it is read, it is set aside, and a new one is used instead.
pub(super) async fn open_cache(
    request: &RunRequest,
    cache: &CacheRequest,
    store: &Arc<Store>,
    sources: &Arc<Sources>,
    stores: &Stores,
    events: Option<&EventQueue>,
) -> Result<Cache, StoreError> {
    let plan = Arc::new(request.plan.clone());
    let open = || {
        let (store, plan, sources) = (Arc::clone(store), Arc::clone(&plan), Arc::clone(sources));
        Cache::open(cache, store, plan, sources, stores, request.runner.name(), events)
    };
    match open().await {
        Err(error) if error.is_corrupt() => open().await,
        opened => opened,
    }
}
