//! The pods of one run, as the API server reports them over one watch: nothing is asked again and again. Knows no steps.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::deadlines::Deadlines;
use crate::error::{EngineError, with_causes};
use crate::kubernetes::attempts::persistently;
use crate::kubernetes::names;

/// The time that a pod's processes get to end by themselves; the agent has already ended what a step started.
const GRACE_SECONDS: u32 = 2;

/// What is known about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PodState {
    /// It does not run yet; with the reason, if Kubernetes gives one that may last.
    Waiting(Option<String>),
    /// Its image cannot be pulled, for this reason. Kubernetes goes on trying.
    NotPulled(String),
    /// All its containers run.
    Running,
    /// It will not run, or not any more, with the reason.
    Over(String),
}

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

    /// Creates a pod, and returns where its state can be seen.
    pub(super) async fn create(&self, pod: &Pod) -> Result<watch::Receiver<PodState>, EngineError> {
        let (state, seen) = watch::channel(PodState::Waiting(None));
        let name = pod.name_any();
        self.states.lock().insert(name.clone(), (state, None));
        self.watching.lock().get_or_insert_with(|| self.start_watching());
        let parameters = PostParams::default();
        let create = persistently(|| self.api.create(&parameters, pod).boxed());
        match tokio::time::timeout(self.deadlines.work, create).await {
            Ok(Ok(_)) => Ok(seen),
            // By an attempt whose answer was lost: no other pod has its name.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(seen),
            Ok(Err(error)) => {
                self.states.lock().remove(&name);
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
            while let Some(event) = pods.next().await {
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
                    Err(error) => tracing::debug!(error = with_causes(&error), "the pods cannot be watched"),
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
            *node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
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

/// Reasons of a container that do not pass by themselves.
const LASTING: [&str; 7] = [
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// Reads the state of a pod.
pub(super) fn state_of(pod: &Pod) -> PodState {
    let Some(status) = &pod.status else { return PodState::Waiting(None) };
    let with_message = |reason: &str, message: Option<&str>| match message.map(tidy).filter(|text| !text.is_empty()) {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    };
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        if let Some(reason) = &status.reason {
            return PodState::Over(with_message(reason, status.message.as_deref()));
        }
        let ended = containers.iter().find_map(ending_of);
        return PodState::Over(ended.unwrap_or_else(|| "its containers have ended".to_owned()));
    }
    for container in containers {
        let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref()) else { continue };
        let reason = waiting.reason.as_deref().unwrap_or_default();
        if reason == "ImagePullBackOff" {
            return PodState::NotPulled(with_message(reason, waiting.message.as_deref()));
        }
        if LASTING.contains(&reason) {
            return PodState::Over(with_message(reason, waiting.message.as_deref()));
        }
    }
    if pod.metadata.deletion_timestamp.is_some() {
        let why = status.reason.as_deref().map(|reason| with_message(reason, status.message.as_deref()));
        return PodState::Over(why.unwrap_or_else(|| "it was deleted".to_owned()));
    }
    // The container of the step, the first: without it, nothing runs.
    if let Some(ended) = containers.iter().filter(|it| it.name == names::STEP_CONTAINER).find_map(ending_of) {
        return PodState::Over(ended);
    }
    let is_running =
        |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_some());
    // One beside it may have done its work.
    let has_ended =
        |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.terminated.is_some());
    if !containers.is_empty() && containers.iter().all(|it| is_running(it) || has_ended(it)) {
        return PodState::Running;
    }
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let unscheduled = conditions.iter().find(|it| it.type_ == "PodScheduled" && it.status == "False");
    PodState::Waiting(
        unscheduled.map(|it| with_message(it.reason.as_deref().unwrap_or("Unschedulable"), it.message.as_deref())),
    )
}

fn ending_of(container: &ContainerStatus) -> Option<String> {
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    Some(match ended.reason.as_deref() {
        Some("OOMKilled") => "OOMKilled: it ran out of memory".to_owned(),
        Some(reason) if !matches!(reason, "Error" | "Completed") => reason.to_owned(),
        _ => format!("its container ended with exit code {}", ended.exit_code),
    })
}

/// Makes one line of a message, without a full stop.
fn tidy(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

/// Returns an error for a call that the API server refused.
pub(super) fn refused(doing: &'static str, error: &kube::Error) -> EngineError {
    let reason = match error {
        kube::Error::Api(status) => tidy(&status.message),
        other => with_causes(other),
    };
    EngineError::Cluster { doing, reason }
}

pub(super) fn no_answer(doing: &'static str, within: Duration) -> EngineError {
    EngineError::Cluster { doing, reason: format!("the API server did not answer within {} s", within.as_secs_f32()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn state(status: Value) -> PodState {
        state_of(&serde_json::from_value(json!({ "metadata": {}, "status": status })).unwrap())
    }

    fn container(state: Value) -> Value {
        json!([{ "name": "step", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state }])
    }

    #[test]
    fn a_pod_runs_when_the_container_of_its_step_does() {
        assert_eq!(state(json!({})), PodState::Waiting(None));
        let running = json!({ "phase": "Running", "containerStatuses": container(json!({ "running": {} })) });
        assert_eq!(state(running), PodState::Running);
    }

    #[test]
    fn a_pod_that_finds_no_node_waits_with_the_reason() {
        let condition = json!([{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient memory.",
        }]);
        let expected = "Unschedulable: 0/3 nodes are available: 3 Insufficient memory";
        assert_eq!(
            state(json!({ "phase": "Pending", "conditions": condition })),
            PodState::Waiting(Some(expected.into()))
        );
    }

    #[test]
    fn what_ends_a_pod_is_told_in_the_words_of_kubernetes() {
        let over = |status| match state(status) {
            PodState::Over(reason) => reason,
            other => panic!("{other:?}"),
        };
        let evicted =
            json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. " });
        assert_eq!(over(evicted), "Evicted: The node was low on resource: memory");
        let ended = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        assert_eq!(
            over(json!({ "phase": "Failed", "containerStatuses": container(ended) })),
            "OOMKilled: it ran out of memory"
        );
        let ended = json!({ "terminated": { "exitCode": 2, "reason": "Error" } });
        assert_eq!(
            over(json!({ "phase": "Running", "containerStatuses": container(ended) })),
            "its container ended with exit code 2"
        );
        let waiting = json!({ "waiting": { "reason": "InvalidImageName", "message": "Bad name" } });
        assert_eq!(
            over(json!({ "phase": "Pending", "containerStatuses": container(waiting) })),
            "InvalidImageName: Bad name"
        );
        let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } });
        assert_eq!(
            state(json!({ "phase": "Pending", "containerStatuses": container(waiting) })),
            PodState::NotPulled("ImagePullBackOff: Back-off pulling image".into())
        );
        assert_eq!(
            state(
                json!({ "phase": "Pending", "containerStatuses": container(json!({ "waiting": { "reason": "ErrImagePull" } })) })
            ),
            PodState::Waiting(None)
        );
    }
}
