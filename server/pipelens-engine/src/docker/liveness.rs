//! Whether the engine still answers, and whether a container without output still runs its command. Knows nothing about images.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bollard::Docker;
use tokio::time::Instant;

use crate::deadlines::Deadlines;
use crate::docker::client_error::{reason, status_of};
use crate::docker::container::{Container, Seen};
use crate::docker::missing_report;
use crate::error::EngineError;
use crate::supervisor::Activity;

/// One dropped connection does not mean that the engine is lost, so a failed check is repeated soon.
const FAILURES: u32 = 3;
/// A container that is checked while it exits is not dead yet: its last output may still be on its way.
const SIGHTINGS: u32 = 3;

/// Resolves when the engine no longer answers. A connection to another machine may break silently.
pub(super) async fn lost(docker: &Docker, deadlines: Deadlines) -> EngineError {
    let mut failures = Failures::default();
    loop {
        tokio::time::sleep(failures.pause(deadlines)).await;
        match ping(docker).await {
            Ok(()) => failures = Failures::default(),
            Err(error) => {
                if let Some(lost) = failures.count(&error) {
                    return lost;
                }
            }
        }
    }
}

/// Resolves when nothing more can be expected from a container: the engine no longer answers, or the container has stopped while its
/// output is silent, or its command has ended without a report.
pub(super) async fn given_up(container: &Container, activity: &Activity, deadlines: Deadlines) -> EngineError {
    let mut failures = Failures::default();
    let (mut dead, mut idle) = (0, 0);
    let mut heard_before = activity.frames.load(Ordering::Relaxed);
    let mut last_heard = Instant::now();
    loop {
        tokio::time::sleep(failures.pause(deadlines)).await;
        let heard_now = activity.frames.load(Ordering::Relaxed);
        if heard_now != heard_before || !activity.is_waiting.load(Ordering::Relaxed) {
            (heard_before, last_heard, dead, idle) = (heard_now, Instant::now(), 0, 0);
        }
        match container.look().await {
            Ok(Seen::NotStarted) => {}
            Ok(Seen::Running) => {
                dead = 0;
                // This starts a process in the engine, so it is asked only if the connection may be dead.
                let is_idle = last_heard.elapsed() >= deadlines.quiet && container.has_no_command().await;
                idle = if is_idle { idle + 1 } else { 0 };
                if idle >= SIGHTINGS {
                    let reason = "its command has ended, but its connection went silent".into();
                    return EngineError::NoReport { reason };
                }
            }
            Ok(Seen::Ended | Seen::Gone) => {
                dead += 1;
                if dead >= SIGHTINGS {
                    return missing_report::explain(container, None, deadlines).await;
                }
            }
            // Perhaps only the container cannot be inspected: the engine locks a container while it starts it.
            Err(error) if status_of(&error).is_none() && ping(&container.docker).await.is_err() => {
                if let Some(lost) = failures.count(&error) {
                    return lost;
                }
                continue;
            }
            Err(_) => {}
        }
        failures = Failures::default();
    }
}

async fn ping(docker: &Docker) -> Result<(), bollard::errors::Error> {
    match docker.ping().await {
        Err(error) if status_of(&error).is_none() => Err(error),
        // Any answer proves that the engine is there.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The number of failed checks in a row.
#[derive(Default)]
struct Failures(u32);

impl Failures {
    /// How long to wait before the next check.
    fn pause(&self, deadlines: Deadlines) -> Duration {
        if self.0 == 0 { deadlines.liveness } else { deadlines.liveness / 5 }
    }

    /// Returns the error if there were too many failures.
    fn count(&mut self, error: &bollard::errors::Error) -> Option<EngineError> {
        self.0 += 1;
        (self.0 >= FAILURES).then(|| EngineError::Lost { reason: reason(error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::transport::{self, Carrier, Way};

    #[tokio::test]
    async fn an_engine_whose_connection_breaks_silently_is_lost() {
        // Accepts connections and never answers, like a machine that has disappeared while its router has not.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let deadlines = Deadlines {
            liveness: Duration::from_millis(1),
            question: Duration::from_millis(500),
            after_silence: Duration::from_millis(500),
            ..Deadlines::default()
        };
        let docker = transport::client(Way::default(), deadlines, move |_| {
            Box::pin(async move { Ok(Box::new(tokio::net::TcpStream::connect(address).await?) as Box<dyn Carrier>) })
        });
        let lost = lost(&docker.unwrap(), deadlines).await;
        assert_eq!(lost.to_string(), "The connection to the container engine was lost: it has not answered for 0.5 s.");
    }
}
