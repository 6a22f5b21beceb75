//! Looks up images, and has each pulled once for all steps of a run. Knows nothing about containers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;
use bollard::models::ImageInspect;
use chrono::DateTime;
use parking_lot::Mutex;

use crate::deadlines::Deadlines;
use crate::docker::arguments::{Arguments, Pull};
use crate::docker::client_error::{reason, refused, status_of};
use crate::docker::pull::Puller;
use crate::docker::reference::name_and_tag;
use crate::docker::{labels, platform};
use crate::error::EngineError;
use crate::step_context::StepContext;

/// The value the engine sets if the image does not.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
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
        let puller = Puller { docker: &self.docker, project: &self.project, deadlines: self.deadlines };
        puller.pull(reference, platform, context).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
