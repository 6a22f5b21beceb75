//! Steps as pods of a Kubernetes cluster. State travels as layers in a registry that all nodes reach; the only child of a step runs in its
//! parent's pod.

mod agent_program;
mod agents;
mod arguments;
mod attempts;
mod claims;
mod client;
mod history;
mod image;
mod image_files;
mod kept_for;
pub(crate) mod kept_shell;
mod kubeconfig;
mod kubeconfig_fields;
mod login;
mod login_program;
mod made_images;
mod mounting;
mod names;
mod packed_layer;
mod pod;
mod pod_state;
mod pods;
mod questions;
mod registry;
mod registry_error;
mod registry_requests;
mod registry_token;
mod resources;
mod services;
mod session;
mod shared_results;
mod shell;
mod step;
mod store;
pub(crate) mod survey;
mod sweep;
mod tls;
mod volumes;
mod worker;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::error::EngineError;
use crate::kubernetes::session::Session;
use crate::kubernetes::step::Leftovers;
use crate::kubernetes::worker::Worker;
use crate::logs::StepLogs;
use crate::runner::{OpenRequest, OpenRunner, Ran, Runner, RunnerSpec, StepResult};
use crate::snapshot::Saved;
use crate::step_context::{Ending, StepContext};
use crate::stop::Interruption;

pub(crate) static RUNNER: RunnerSpec = RunnerSpec {
    vocabulary: arguments::VOCABULARY,
    open: |request| std::future::ready(open(&request)).boxed(),
    inspect: |request| std::future::ready(open(&request)).boxed(),
};

/// How many steps run at once: the cluster's scheduler decides where, and what has no room waits there.
const CAPACITY: usize = 100;

fn open(request: &OpenRequest) -> Result<OpenRunner, EngineError> {
    let session = Arc::new(Session::open(request)?);
    let store = Arc::clone(&session.store);
    Ok(OpenRunner { spec: &RUNNER, runner: Arc::new(KubernetesRunner { session }), snapshots: store })
}

struct KubernetesRunner {
    session: Arc<Session>,
}

impl KubernetesRunner {
    /// Removes the pod of a step, after saving what a failed step left if it is kept.
    fn tidy(
        &self,
        context: &StepContext,
        mut leftovers: Leftovers,
        has_failed: bool,
    ) -> BoxFuture<'static, Option<Saved>> {
        let session = Arc::clone(&self.session);
        let is_kept = has_failed && context.keeping.workspace.is_some();
        async move {
            if let Some(pods) = session.pods_so_far() {
                leftovers.services.remove(pods).await;
            }
            let mut worker = leftovers.worker?;
            let mut kept = None;
            if is_kept && worker.is_quiet() {
                kept = step::save_for_later_runs(&session, &mut worker).await.ok();
            }
            leftovers.mounting.measure(&worker).await;
            if let Some(pods) = session.pods_so_far() {
                worker.remove(pods).await;
            }
            // Until now, something of the step could use them.
            drop(leftovers.mounting);
            kept
        }
        .boxed()
    }
}

#[async_trait]
impl Runner for KubernetesRunner {
    async fn capacity(&self) -> usize {
        CAPACITY
    }

    fn sweep_dead_owners(&self, _hurry: CancellationToken) -> BoxFuture<'static, Option<String>> {
        let session = Arc::clone(&self.session);
        async move { sweep::remove_what_dead_owners_left(&session).await }.boxed()
    }

    async fn run_step(&self, context: &StepContext, logs: &mut StepLogs) -> StepResult {
        let mut leftovers = Leftovers::default();
        let result = step::run(&self.session, context, logs, &mut leftovers).await;
        leftovers.services.running.end(context).await;
        let digest = leftovers.digest.take();
        let has_ended = matches!(result, Ok(Ran { ending: Ending::Exited(_) | Ending::TimedOut, .. }));
        if has_ended && leftovers.worker.as_ref().is_none_or(Worker::is_quiet) {
            // The next step, or the next attempt, need not wait until the pod is removed.
            leftovers.mounting.release();
        }
        let result = match result {
            Ok(ran) => Ok(ran),
            Err(Interruption::Stopped) => Ok(Ran::without_snapshot(Ending::Stopped)),
            Err(Interruption::Failed(error)) => Err(error),
        };
        let has_failed = result.as_ref().is_ok_and(Ran::is_unsaved_failure);
        let tidy = Some(self.tidy(context, leftovers, has_failed));
        StepResult::of(result, tidy, digest)
    }

    async fn hand_back_artifacts(&self, context: &StepContext) -> StepResult {
        let mut leftovers = Leftovers::default();
        let result = step::hand_back_artifacts(&self.session, context, &mut leftovers).await;
        let tidy = Some(self.tidy(context, leftovers, false));
        StepResult { tidy, ..StepResult::ended(result.map(|()| Ending::Exited(0))) }
    }

    async fn close(&self) -> Vec<String> {
        let Some(pods) = self.session.pods_so_far() else { return Vec::new() };
        pods.delete_all().await
    }
}
