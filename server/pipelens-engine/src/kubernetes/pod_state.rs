//! What Kubernetes says about a pod: whether it waits, runs or is over, and why. Asks nothing.

use crate::kubernetes::names;
use crate::kubernetes::resources::{ContainerStatus, Pod};

/// What is known about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PodState {
    /// It does not run yet; with the reason, if Kubernetes gives one that may last.
    Waiting(Option<String>),
    /// Its image cannot be pulled, for this reason. Kubernetes goes on trying.
    NotPulled(String),
    /// The API server does not let this user see it, for this reason.
    Hidden(String),
    /// All its containers run.
    Running,
    /// It will not run, or not any more, with the reason.
    Over(String),
}

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
    let status = &pod.status;
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
        let Some(waiting) = &container.state.waiting else { continue };
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
    // One beside it may have done its work.
    let has_started =
        |container: &ContainerStatus| container.state.running.is_some() || container.state.terminated.is_some();
    if !containers.is_empty() && containers.iter().all(has_started) {
        return PodState::Running;
    }
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let unscheduled = conditions.iter().find(|it| it.kind == "PodScheduled" && it.status == "False");
    PodState::Waiting(
        unscheduled.map(|it| with_message(it.reason.as_deref().unwrap_or("Unschedulable"), it.message.as_deref())),
    )
}

fn ending_of(container: &ContainerStatus) -> Option<String> {
    let ended = container.state.terminated.as_ref()?;
    Some(match ended.reason.as_deref() {
        Some("OOMKilled") => "OOMKilled: it ran out of memory".to_owned(),
        Some(reason) if !matches!(reason, "Error" | "Completed") => reason.to_owned(),
        _ => format!("its container ended with exit code {}", ended.exit_code),
    })
}

/// Makes one line of a message, without a full stop.
pub(super) fn tidy(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
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
