//! Results in a registry, pushed and pulled by the engine. The tag that is a result's key has a small image with a description: the digest of
//! the image with the result, and the sources in it. It is pushed last, so a result that can be found is complete. Decides nothing.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::blocking;
use crate::deadlines::Deadlines;
use crate::docker::client_error::{reason, status_of};
use crate::docker::commit::REPOSITORY;
use crate::docker::credentials::{credentials, written_credentials};
use crate::docker::endpoint;
use crate::docker::image::Images;
use crate::docker::labels;
use crate::docker::pull::{PullListener, Puller};
use crate::docker::reference::registry;
use crate::docker::result_description::{packed, unpacked};
use crate::event::Phase;
use crate::fingerprint::short_name;
use crate::owner::Owner;
use crate::registry_answers;
use crate::result_description::{Description, MOST_BYTES};
use crate::runner::OpenRequest;
use crate::snapshot::{CacheRegistry, Pushes, Saved, Shared, SharedResults, SharedSources};

/// No result has this tag.
const PROBE: &str = "is-there-a-registry";

/// A repository in a registry.
pub(super) struct ImageRegistry {
    docker: Docker,
    settings: CacheRegistry,
    project: PathBuf,
    deadlines: Deadlines,
    images: Images,
    login: OnceCell<Option<DockerCredentials>>,
    trouble: Mutex<Trouble>,
    /// Why the first result could not be pushed. Then, no other one is.
    pushes: Pushes,
}

/// Whether the registry answers.
#[derive(Debug, Default)]
enum Trouble {
    #[default]
    None,
    /// It is not asked again in this run.
    New(String),
    Reported,
}

/// Asks an engine whether a repository can be read; the error is a reason without a full stop. Starts no program, so a login that only a credential
/// helper knows is not used.
pub async fn answers(docker_host: Option<&str>, repository: &str) -> Result<(), String> {
    let deadlines = Deadlines::default();
    let endpoint = endpoint::find(docker_host, None, deadlines).await;
    let docker = endpoint.map_err(|error| error.sentence().trim_end_matches('.').to_owned())?.docker;
    let login = written_credentials(registry(repository)).await;
    digest_of(&docker, &format!("{repository}:{PROBE}"), login, deadlines.question).await.map(drop)
}

/// Returns the digest that a name has in its registry; `None` if it has none.
async fn digest_of(
    docker: &Docker,
    name: &str,
    login: Option<DockerCredentials>,
    within: Duration,
) -> Result<Option<String>, String> {
    match tokio::time::timeout(within, docker.inspect_registry_image(name, login)).await {
        Ok(Ok(found)) => Ok(found.descriptor.digest),
        Ok(Err(error)) if is_missing(&error) => Ok(None),
        Ok(Err(error)) => Err(reason(&error)),
        Err(_) => Err(format!("it did not answer within {} s", within.as_secs_f32())),
    }
}

impl ImageRegistry {
    pub(super) fn new(docker: &Docker, settings: CacheRegistry, request: &OpenRequest) -> Self {
        let (project, deadlines) = (request.source_root.clone(), request.deadlines);
        Self {
            docker: docker.clone(),
            images: Images::new(docker.clone(), project.clone(), deadlines),
            settings,
            project,
            deadlines,
            login: OnceCell::new(),
            trouble: Mutex::default(),
            pushes: Pushes::default(),
        }
    }

    async fn credentials_for(&self, registry: &str) -> Option<DockerCredentials> {
        match self.settings.is_asked_by_user {
            true => credentials(registry, &self.project).await,
            false => written_credentials(registry).await,
        }
    }

    async fn login(&self) -> Option<DockerCredentials> {
        let repository = &self.settings.repository;
        self.login.get_or_init(|| self.credentials_for(registry(repository))).await.clone()
    }

    fn name(&self, tag: &str) -> String {
        format!("{}:{tag}", self.settings.repository)
    }

