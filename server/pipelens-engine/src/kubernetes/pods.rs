//! The pods of one run, as the API server reports them over one watch: nothing is polled. Knows no steps.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use kube::api::{Api, DeleteParams, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::deadlines::Deadlines;
use crate::error::{EngineError, with_causes};
use crate::kubernetes::attempts::{Passing as _, persistently};
use crate::kubernetes::names;
use crate::kubernetes::pod_state::{PodState, state_of, tidy};
use crate::kubernetes::resources::{self, Pod};

/// The time that a pod's processes get to end by themselves; the agent has already ended what a step started.
const GRACE_SECONDS: u32 = 2;

/// The state of each pod, by name, and the node that it is on.
type States = HashMap<String, (watch::Sender<PodState>, Option<String>)>;

/// The pods of a run.
pub(super) struct Pods {
    api: Api<Pod>,
    deadlines: Deadlines,
    states: Arc<Mutex<States>>,
    /// The nodes on which pods were lost.
    lost_nodes: Mutex<BTreeSet<String>>,
    /// Started with the first pod.
    watching: Mutex<Option<JoinHandle<()>>>,
    selector: String,
}

impl Pods {
    pub(super) fn new(client: &Client, namespace: &str, run_id: uuid::Uuid, deadlines: Deadlines) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            deadlines,
            states: Arc::default(),
            lost_nodes: Mutex::default(),
            watching: Mutex::new(None),
            selector: format!("{}={run_id}", names::RUN),
        }
    }

    pub(super) fn api(&self) -> &Api<Pod> {
        &self.api
    }

    /// Creates a pod of this name, and returns where its state can be seen.
    pub(super) async fn create(&self, name: &str, pod: &Value) -> Result<watch::Receiver<PodState>, EngineError> {
        let (state, seen) = watch::channel(PodState::Waiting(None));
        self.states.lock().insert(name.to_owned(), (state, None));
        self.watching.lock().get_or_insert_with(|| self.start_watching());
        let create = persistently(|| resources::create(&self.api, pod).boxed());
        match tokio::time::timeout(self.deadlines.work, create).await {
            Ok(Ok(_)) => Ok(seen),
            // By an attempt whose answer was lost: no other pod has its name.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(seen),
            Ok(Err(error)) => {
                self.states.lock().remove(name);
                Err(refused("create a pod", &error))
            }
            // It may exist, and is found by its label when the run ends.
            Err(_) => Err(no_answer("create a pod", self.deadlines.work)),
        }
    }

    fn start_watching(&self) -> JoinHandle<()> {
        let config = watcher::Config::default().labels(&self.selector);
        let pods = watcher(self.api.clone(), config).default_backoff();
        let states = Arc::clone(&self.states);
        tokio::spawn(async move {
            let mut pods = std::pin::pin!(pods);
            let mut listed: Option<Vec<String>> = None;
            let mut refused_since = None;
            while let Some(event) = pods.next().await {
                // It begins anew before each attempt.
                if !matches!(event, Ok(watcher::Event::Init) | Err(_)) {
                    refused_since = None;
                }
                match event {
                    Ok(watcher::Event::Apply(pod)) => report(&states, &pod),
                    Ok(watcher::Event::Delete(pod)) => report_gone(&states, &pod.name_any()),
                    Ok(watcher::Event::Init) => listed = Some(Vec::new()),
                    Ok(watcher::Event::InitApply(pod)) => {
                        listed.get_or_insert_default().push(pod.name_any());
                        report(&states, &pod);
                    }
                    Ok(watcher::Event::InitDone) => {
                        let listed = listed.take().unwrap_or_default();
                        let missing: Vec<String> = {
                            let states = states.lock();
                            // One that does not exist yet has not been reported.
                            let was_seen = |state: &watch::Sender<PodState>| *state.borrow() == PodState::Running;
                            let missing =
                                states.iter().filter(|(name, (state, _))| !listed.contains(name) && was_seen(state));
                            missing.map(|(name, _)| name.clone()).collect()
                        };
                        missing.iter().for_each(|name| report_gone(&states, name));
                    }
                    // The watcher asks again after a while.
                    Err(error) => {
                        tracing::debug!(error = with_causes(&error), "the pods cannot be watched");
                        if let Some(refusal) = refusal(error) {
                            let since = *refused_since.get_or_insert_with(Instant::now);
                            if refusal.passes_within().is_none_or(|limit| since.elapsed() >= limit) {
                                hide(&states, &reason_of(&refusal));
                            }
                        }
                    }
                }
            }
        })
    }

    /// Notes that a pod was lost, possibly with its node: the next ones are started elsewhere, if there is an elsewhere.
    pub(super) fn note_lost(&self, name: &str) {
        let node = self.states.lock().get(name).and_then(|(_, node)| node.clone());
        self.lost_nodes.lock().extend(node);
    }

    /// Returns the nodes on which no more pods should be started.
    pub(super) fn lost_nodes(&self) -> Vec<String> {
        self.lost_nodes.lock().iter().cloned().collect()
    }

    /// Deletes a pod. One that does not exist any more is no error.
    pub(super) async fn delete(&self, name: &str, grace_seconds: u32) -> Result<(), EngineError> {
        self.states.lock().remove(name);
        let parameters = DeleteParams { grace_period_seconds: Some(grace_seconds), ..DeleteParams::default() };
        let delete = persistently(|| self.api.delete(name, &parameters).boxed());
        match tokio::time::timeout(self.deadlines.work, delete).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
            Ok(Err(error)) => Err(refused("delete a pod", &error)),
            Err(_) => Err(no_answer("delete a pod", self.deadlines.work)),
        }
    }

    /// Deletes a pod at once. One that cannot be deleted is found again by its label when the run closes.
    pub(super) async fn discard(&self, name: &str) {
        if let Err(error) = self.delete(name, 0).await {
            tracing::debug!(%error, "a pod stays for now");
        }
    }

    /// Deletes all pods of the run, and returns a sentence for each that could not be deleted.
    pub(super) async fn delete_all(&self) -> Vec<String> {
        if let Some(watching) = self.watching.lock().take() {
            watching.abort();
        }
        let of_run = ListParams::default().labels(&self.selector);
        let listing = persistently(|| self.api.list_metadata(&of_run).boxed());
        let pods = match tokio::time::timeout(self.deadlines.tidying, listing).await {
            Ok(Ok(pods)) => pods.items,
            Ok(Err(error)) => return vec![refused("list the pods of the run", &error).sentence()],
            Err(_) => return vec![no_answer("list the pods of the run", self.deadlines.tidying).sentence()],
        };
        let left = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let names: Vec<String> = left.map(|pod| pod.name_any()).collect();
        let deleting = names.iter().map(|name| async move { self.delete(name, GRACE_SECONDS).await.err() });
        let failed = futures_util::future::join_all(deleting).await;
        failed.into_iter().flatten().map(|error| error.sentence()).collect()
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        if let Some(watching) = self.watching.lock().take() {
            watching.abort();
        }
    }
}

