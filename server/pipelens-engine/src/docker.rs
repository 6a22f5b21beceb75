//! Steps as Docker containers. A step's filesystem becomes an image only if several steps start from it; the only child of a
//! step runs in its parent's container, which saves a start, a commit and a layer.

mod about;
mod arguments;
mod boot;
pub(crate) mod cache_registry;
mod client_error;
mod commit;
mod connectors;
mod container;
pub(crate) mod credentials;
mod endpoint;
pub(crate) mod endpoint_survey;
mod history;
mod image;
mod image_store;
mod labels;
mod leftovers;
mod listening;
mod liveness;
mod missing_report;
mod mounting;
mod network;
mod platform;
mod pull;
mod reap;
pub(crate) mod reference;
mod result_description;
mod services;
mod session;
mod shell;
mod socket;
pub(crate) mod source_images;
mod source_update;
mod ssh;
mod step;
mod transport;
mod volumes;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::deadlines::Deadlines;
pub(crate) use crate::docker::endpoint::needs_program;
use crate::docker::leftovers::Leftovers;
use crate::docker::session::Session;
use crate::error::EngineError;
use crate::logs::StepLogs;
use crate::runner::{OpenRequest, OpenRunner, Ran, Runner, RunnerSpec, StepResult};
use crate::step_context::{Ending, StepContext};

pub(crate) static RUNNER: RunnerSpec = RunnerSpec {
    vocabulary: arguments::VOCABULARY,
    open: |request| open(request).boxed(),
    inspect: |request| open(request).boxed(),
};

/// Only the end of the run waits for the sweep, but a pull may take minutes.
const SWEEP_WITHIN: Duration = Duration::from_secs(1);

/// Connects to the engine to ask something outside of a run.
pub(crate) async fn connect(docker_host: Option<&str>) -> Result<Docker, EngineError> {
    Ok(endpoint::find(docker_host, None, Deadlines::default()).await?.docker)
}

async fn open(request: OpenRequest) -> Result<OpenRunner, EngineError> {
    let session = Session::open(&request).await?;
    let snapshots = Arc::clone(&session.store);
    Ok(OpenRunner { spec: &RUNNER, runner: Arc::new(DockerRunner { session }), snapshots })
}

struct DockerRunner {
    session: Session,
}

#[async_trait]
impl Runner for DockerRunner {
    async fn capacity(&self) -> usize {
        self.session.store.about.facts().await.capacity
    }

    /// The engine handles many requests one after another, so the sweep waits until the first command has ended, but not for long.
    fn sweep_dead_owners(&self, hurry: CancellationToken) -> BoxFuture<'static, Option<String>> {
        let store = Arc::clone(&self.session.store);
        let has_run_one = self.session.has_run_one.clone();
        async move {
            tokio::select! {
                () = has_run_one.cancelled() => {}
                () = hurry.cancelled() => {}
                () = tokio::time::sleep(SWEEP_WITHIN) => {}
            }
            let swept = reap::sweep_dead_owners(&store.docker, &store.owner, store.budget).await;
            // The engine may still be finishing a commit that a dead owner requested.
            store.may_have_images.fetch_or(swept.is_some(), Ordering::Relaxed);
            swept
        }
        .boxed()
    }

    async fn run_step(&self, context: &StepContext, logs: &mut StepLogs) -> StepResult {
        let mut leftovers = Leftovers::default();
        let result = step::run(&self.session, context, logs, &mut leftovers).await;
        leftovers.services.end(context).await;
        if result.as_ref().is_ok_and(Ran::is_unsaved_failure)
            && context.keeping.workspace.is_some()
            && let Some(worker) = &leftovers.worker
        {
            leftovers.failure = self.session.commit_of(context, &worker.container).await.ok();
            if let Some(failure) = &mut leftovers.failure {
                // It is not a result, and must not be found as one by its name.
                failure.further_name = None;
            }
        }
        let digest = leftovers.digest.take();
        if matches!(result, Ok(Ran { ending: Ending::Exited(_), .. })) {
            // Nothing of the step runs any more, so the next one need not wait until its container is removed.
            leftovers.mounting = None;
        } else {
            leftovers.meters.clear();
        }
        let tidy = Some(leftovers.tidy().boxed());
        StepResult::of(result, tidy, digest)
    }

    async fn hand_back_artifacts(&self, context: &StepContext) -> StepResult {
        let mut leftovers = Leftovers::default();
        let result = step::hand_back_artifacts(&self.session, context, &mut leftovers).await;
        let tidy = Some(leftovers.tidy().boxed());
        StepResult { tidy, ..StepResult::ended(result.map(|()| Ending::Exited(0))) }
    }

    async fn close(&self) -> Vec<String> {
        let store = &self.session.store;
        let may_have_images = store.may_have_images.load(Ordering::Relaxed);
        let may_have = reap::MayHave { images: may_have_images, networks: store.has_networks.load(Ordering::Relaxed) };
        reap::remove_run(&store.docker, store.run_id, &store.owner, may_have, store.budget).await
    }
}
