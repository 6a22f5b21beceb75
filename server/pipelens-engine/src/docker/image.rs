//! Looks up images, and pulls each once for all steps of a run, with the user's credentials. Knows nothing about containers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::CreateImageOptionsBuilder;
use chrono::DateTime;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::deadlines::Deadlines;
use crate::docker::arguments::{Arguments, Pull};
use crate::docker::client_error::{reason, refused, status_of};
use crate::docker::credentials::credentials;
use crate::docker::transport;
use crate::docker::{labels, platform};
use crate::error::EngineError;
use crate::event::Phase;
use crate::step_context::StepContext;

/// How long to wait between attempts after a transport error.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// The engine reports progress many times a second; people need less.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// The value the engine sets if the image does not.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The name under which the client's configuration keeps Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What the engine knows about an image, as far as a step needs it.
#[derive(Debug, Clone)]
pub(super) struct ImageFacts {
    /// As the author wrote it, or the id of a snapshot.
    pub(super) reference: String,
    pub(super) id: String,
    /// The image it was made from by leaving out the volumes; otherwise its own id.
    pub(super) origin: String,
    /// See [`BuildEvent::ImageResolved`].
    pub(super) digest: String,
    /// `USER`: empty, a name or a number, the latter two optionally followed by `:` and a group.
    pub(super) user: String,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) workdir: Option<String>,
    /// The `PATH` of its commands.
    pub(super) path: String,
    /// What it runs on, such as `linux/arm64` or `linux/arm/v7`; empty if the engine does not know.
    pub(super) platform: String,
    /// `HOME`, if the image sets it.
    pub(super) home: Option<String>,
    pub(super) bytes: u64,
    pub(super) layers: usize,
    /// In seconds since 1970.
    pub(super) created: i64,
    /// `VOLUME`: directories that are in no snapshot, because every container has its own.
    pub(super) volumes: Vec<String>,
    /// See [`labels::BASE`].
    pub(super) base: Option<String>,
    /// The lowest TCP port in `EXPOSE`.
    pub(super) exposed_port: Option<u16>,
    /// The workspace of one of our snapshots; empty for a snapshot that is removed with its run.
    pub(super) workspace: Option<String>,
    /// `HEALTHCHECK`, as the engine stores it: how to run it, then the command.
    pub(super) health_check: Vec<String>,
}

/// The images of a run.
#[derive(Debug)]
pub(super) struct Images {
    docker: Docker,
    /// No program from this directory is started to log in.
    project: PathBuf,
    deadlines: Deadlines,
    /// By reference and platform.
    known: Mutex<HashMap<(String, String), Arc<Slot>>>,
}

/// Held by the step that pulls, while the others wait. If that step is stopped, the next one continues the pull.
type Slot = tokio::sync::Mutex<Option<Arc<ImageFacts>>>;

impl Images {
    pub(super) fn new(docker: Docker, project: PathBuf, deadlines: Deadlines) -> Self {
        Self { docker, project, deadlines, known: Mutex::default() }
    }