fn report(states: &Mutex<States>, pod: &Pod) {
    if let Some((state, node)) = states.lock().get_mut(&pod.name_any()) {
        if node.is_none() {
            *node = pod.spec.node_name.clone();
        }
        state.send_if_modified(|state| {
            let new = state_of(pod);
            let is_new = *state != new && !matches!(state, PodState::Over(_));
            if is_new {
                *state = new;
            }
            is_new
        });
    }
}

fn report_gone(states: &Mutex<States>, name: &str) {
    if let Some((state, _)) = states.lock().get(name) {
        state.send_if_modified(|state| {
            let is_new = !matches!(state, PodState::Over(_));
            if is_new {
                *state = PodState::Over("it was deleted".to_owned());
            }
            is_new
        });
    }
}

/// Returns the answer of an API server that refuses to show pods to this user.
fn refusal(error: watcher::Error) -> Option<kube::Error> {
    let error = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        watcher::Error::WatchError(status) => kube::Error::Api(status),
        watcher::Error::NoResourceVersion => return None,
    };
    matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403)).then_some(error)
}

/// Those that run are seen over their connections.
fn hide(states: &Mutex<States>, reason: &str) {
    for (state, _) in states.lock().values() {
        state.send_if_modified(|state| {
            let is_new = matches!(state, PodState::Waiting(_) | PodState::NotPulled(_));
            if is_new {
                *state = PodState::Hidden(reason.to_owned());
            }
            is_new
        });
    }
}

/// Waits until a pod runs. `notice` is called with each new reason why it does not yet.
pub(super) async fn running(
    seen: &mut watch::Receiver<PodState>,
    within: Duration,
    mut notice: impl FnMut(&str),
) -> Result<(), EngineError> {
    let mut last = None;
    let mut not_pulled_since = None;
    let wait = async {
        loop {
            let mut tell = |reason: Option<String>| {
                if let Some(reason) = reason.filter(|reason| last.as_ref() != Some(reason)) {
                    notice(&reason);
                    last = Some(reason);
                }
            };
            let gives_up = match seen.borrow_and_update().clone() {
                PodState::Running => return Ok(()),
                PodState::Over(reason) => return Err(EngineError::PodEnded { reason }),
                PodState::Hidden(reason) => {
                    return Err(EngineError::Cluster { doing: "watch the pods of the run", reason });
                }
                PodState::Waiting(reason) => {
                    tell(reason);
                    None
                }
                PodState::NotPulled(reason) => {
                    let since = *not_pulled_since.get_or_insert_with(Instant::now);
                    tell(Some(reason.clone()));
                    Some((since + PULL_WITHIN, reason))
                }
            };
            let changed = match gives_up {
                None => seen.changed().await,
                Some((at, reason)) => match tokio::time::timeout_at(at, seen.changed()).await {
                    Ok(changed) => changed,
                    Err(_) => return Err(EngineError::PodEnded { reason }),
                },
            };
            if changed.is_err() {
                return Err(EngineError::PodEnded { reason: "it was deleted".to_owned() });
            }
        }
    };
    match tokio::time::timeout(within, wait).await {
        Ok(result) => result,
        Err(_) => {
            let reason = last.unwrap_or_else(|| "Kubernetes gave no reason".to_owned());
            Err(EngineError::PodNotStarted { seconds: within.as_secs(), reason })
        }
    }
}

/// Waits until a pod has ended, and returns why.
pub(super) async fn over(mut seen: watch::Receiver<PodState>) -> String {
    loop {
        if let PodState::Over(reason) = &*seen.borrow_and_update() {
            return reason.clone();
        }
        if seen.changed().await.is_err() {
            return "it was deleted".to_owned();
        }
    }
}

/// How long the nodes may fail to pull an image: we have pushed it, so the registry is away or asks for a login that they do not have.
const PULL_WITHIN: Duration = Duration::from_secs(60);

/// Returns an error for a call that the API server refused.
pub(super) fn refused(doing: &'static str, error: &kube::Error) -> EngineError {
    EngineError::Cluster { doing, reason: reason_of(error) }
}

fn reason_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => tidy(&status.message),
        other => with_causes(other),
    }
}

pub(super) fn no_answer(doing: &'static str, within: Duration) -> EngineError {
    EngineError::Cluster { doing, reason: format!("the API server did not answer within {} s", within.as_secs_f32()) }
}
