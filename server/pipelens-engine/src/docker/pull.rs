//! Pulls an image, and reports how far it is. Knows nothing about what becomes of the image.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::deadlines::Deadlines;
use crate::docker::client_error::{reason, status_of};
use crate::docker::credentials::credentials;
use crate::docker::reference::{name_and_tag, registry};
use crate::docker::transport;
use crate::error::EngineError;
use crate::event::Phase;
use crate::step_context::StepContext;

/// How long to wait between attempts after a transport error.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// The engine reports progress many times a second; people need less.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Who is told how far a pull is.
pub(super) trait PullListener: Sync {
    fn phase(&self, phase: Phase);

    /// Returns `false` if there is no room for it.
    fn offer_phase(&self, phase: &Phase) -> bool;

    fn notice(&self, sentence: String);
}

impl PullListener for StepContext {
    fn phase(&self, phase: Phase) {
        self.report_phase(phase);
    }

    fn offer_phase(&self, phase: &Phase) -> bool {
        StepContext::offer_phase(self, phase)
    }

    fn notice(&self, sentence: String) {
        self.events.notice(sentence);
    }
}

/// What a pull needs.
pub(super) struct Puller<'a> {
    pub(super) docker: &'a Docker,
    /// No program from this directory is started to log in.
    pub(super) project: &'a Path,
    pub(super) deadlines: Deadlines,
}

impl Puller<'_> {
    /// Pulls an image, with the user's credentials. Tries again after a transport error.
    pub(super) async fn pull(
        &self,
        reference: &str,
        platform: &str,
        listener: &impl PullListener,
    ) -> Result<(), EngineError> {
        let credentials = credentials(registry(reference), self.project).await;
        self.pull_as(reference, platform, credentials, listener).await
    }

    /// Like `pull`, with these credentials.
    pub(super) async fn pull_as(
        &self,
        reference: &str,
        platform: &str,
        credentials: Option<DockerCredentials>,
        listener: &impl PullListener,
    ) -> Result<(), EngineError> {
        let mut waits = RETRY_AFTER.iter();
        loop {
            let error = match self.pull_once(reference, platform, credentials.clone(), listener).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match waits.next() {
                Some(wait) if is_transport(&error) => {
                    let reason = reason(&error);
                    listener.notice(format!("Pulling `{reference}` was interrupted: {reason}. Retrying."));
                    tokio::time::sleep(*wait).await;
                }
                Some(_) | None => return Err(pull_error(reference, &error)),
            }
        }
    }

    async fn pull_once(
        &self,
        reference: &str,
        platform: &str,
        credentials: Option<DockerCredentials>,
        listener: &impl PullListener,
    ) -> Result<(), bollard::errors::Error> {
        let (name, tag) = name_and_tag(reference);
        let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).platform(platform).build();
        let ask = || self.docker.create_image(Some(options.clone()), None, credentials.clone()).boxed();
        let mut stream = ask();
        // Request the same pull again: the engine reports progress to every client that joins, and the old connection may be dead.
        let mut other: Option<BoxStream<'_, _>> = None;
        let mut other_speaks = false;
        let mut progress = PullProgress::new(reference);
        listener.phase(progress.phase());
        let mut said = progress.phase();
        let mut clock = tokio::time::interval(PROGRESS_EVERY);
        let Deadlines { silence: silent_for, stall: stalls_for, .. } = self.deadlines;
        let silence = tokio::time::sleep(silent_for);
        let stall = tokio::time::sleep(stalls_for);
        tokio::pin!(silence, stall);
        loop {
            let next_of_other = async {
                match &mut other {
                    Some(other) => other.next().await,
                    None => std::future::pending().await,
                }
            };
            let info = tokio::select! {
                info = stream.next() => {
                    other = None;
                    info
                }
                info = next_of_other => {
                    other_speaks = true;
                    info
                }
                () = &mut silence => {
                    match other.take() {
                        // Only now, because the engine stops a pull when its last client leaves, and it would have to start from the beginning.
                        Some(joined) if other_speaks => stream = joined,
                        Some(_) => return Err(transport::silence(2 * silent_for).into()),
                        None => {}
                    }
                    (other, other_speaks) = (Some(ask()), false);
                    silence.as_mut().reset(Instant::now() + silent_for);
                    continue;
                }
                // The engine answers, but reports the same progress again to every client that joins the pull.
                () = &mut stall => {
                    let text = format!("there was no progress for {} s", stalls_for.as_secs_f32());
                    return Err(transport::complaint(text).into());
                }
                // Also while the engine is silent: its last report shows where the pull hangs.
                _ = clock.tick() => {
                    let phase = progress.phase();
                    // If the queue is full, try again: it may be the last report for a long time.
                    if phase != said && listener.offer_phase(&phase) {
                        said = phase;
                    }
                    continue;
                }
            };
            let Some(info) = info else { break };
            if progress.take(info?) {
                stall.as_mut().reset(Instant::now() + stalls_for);
            }
            silence.as_mut().reset(Instant::now() + silent_for);
        }
        listener.phase(progress.phase());
        Ok(())
    }
}

