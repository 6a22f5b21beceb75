//! Finds out what happened to a container whose supervisor has not reported. Asks the engine only in that case.

use std::collections::HashMap;

use bollard::models::ContainerState;
use bollard::query_parameters::EventsOptionsBuilder;
use chrono::DateTime;
use futures_util::StreamExt as _;

use crate::deadlines::Deadlines;
use crate::docker::client_error::{reason, refused, status_of};
use crate::docker::container::{Container, GONE_WITHIN, KILLED};
use crate::error::EngineError;

/// The engine records some events a moment after they happen.
const EVENTS_UNTIL_SECONDS: i64 = 1;

/// How often an engine that does not seem to answer is asked again.
const LOOKS_AGAIN: usize = 3;

/// Returns why there is no report. `broken` is the connection's error, if it reported one.
///
/// How the command ended is unknown in this case: the container's exit code is never the command's.
pub(super) async fn explain(container: &Container, broken: Option<String>, deadlines: Deadlines) -> EngineError {
    let Ok(explained) = tokio::time::timeout(deadlines.question, look_into(container, broken.clone())).await else {
        return EngineError::NoReport { reason: unanswered(broken.as_deref()) };
    };
    explained
}

/// What is known if the engine says nothing more in time.
fn unanswered(broken: Option<&str>) -> String {
    let silent = "the engine did not answer when asked about it";
    match broken {
        Some(broken) => format!("the connection to the container broke: {broken}; and {silent}"),
        None => silent.to_owned(),
    }
}

async fn look_into(container: &Container, broken: Option<String>) -> EngineError {
    // A supervisor ends the container when its input ends.
    tokio::time::timeout(GONE_WITHIN, container.exit_code()).await.ok();
    let mut state = container.state().await;
    for _ in 0..LOOKS_AGAIN {
        // Whatever broke this connection may also have broken idle ones.
        if !matches!(&state, Err(error) if status_of(error).is_none()) {
            break;
        }
        state = container.state().await;
    }
    let state = match state {
        Ok(state) => state,
        Err(error) if status_of(&error) == Some(404) => {
            return EngineError::NoReport { reason: "the container was removed by something else".into() };
        }
        Err(error) if status_of(&error).is_none() => {
            return EngineError::Lost { reason: broken.unwrap_or_else(|| reason(&error)) };
        }
        Err(error) => return refused("inspect the container", &error),
    };
    let exit_code = state.exit_code.unwrap_or(0);
    let is_running = state.running == Some(true);
    if state.oom_killed == Some(true) && !is_running {
        return EngineError::OutOfMemory;
    }
    let no_report = |reason: String| EngineError::NoReport { reason };
    if let Some(doing) = done_by_others(container, &state).await {
        return no_report(format!("the container was {doing} by something else"));
    }
    if let Some(broken) = broken {
        return no_report(format!("the connection to the container broke: {broken}"));
    }
    if is_running {
        return no_report("the connection to the container broke while it ran".into());
    }
    if exit_code == KILLED {
        let reason = "the supervisor was killed from inside the container, or the connection to it broke";
        return no_report(reason.into());
    }
    match container.check_for_shell().await {
        Ok(()) => no_report(format!("the container exited by itself with code {exit_code}")),
        Err(error) => error,
    }
}

/// Returns what another client did to the container, according to the engine's events.
async fn done_by_others(container: &Container, state: &ContainerState) -> Option<&'static str> {
    let last = [&state.started_at, &state.finished_at].into_iter().flatten();
    let last = last.filter_map(|time| DateTime::parse_from_rfc3339(time).ok()).max()?;
    let until = (last.timestamp() + EVENTS_UNTIL_SECONDS).to_string();
    let filters = HashMap::from([("container", vec![container.id.as_str()])]);
    let options = EventsOptionsBuilder::default().since("0").until(&until).filters(&filters).build();
    let mut events = container.docker.events(Some(options)).boxed();
    let mut actions = Vec::new();
    while let Some(Ok(event)) = events.next().await {
        actions.extend(event.action);
    }
    let has = |wanted: &str| actions.iter().any(|action| action == wanted);
    // Each of these actions also produces the events of those after it.
    [("restart", "restarted"), ("stop", "stopped"), ("kill", "killed")]
        .into_iter()
        .find_map(|(action, done)| has(action).then_some(done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_break_is_named_even_if_the_engine_says_nothing_more() {
        assert_eq!(unanswered(None), "the engine did not answer when asked about it");
        let expected =
            "the connection to the container broke: reset by peer; and the engine did not answer when asked about it";
        assert_eq!(unanswered(Some("reset by peer")), expected);
    }
}