    async fn digest_of(&self, name: &str, login: Option<DockerCredentials>) -> Result<Option<String>, String> {
        digest_of(&self.docker, name, login, self.deadlines.question).await
    }

    fn is_silent(&self) -> bool {
        !matches!(*self.trouble.lock(), Trouble::None)
    }

    async fn pull(&self, name: &str) -> Result<(), String> {
        let puller = Puller { docker: &self.docker, project: &self.project, deadlines: self.deadlines };
        puller.pull_as(name, "", self.login().await, &Silent).await.map_err(|error| {
            let sentence = error.sentence();
            sentence.trim_end_matches('.').to_owned()
        })
    }

    /// Pushes a tag, and returns the digest that it has in the registry.
    async fn push(&self, tag: &str) -> Result<String, String> {
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let login = self.login().await;
        let mut said = self.docker.push_image(&self.settings.repository, Some(options), login.clone()).boxed();
        loop {
            match tokio::time::timeout(self.deadlines.stall, said.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(reason(&error)),
                Err(_) => return Err(format!("there was no progress for {} s", self.deadlines.stall.as_secs_f32())),
            }
        }
        let digest = self.digest_of(&self.name(tag), login).await?;
        digest.ok_or_else(|| "the registry does not have it after the push".to_owned())
    }

    /// Takes a name off an image, or removes the image if that was its last one.
    async fn forget(&self, name: &str) {
        let options = RemoveImageOptionsBuilder::default().noprune(true).build();
        if let Err(error) = self.docker.remove_image(name, Some(options), None).await {
            tracing::debug!(name, %error, "a name for the cache registry stays");
        }
    }

    /// Returns the digest of the description.
    async fn push_result(&self, key: &str, snapshot: &Saved, sources: &SharedSources) -> Result<String, String> {
        let failed = |error: bollard::errors::Error| reason(&error);
        let result_tag = result_tag(&snapshot.place);
        let options = TagImageOptionsBuilder::default().repo(&self.settings.repository).tag(&result_tag).build();
        self.docker.tag_image(&snapshot.place, Some(options)).await.map_err(failed)?;
        let image = self.push(&result_tag).await?;
        let description = Description { image, bytes: snapshot.bytes, sources: sources.clone() };
        let archive = packed(description).await.map_err(|error| error.to_string())?;
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(&self.settings.repository)
            .tag(key)
            // If this process ends here, the next one can tell whose image it was.
            .changes(vec![format!("LABEL {}=\"{}\" {}=\"\"", labels::OWNER, Owner::this_process(), labels::KEPT)])
            .build();
        let mut import = self.docker.create_image(Some(options), Some(bollard::body_full(archive)), None);
        while let Some(progress) = import.next().await {
            progress.map_err(failed)?;
        }
        self.push(key).await
    }

    async fn description(&self, key: &str) -> Result<Description, String> {
        let name = self.name(key);
        self.pull(&name).await?;
        let read = async {
            let mut saved = Vec::new();
            let mut parts = std::pin::pin!(self.docker.export_image(&name));
            while let Some(part) = parts.next().await {
                saved.extend_from_slice(&part.map_err(|error| reason(&error))?);
                if saved.len() as u64 > MOST_BYTES {
                    return Err(format!("its description is longer than {} MiB", MOST_BYTES >> 20));
                }
            }
            let unpacked = blocking::run(move |_| unpacked(&saved)).await.ok().flatten();
            unpacked.ok_or_else(|| format!("`{name}` is not a description of a result"))
        };
        let description = read.await;
        self.forget(&name).await;
        description
    }
}

#[async_trait]
impl SharedResults for ImageRegistry {
    fn settings(&self) -> &CacheRegistry {
        &self.settings
    }