    /// Returns the image, pulled if the engine does not have it.
    pub(super) async fn ensure(
        &self,
        reference: &str,
        arguments: &Arguments,
        context: &StepContext,
    ) -> Result<Arc<ImageFacts>, EngineError> {
        let platform = arguments.platform.as_deref().unwrap_or_default();
        let slot = {
            let mut known = self.known.lock();
            Arc::clone(known.entry((reference.to_owned(), platform.to_owned())).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(facts) = &*slot {
            return Ok(Arc::clone(facts));
        }
        let here = match arguments.pull {
            Pull::Always => None,
            Pull::Missing | Pull::Never => self.inspect(reference).await?,
        };
        let facts = match here {
            Some(facts) if platform::fits(&facts.platform, platform) => facts,
            other if arguments.pull == Pull::Never => {
                let has = other.map_or_else(
                    || "does not have it".to_owned(),
                    |other| format!("has it only for `{}`", other.platform),
                );
                let reason = format!("the engine {has}, and the step sets `pull: never`");
                return Err(EngineError::ImageNotFound { image: reference.to_owned(), reason });
            }
            None => self.pulled(reference, platform, context).await?,
            Some(other) => match self.pulled(reference, platform, context).await {
                // This store may have it for several platforms, and names only one.
                Err(_) if self.keeps_several_platforms().await => other,
                Err(EngineError::PullFailed { image, reason }) => {
                    let reason =
                        format!("{reason}. The engine has it only for `{}`, not for `{platform}`", other.platform);
                    return Err(EngineError::PullFailed { image, reason });
                }
                pulled => pulled?,
            },
        };
        context.report_image(reference, &facts.digest);
        let facts = Arc::new(facts);
        *slot = Some(Arc::clone(&facts));
        Ok(facts)
    }

    /// Returns the facts of an image that this run has used or made, by its id.
    pub(super) async fn known(&self, id: &str) -> Result<Arc<ImageFacts>, EngineError> {
        let facts = self.inspect(id).await?.ok_or_else(|| EngineError::ImageNotFound {
            image: id.to_owned(),
            reason: "it was removed during the run".into(),
        })?;
        Ok(Arc::new(facts))
    }

    pub(super) async fn inspect(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        match self.docker.inspect_image(reference).await {
            Ok(inspect) => Ok(Some(facts(reference, inspect))),
            Err(error) if status_of(&error) == Some(404) => Ok(None),
            // For an invalid name, Podman returns an error of its own that describes what it was about to do.
            Err(error) if status_of(&error) == Some(400) || reason(&error).starts_with("normalizing") => {
                Err(EngineError::ImageNotFound { image: reference.to_owned(), reason: reason(&error) })
            }
            Err(error) => Err(refused("look up the image", &error)),
        }
    }

    async fn pulled(&self, reference: &str, platform: &str, context: &StepContext) -> Result<ImageFacts, EngineError> {
        self.pull(reference, platform, context).await?;
        self.inspect(reference).await?.ok_or_else(|| EngineError::ImageNotFound {
            image: reference.to_owned(),
            reason: "the engine does not have it after the pull".into(),
        })
    }

    /// Whether the engine's images are in containerd's store.
    async fn keeps_several_platforms(&self) -> bool {
        let status = self.docker.info().await.ok().and_then(|info| info.driver_status).unwrap_or_default();
        status.iter().flatten().any(|word| word.starts_with("io.containerd."))
    }

    async fn pull(&self, reference: &str, platform: &str, context: &StepContext) -> Result<(), EngineError> {
        let credentials = credentials(registry(reference), &self.project).await;
        let mut waits = RETRY_AFTER.iter();
        loop {
            let error = match self.pull_once(reference, platform, credentials.clone(), context).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match waits.next() {
                Some(wait) if is_transport(&error) => {
                    let reason = reason(&error);
                    context.events.notice(format!("Pulling `{reference}` was interrupted: {reason}. Retrying."));
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
        context: &StepContext,
    ) -> Result<(), bollard::errors::Error> {
        let (name, tag) = name_and_tag(reference);
        let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).platform(platform).build();
        let ask = || self.docker.create_image(Some(options.clone()), None, credentials.clone()).boxed();
        let mut stream = ask();
        // Request the same pull again: the engine reports progress to every client that joins, and the old connection may be dead.
        let mut other: Option<BoxStream<'_, _>> = None;
        let mut other_speaks = false;
        let mut progress = PullProgress::new(reference);
        context.report_phase(progress.phase());
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
                    if phase != said && context.offer_phase(&phase) {
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
        context.report_phase(progress.phase());
        Ok(())
    }
}

fn facts(reference: &str, inspect: ImageInspect) -> ImageFacts {
    let config = inspect.config.unwrap_or_default();
    let variable = |name: &str| {
        let mut variables = config.env.iter().flatten().filter_map(|variable| variable.split_once('='));
        variables.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    };
    let (path, home) = (variable("PATH").unwrap_or_else(|| DEFAULT_PATH.to_owned()), variable("HOME"));
    let id = inspect.id.unwrap_or_else(|| reference.to_owned());
    let mut labels = config.labels.unwrap_or_default();
    let parts =
        [inspect.os, inspect.architecture, inspect.variant].into_iter().flatten().filter(|part| !part.is_empty());
    ImageFacts {
        platform: parts.collect::<Vec<_>>().join("/"),
        path,
        home,
        reference: reference.to_owned(),
        digest: digest(reference, inspect.repo_digests.as_deref().unwrap_or_default()).unwrap_or(&id).to_owned(),
        origin: id.clone(),
        id,
        bytes: inspect.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        created: inspect.created.as_deref().and_then(seconds).unwrap_or(0),
        layers: inspect.root_fs.and_then(|root| root.layers).map_or(0, |layers| layers.len()),
        base: labels.remove(labels::BASE),
        workspace: labels.remove(labels::KEPT).or(labels.remove(labels::WORKSPACE)),
        user: config.user.unwrap_or_default(),
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        workdir: config.working_dir,
        volumes: config.volumes.unwrap_or_default(),
        exposed_port: config.exposed_ports.iter().flatten().filter_map(|port| tcp_port(port)).min(),
        health_check: config.healthcheck.and_then(|check| check.test).unwrap_or_default(),
    }
}

/// Reads a time as the engine writes it, in whole seconds since 1970.
pub(super) fn seconds(time: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(time).ok().map(|time| time.timestamp())
}

/// Reads `80/tcp`; a port without a protocol means TCP too.
fn tcp_port(exposed: &str) -> Option<u16> {
    exposed.strip_suffix("/tcp").unwrap_or(exposed).parse().ok()
}

/// Returns the digest under which the reference's registry has the image. The same image may have digests in other repositories.
fn digest<'a>(reference: &str, repository_digests: &'a [String]) -> Option<&'a str> {
    let (repository, wanted) = match reference.split_once('@') {
        Some((name, digest)) => (name_and_tag(name).0, Some(digest)),
        None => (name_and_tag(reference).0, None),
    };
    let is_it = |candidate: &&str| {
        let Some((name, digest)) = candidate.split_once('@') else { return false };
        // Podman writes Docker Hub's names in full.
        let is_name = name == repository || name.strip_suffix(repository).is_some_and(|before| before.ends_with('/'));
        is_name && wanted.is_none_or(|wanted| wanted == digest)
    };
    repository_digests.iter().map(String::as_str).find(is_it)
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

/// Without a tag, the engine would pull all tags.
fn name_and_tag(reference: &str) -> (&str, &str) {
    if reference.contains('@') {
        return (reference, "");
    }
    let name_start = reference.rfind('/').map_or(0, |slash| slash + 1);
    match reference.rfind(':') {
        Some(colon) if colon >= name_start => (&reference[..colon], &reference[colon + 1..]),
        Some(_) | None => (reference, "latest"),
    }
}

/// Returns the registry an image comes from, as the client's configuration names it.
fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => DOCKER_HUB,
            _ => host,
        },
        Some(_) | None => DOCKER_HUB,
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
    fn a_missing_tag_is_latest() {
        assert_eq!(name_and_tag("ubuntu"), ("ubuntu", "latest"));
        assert_eq!(name_and_tag("ubuntu:24.04"), ("ubuntu", "24.04"));
        assert_eq!(name_and_tag("localhost:5000/a"), ("localhost:5000/a", "latest"));
        assert_eq!(name_and_tag("localhost:5000/a:b"), ("localhost:5000/a", "b"));
        assert_eq!(name_and_tag("a@sha256:00"), ("a@sha256:00", ""));
    }

    #[test]
    fn transport_errors_are_retried_and_registry_errors_are_not() {
        let is = |message: &str| is_transport(&bollard::errors::Error::DockerStreamError { error: message.to_owned() });
        assert!(is(r#"Get "http://127.0.0.1:5000/v2/": EOF"#));
        assert!(is(r#"Get "http://127.0.0.1:5000/v2/": http: server closed idle connection"#));
        assert!(is("read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer"));
        assert!(!is("manifest for geoffrey/image:tag not found: manifest unknown"));
    }

    #[test]
    fn the_registry_has_the_name_that_the_client_uses() {
        assert_eq!(registry("ubuntu"), DOCKER_HUB);
        assert_eq!(registry("docker.io/library/ubuntu"), DOCKER_HUB);
        assert_eq!(registry("me/image"), DOCKER_HUB);
        assert_eq!(registry("ghcr.io/me/image"), "ghcr.io");
        assert_eq!(registry("localhost:5000/image"), "localhost:5000");
    }

    #[test]
    fn the_digest_belongs_to_the_repository_in_the_reference() {
        let known = ["docker.io/library/a@sha256:1", "host:5000/b@sha256:2", "host:5000/b@sha256:3"].map(str::to_owned);
        let is = |reference, expected| assert_eq!(digest(reference, &known), expected, "{reference}");
        is("a:3", Some("docker.io/library/a@sha256:1"));
        is("host:5000/b:tag", Some("host:5000/b@sha256:2"));
        is("host:5000/b:tag@sha256:3", Some("host:5000/b@sha256:3"));
        is("other/a", None);
        is("sha256:4", None);
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