/// Adds up the progress of the layers.
struct PullProgress {
    image: String,
    layers: HashMap<String, Layer>,
    /// All reports so far, by subject and text, with the largest number of each.
    said: HashMap<(String, String), Option<i64>>,
}

#[derive(Default)]
struct Layer {
    done_bytes: u64,
    total_bytes: u64,
    is_done: bool,
}

impl PullProgress {
    fn new(image: &str) -> Self {
        Self { image: image.to_owned(), layers: HashMap::new(), said: HashMap::new() }
    }

    /// Returns whether the pull has made progress: repeated reports and restarts do not count.
    fn take(&mut self, info: CreateImageInfo) -> bool {
        let current = info.progress_detail.as_ref().and_then(|detail| detail.current);
        let what = (info.id.clone().unwrap_or_default(), info.status.clone().unwrap_or_default());
        let is_news = match self.said.entry(what) {
            Entry::Vacant(entry) => {
                entry.insert(current);
                true
            }
            Entry::Occupied(mut entry) => {
                let is_more = current > *entry.get();
                if is_more {
                    entry.insert(current);
                }
                is_more
            }
        };
        let (Some(id), Some(status)) = (info.id, info.status) else { return is_news };
        // "Pulling from …" has the tag in place of a layer's id.
        if status.starts_with("Pulling from") {
            return is_news;
        }
        let layer = self.layers.entry(id).or_default();
        let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        match status.as_str() {
            "Downloading" => {
                let detail = info.progress_detail.unwrap_or_default();
                layer.done_bytes = bytes(detail.current).unwrap_or(layer.done_bytes);
                layer.total_bytes = bytes(detail.total).unwrap_or(layer.total_bytes);
            }
            "Download complete" => layer.done_bytes = layer.total_bytes,
            "Pull complete" | "Already exists" => {
                layer.done_bytes = layer.total_bytes;
                layer.is_done = true;
            }
            // Waiting, verifying, extracting: no change in bytes or layers.
            _ => {}
        }
        is_news
    }

    fn phase(&self) -> Phase {
        Phase::Pulling {
            image: self.image.clone(),
            done_bytes: self.layers.values().map(|layer| layer.done_bytes).sum(),
            total_bytes: self.layers.values().map(|layer| layer.total_bytes).sum(),
            layers_done: self.layers.values().filter(|layer| layer.is_done).count(),
            layers: self.layers.len(),
        }
    }
}

fn pull_error(image: &str, error: &bollard::errors::Error) -> EngineError {
    let (image, reason) = (image.to_owned(), reason(error));
    let said = reason.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&["unauthorized", "denied", "no basic auth", "authentication required", "incorrect username"]) {
        EngineError::RegistryRefused { image, reason }
    } else if status_of(error) == Some(404) || says(&["not found", "manifest unknown", "invalid reference"]) {
        EngineError::ImageNotFound { image, reason }
    } else {
        EngineError::PullFailed { image, reason }
    }
}

/// Whether another attempt may do better.
fn is_transport(error: &bollard::errors::Error) -> bool {
    const SIGNS: [&str; 9] = [
        "timeout",
        "timed out",
        "connection reset",
        // What Docker says if it uses a connection again just when the registry closes it.
        "server closed idle connection",
        "broken pipe",
        "temporary failure",
        "try again",
        "too many requests",
        "bad gateway",
    ];
    let said = reason(error).to_lowercase();
    // `EOF`, `unexpected EOF`: the registry closed the connection. Anywhere else, these letters are part of a name.
    said.ends_with("eof") || SIGNS.iter().any(|sign| said.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_errors_are_retried_and_registry_errors_are_not() {
        let is = |message: &str| is_transport(&bollard::errors::Error::DockerStreamError { error: message.to_owned() });
        assert!(is(r#"Get "http://127.0.0.1:5000/v2/": EOF"#));
        assert!(is(r#"Get "http://127.0.0.1:5000/v2/": http: server closed idle connection"#));
        assert!(is("read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer"));
        assert!(!is("manifest for geoffrey/image:tag not found: manifest unknown"));
    }

    #[test]
    fn progress_counts_bytes_and_layers() {
        let mut progress = PullProgress::new("a");
        let info = |id: &str, status: &str, current, total| CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: Some(bollard::models::ProgressDetail { current, total }),
            ..CreateImageInfo::default()
        };
        progress.take(info("latest", "Pulling from a", None, None));
        progress.take(info("one", "Downloading", Some(10), Some(100)));
        assert!(progress.take(info("two", "Already exists", None, None)));
        assert!(!progress.take(info("one", "Downloading", Some(10), Some(100))), "for whoever joins");
        assert!(!progress.take(info("one", "Downloading", Some(5), Some(100))), "begun anew");
        assert!(progress.take(info("one", "Downloading", Some(11), Some(100))));
        let Phase::Pulling { done_bytes, total_bytes, layers_done, layers, .. } = progress.phase() else { panic!() };
        assert_eq!((done_bytes, total_bytes, layers_done, layers), (11, 100, 1, 2));
    }
}