    async fn image(&self, reference: &str) -> Option<String> {
        match self.images.inspect(reference).await {
            Ok(Some(facts)) => return Some(digest_alone(&facts.digest).to_owned()),
            Ok(None) if self.settings.is_asked_by_user => {}
            Ok(None) | Err(_) => return None,
        }
        // What a pull would bring.
        let login = self.credentials_for(registry(reference)).await;
        self.digest_of(reference, login).await.ok().flatten()
    }

    async fn platform(&self) -> String {
        let version = self.docker.version().await.unwrap_or_default();
        format!("{}/{}", version.os.unwrap_or_default(), version.arch.unwrap_or_default())
    }

    async fn has(&self, key: &str) -> bool {
        if self.is_silent() {
            return false;
        }
        let repository = &self.settings.repository;
        if !self.settings.is_asked_by_user
            && let Some(has) = registry_answers::has(repository, key)
        {
            return has;
        }
        let digest = match self.digest_of(&self.name(key), self.login().await).await {
            Ok(digest) => digest,
            Err(why) => {
                let mut trouble = self.trouble.lock();
                if matches!(*trouble, Trouble::None) {
                    *trouble = Trouble::New(why);
                }
                return false;
            }
        };
        let has = digest.is_some();
        registry_answers::remember(repository, key, digest);
        has
    }

    fn take_complaint(&self) -> Option<String> {
        let mut trouble = self.trouble.lock();
        match std::mem::take(&mut *trouble) {
            Trouble::New(why) => {
                *trouble = Trouble::Reported;
                Some(why)
            }
            other => {
                *trouble = other;
                None
            }
        }
    }

    async fn fetch(&self, key: &str) -> Result<Shared, String> {
        let Description { image, bytes, sources } = self.description(key).await?;
        let name = format!("{}@{image}", self.settings.repository);
        self.pull(&name).await?;
        let facts = self.images.inspect(&name).await.ok().flatten();
        let facts = facts.ok_or("the engine does not have it after the pull")?;
        // As every other snapshot is named, so that `docker image prune` leaves it alone.
        let options =
            TagImageOptionsBuilder::default().repo(REPOSITORY).tag(&format!("shared-{}", short_name(key))).build();
        self.docker.tag_image(&facts.id, Some(options)).await.map_err(|error| reason(&error))?;
        Ok(Shared { saved: Saved { place: facts.id, bytes }, sources })
    }

    async fn publish(
        &self,
        key: &str,
        snapshot: &Saved,
        sources: &SharedSources,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        if let Some(why) = self.pushes.failure() {
            return Err(why);
        }
        let pushed = self.pushes.push(stop, self.push_result(key, snapshot, sources)).await;
        for tag in [key, &result_tag(&snapshot.place)] {
            self.forget(&self.name(tag)).await;
        }
        registry_answers::remember(&self.settings.repository, key, Some(pushed?));
        Ok(())
    }
}

/// A run reports which results it pulls before it does so.
struct Silent;

impl PullListener for Silent {
    fn phase(&self, _: Phase) {}

    fn offer_phase(&self, _: &Phase) -> bool {
        true
    }

    fn notice(&self, sentence: String) {
        tracing::debug!("{sentence}");
    }
}

/// The digest of a name with a digest: the same image has it in every repository that it was copied to.
fn digest_alone(digest: &str) -> &str {
    digest.split_once('@').map_or(digest, |(_, digest)| digest)
}

/// Returns the tag of the image with a result.
fn result_tag(id: &str) -> String {
    format!("result-{}", short_name(id))
}

/// Whether a registry answered that it does not have something. Some call a repository without images unauthorised, but others also call it that
/// if the credentials are wrong.
fn is_missing(error: &bollard::errors::Error) -> bool {
    let said = reason(error).to_lowercase();
    status_of(error) == Some(404) || said.contains("manifest unknown") || said.contains("not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_same_in_every_repository() {
        assert_eq!(digest_alone("host:5000/a@sha256:1"), "sha256:1");
        assert_eq!(digest_alone("sha256:2"), "sha256:2");
    }
}
