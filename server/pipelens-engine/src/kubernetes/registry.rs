//! The registry that a cluster's nodes and this process share: layers and images go in, and a digest names what a pod starts from.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use http::HeaderValue;
use oci_client::client::{ClientConfig, ClientProtocol, SizedStream};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{ImageIndexEntry, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use parking_lot::Mutex;

use crate::blocking;
use crate::docker::credentials::{credentials, written_credentials};
use crate::docker::reference;
use crate::error::{EngineError, with_causes};
use crate::kubernetes::attempts::persistently;
use crate::kubernetes::image::{Encoded, Image, Layer};
use crate::kubernetes::kept_for::{KeptFor, MANIFEST, ORIGIN, base_tag};
use crate::kubernetes::login;
use crate::kubernetes::packed_layer::{PackedLayer, chunks};
use crate::kubernetes::registry_error::{is_missing, parsed, pull_error, push_error};
use crate::kubernetes::registry_requests::PushTarget;
use crate::slots::Slots;

/// A registry that says nothing for this long is away.
const SILENCE: Duration = Duration::from_secs(40);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How many layers of a base image are copied at once.
const COPIED_AT_ONCE: usize = 3;

/// A repository in a registry, and the registries of the images that are copied to it.
pub(super) struct Registry {
    client: Client,
    /// Without a tag.
    repository: Reference,
    is_plain: bool,
    /// Of the images that it brings.
    architecture: String,
    project: PathBuf,
    /// Whether a user asks: then, credential helpers may be started.
    is_asked_by_user: bool,
    /// The blobs and manifests that the repository is known to have.
    known: Mutex<HashSet<String>>,
    /// Held while a blob is pushed: registries answer strangely if the same one is pushed twice at once.
    pushing: Slots<()>,
    /// The digests of images by name, so that a run means the same one whenever it asks.
    resolved: Mutex<HashMap<String, String>>,
    /// The credentials for each registry, once they have been looked up: that may start a program.
    logins: tokio::sync::Mutex<HashMap<String, RegistryAuth>>,
}

impl Registry {
    /// `repository` is such as `registry.example.com/team/pipelens`; `http://` in front of it means a registry without TLS.
    pub(super) fn new(
        repository: &str,
        architecture: &str,
        project: PathBuf,
        is_asked_by_user: bool,
    ) -> Result<Self, EngineError> {
        // Whoever was first has set one, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let (is_plain, name) = match repository.strip_prefix("http://") {
            Some(name) => (true, name),
            None => (false, repository.strip_prefix("https://").unwrap_or(repository)),
        };
        let bad = |reason: String| EngineError::ClusterSettings { reason };
        // Otherwise it would be a name at Docker Hub.
        if reference::host_and_path(name).is_none_or(|(_, path)| path.is_empty()) {
            return Err(bad(format!(
                "`{repository}` does not name a registry and a repository in it, as `registry.example.com/team/pipelens` does; a registry's \
                 address has a dot or a port"
            )));
        }
        let parsed: Reference = name
            .trim_end_matches('/')
            .parse()
            .map_err(|error| bad(format!("`{repository}` is not the name of a repository: {error}")))?;
        if name.rsplit('/').next().is_some_and(|last| last.contains([':', '@'])) && name.contains('/') {
            return Err(bad(format!("`{repository}` must not have a tag or a digest")));
        }
        let wanted = architecture.to_owned();
        let resolver = move |images: &[ImageIndexEntry]| {
            let fits = |image: &&ImageIndexEntry| {
                let platform = image.platform.as_ref();
                platform.is_some_and(|it| it.os.to_string() == "linux" && it.architecture.to_string() == wanted)
            };
            images.iter().find(fits).map(|image| image.digest.clone())
        };
        let registry = parsed.resolve_registry().to_owned();
        let config = ClientConfig {
            protocol: if is_plain { ClientProtocol::HttpsExcept(vec![registry]) } else { ClientProtocol::Https },
            platform_resolver: Some(Box::new(resolver)),
            read_timeout: Some(SILENCE),
            connect_timeout: Some(CONNECT_WITHIN),
            user_agent: concat!("pipelens/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| bad(with_causes(&error)))?;
        Ok(Self {
            client,
            repository: parsed,
            is_plain,
            architecture: architecture.to_owned(),
            project,
            is_asked_by_user,
            known: Mutex::default(),
            pushing: Slots::default(),
            resolved: Mutex::default(),
            logins: tokio::sync::Mutex::default(),
        })
    }

    /// Returns the name by which nodes pull an image of the repository.
    pub(super) fn name_of(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.repository.registry(), self.repository.repository())
    }

    /// Returns the digest of a name made by `name_of`; `None` for one of another repository.
    pub(super) fn digest_in<'n>(&self, name: &'n str) -> Option<&'n str> {
        let (repository, digest) = name.split_once('@')?;
        let own = format!("{}/{}", self.repository.registry(), self.repository.repository());
        (repository == own).then_some(digest)
    }

    /// Returns the repository's name.
    pub(super) fn repository(&self) -> String {
        format!("{}/{}", self.repository.registry(), self.repository.repository())
    }

    fn at(&self, digest: &str) -> Reference {
        let (registry, repository) = (self.repository.registry().to_owned(), self.repository.repository().to_owned());
        Reference::with_digest(registry, repository, digest.to_owned())
    }

    fn tagged(&self, tag: &str) -> Reference {
        let (registry, repository) = (self.repository.registry().to_owned(), self.repository.repository().to_owned());
        Reference::with_tag(registry, repository, tag.to_owned())
    }

    /// Returns the user's credentials for the registry of an image. From then on, the client uses them there.
    async fn log_in(&self, image: &Reference) -> RegistryAuth {
        let registry = image.resolve_registry();
        let mut logins = self.logins.lock().await;
        if let Some(login) = logins.get(registry) {
            return login.clone();
        }
        let login = self.look_up(image).await;
        self.client.store_auth_if_needed(registry, &login).await;
        logins.insert(registry.to_owned(), login.clone());
        login
    }

    async fn look_up(&self, image: &Reference) -> RegistryAuth {
        let name = reference::registry(&image.whole()).to_owned();
        let found = match self.is_asked_by_user {
            true => credentials(&name, &self.project).await,
            false => written_credentials(&name).await,
        };
        match found.and_then(|login| login.username.zip(login.password)) {
            Some((user, password)) => RegistryAuth::Basic(user, password),
            None => RegistryAuth::Anonymous,
        }
    }

    /// Returns the digest that an image reference stands for; `None` if its registry does not have it. It is asked once.
    pub(super) async fn resolve(&self, reference: &str) -> Result<Option<String>, EngineError> {
        if let Some(digest) = self.resolved.lock().get(reference) {
            return Ok(Some(digest.clone()));
        }
        let found = self.digest_at(&parsed(reference)?).await.map_err(|error| pull_error(reference, &error))?;
        if let Some(digest) = &found {
            self.resolved.lock().insert(reference.to_owned(), digest.clone());
        }
        Ok(found)
    }

    /// Returns what `resolve` did when the image was last copied to the repository. Asks no other registry.
    pub(super) async fn resolved_before(&self, reference: &str) -> Result<Option<String>, EngineError> {
        let manifest = self.manifest_with_tag(&base_tag(reference)).await?;
        Ok(manifest.and_then(|manifest| manifest.annotations?.remove(ORIGIN)))
    }

    async fn digest_at(&self, image: &Reference) -> Result<Option<String>, OciDistributionError> {
        self.log_in(image).await;
        match self.client.fetch_manifest_digest(image, &RegistryAuth::Anonymous).await {
            Ok(digest) => Ok(Some(digest)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns an image of any registry, with its layers copied to the repository, and its digest there.
    pub(super) async fn bring(&self, reference: &str) -> Result<(Image, String), EngineError> {
        let source = parsed(reference)?;
        let nothing = || EngineError::ImageNotFound {
            image: reference.to_owned(),
            reason: "its registry does not have it".to_owned(),
        };
        let (origin, before) = tokio::try_join!(self.resolve(reference), self.brought_before(reference))?;
        let origin = origin.ok_or_else(nothing)?;
        if let Some((image, _, manifest)) = before.filter(|(_, before, _)| *before == origin) {
            return Ok((image, manifest));
        }
        let (registry, repository) = (source.registry().to_owned(), source.repository().to_owned());
        let pinned = Reference::with_digest(registry, repository, origin.clone());
        let pulled = self.client.pull_manifest_and_config(&pinned, &RegistryAuth::Anonymous).await;
        let (manifest, digest, config) = pulled.map_err(|error| pull_error(reference, &error))?;
        let read = Image::read(manifest, &config);
        let image = read.map_err(|reason| EngineError::PullFailed { image: reference.to_owned(), reason })?;
        let copies: Vec<_> = image.layers.iter().map(|layer| self.copy_layer(&source, layer).boxed()).collect();
        futures_util::stream::iter(copies).buffer_unordered(COPIED_AT_ONCE).try_collect::<()>().await?;
        let kept_for = KeptFor::Base { reference: reference.to_owned(), origin, manifest: digest.clone() };
        self.push(&image, &kept_for).await?;
        Ok((image, digest))
    }

    /// Returns what was copied to the repository for a name before, with the digests that the name had and that the image had where it came from.
    async fn brought_before(&self, reference: &str) -> Result<Option<(Image, String, String)>, EngineError> {
        self.log_in(&self.repository).await;
        let tag = self.tagged(&base_tag(reference));
        let (mut manifest, _, config) = match self.client.pull_manifest_and_config(&tag, &RegistryAuth::Anonymous).await
        {
            Ok(pulled) => pulled,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(push_error("look for an image", &error)),
        };
        let annotations = manifest.annotations.take().unwrap_or_default();
        let of_its_registry = annotations.get(ORIGIN).cloned().zip(annotations.get(MANIFEST).cloned());
        // Images for several architectures have one name and one digest.
        let image = Image::read(manifest, &config).ok().filter(|image| image.architecture() == self.architecture);
        // The registry does not keep an image without its layers.
        self.known.lock().extend(image.iter().flat_map(|image| &image.layers).map(|layer| layer.digest.clone()));
        Ok(image.zip(of_its_registry).map(|(image, (origin, manifest))| (image, origin, manifest)))
    }

    /// Returns an image of the repository.
    pub(super) async fn read(&self, digest: &str) -> Result<Image, EngineError> {
        self.log_in(&self.repository).await;
        let name = self.name_of(digest);
        let pulled = self.client.pull_manifest_and_config(&self.at(digest), &RegistryAuth::Anonymous).await;
        let (manifest, _, config) = pulled.map_err(|error| pull_error(&name, &error))?;
        Image::read(manifest, &config).map_err(|reason| EngineError::PullFailed { image: name, reason })
    }

    /// Whether the repository has an image.
    pub(super) async fn has(&self, digest: &str) -> Result<bool, EngineError> {
        let found = self.digest_at(&self.at(digest)).await;
        found.map(|found| found.is_some()).map_err(|error| push_error("look for an image", &error))
    }

    /// Returns the digest of what has a tag.
    pub(super) async fn digest_of_tag(&self, tag: &str) -> Result<Option<String>, EngineError> {
        self.digest_at(&self.tagged(tag)).await.map_err(|error| push_error("look for an image", &error))
    }

    /// Returns what has a tag.
    pub(super) async fn manifest_with_tag(&self, tag: &str) -> Result<Option<OciImageManifest>, EngineError> {
        self.log_in(&self.repository).await;
        match self.client.pull_image_manifest(&self.tagged(tag), &RegistryAuth::Anonymous).await {
            Ok((manifest, _)) => Ok(Some(manifest)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(push_error("look for an image", &error)),
        }
    }

    /// Opens a layer of the repository.
    pub(super) async fn open_blob(&self, blob: &OciDescriptor) -> Result<SizedStream, OciDistributionError> {
        self.log_in(&self.repository).await;
        self.client.pull_blob_stream(&self.repository, blob).await
    }

    async fn copy_layer(&self, source: &Reference, layer: &OciDescriptor) -> Result<(), EngineError> {
        let slot = self.pushing.slot(&layer.digest);
        let _alone = slot.lock().await;
        if self.has_blob(&layer.digest).await? {
            return Ok(());
        }
        let failed = |error: &OciDistributionError| push_error(&format!("copy a layer of `{}`", source.whole()), error);
        let is_neighbour = source.resolve_registry() == self.repository.resolve_registry();
        let mounted = is_neighbour && self.client.mount_blob(&self.repository, source, &layer.digest).await.is_ok();
        if !mounted {
            let stream = self.client.pull_blob_stream(source, layer).await;
            let stream = stream.map_err(|error| pull_error(&source.whole(), &error))?;
            let stream = stream.map_err(OciDistributionError::from);
            let size = u64::try_from(layer.size).ok();
            let pushed = self.client.push_blob_stream(&self.repository, stream, &layer.digest, size).await;
            pushed.map_err(|error| failed(&error))?;
        }
        self.known.lock().insert(layer.digest.clone());
        Ok(())
    }

    async fn has_blob(&self, digest: &str) -> Result<bool, EngineError> {
        if self.known.lock().contains(digest) {
            return Ok(true);
        }
        self.log_in(&self.repository).await;
        let found = self.client.blob_exists(&self.repository, digest).await;
        let found = found.map_err(|error| push_error("look for a layer", &error))?;
        if found {
            self.known.lock().insert(digest.to_owned());
        }
        Ok(found)
    }

    /// Pushes a layer unless the repository has it. `write` writes the archive; it runs on a thread for blocking work.
    pub(super) async fn push_layer(
        &self,
        what: &'static str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Result<Layer, EngineError> {
        let packed = blocking::run(move |_| PackedLayer::pack(write)).await.flatten();
        let PackedLayer { layer, file } =
            packed.map_err(|source| EngineError::Sources { path: self.project.clone(), source })?;
        let slot = self.pushing.slot(&layer.digest);
        let _alone = slot.lock().await;
        if persistently(|| self.has_blob(&layer.digest).boxed()).await? {
            return Ok(layer);
        }
        persistently(|| self.push_file(what, &layer, &file).boxed()).await?;
        self.known.lock().insert(layer.digest.clone());
        Ok(layer)
    }

    async fn push_file(&self, what: &'static str, layer: &Layer, file: &File) -> Result<(), EngineError> {
        let again = file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
        let file = again.map_err(|source| EngineError::Sources { path: self.project.clone(), source })?;
        let stream = chunks(file).map_err(OciDistributionError::from);
        let pushed = self.client.push_blob_stream(&self.repository, stream, &layer.digest, Some(layer.bytes)).await;
        pushed.map(drop).map_err(|error| push_error(what, &error))
    }

    /// Pushes an image whose layers the repository has, and returns its digest there.
    pub(super) async fn push(&self, image: &Image, kept_for: &KeptFor) -> Result<String, EngineError> {
        let Encoded { config, config_digest, manifest, manifest_digest } = image.encode(kept_for.annotations());
        // Steps that start from the same image, with the same sources, have the same pod's image.
        let slot = self.pushing.slot(&manifest_digest);
        let _alone = slot.lock().await;
        if self.known.lock().contains(&manifest_digest) {
            return Ok(manifest_digest);
        }
        self.push_blob("store an image", config, &config_digest).await?;
        let target = match kept_for.tag(&manifest_digest) {
            Some(tag) => self.tagged(&tag),
            None => self.at(&manifest_digest),
        };
        self.push_manifest(&target, manifest).await?;
        self.known.lock().insert(manifest_digest.clone());
        Ok(manifest_digest)
    }

    /// Pushes something that is no image, under a tag; its blobs are there.
    pub(super) async fn push_manifest_with_tag(&self, tag: &str, manifest: Vec<u8>) -> Result<(), EngineError> {
        self.push_manifest(&self.tagged(tag), manifest).await
    }

    async fn push_manifest(&self, target: &Reference, manifest: Vec<u8>) -> Result<(), EngineError> {
        let media_type = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
        let pushed = self.client.push_manifest_raw(target, manifest, media_type).await;
        pushed.map(drop).map_err(|error| push_error("store an image", &error))
    }

    /// Pushes some bytes unless the repository has them.
    pub(super) async fn push_blob(&self, doing: &str, bytes: Vec<u8>, digest: &str) -> Result<(), EngineError> {
        let slot = self.pushing.slot(digest);
        let _alone = slot.lock().await;
        if !self.has_blob(digest).await? {
            let pushed = self.client.push_blob(&self.repository, bytes, digest).await;
            pushed.map_err(|error| push_error(doing, &error))?;
            self.known.lock().insert(digest.to_owned());
        }
        Ok(())
    }

    /// Returns what a pod needs to push a layer to the repository by itself. It is valid for some minutes.
    pub(super) async fn push_target(&self) -> Result<PushTarget, EngineError> {
        let auth = self.log_in(&self.repository).await;
        let token = self.client.auth(&self.repository, &auth, RegistryOperation::Push).await;
        let token = token.map_err(|error| push_error("log in", &error))?;
        let authorization = match (token, auth) {
            (Some(token), _) => Some(format!("Bearer {token}")),
            (None, RegistryAuth::Basic(user, password)) => Some(login::basic(&user, &password)),
            (None, _) => None,
        };
        let scheme = if self.is_plain { "http" } else { "https" };
        Ok(PushTarget {
            origin: format!("{scheme}://{}", self.repository.resolve_registry()),
            name: self.repository.repository().to_owned(),
            authorization,
        })
    }

    /// Removes an image. Returns `false` if the registry does not let this user remove anything.
    pub(super) async fn remove(&self, digest: &str) -> Result<bool, EngineError> {
        let login = self.log_in(&self.repository).await;
        self.push_target().await?.remove(digest, &login, SILENCE).await
    }

    /// Finds out whether the user may push.
    pub(super) async fn try_upload(&self) -> Result<(), EngineError> {
        self.push_target().await?.try_upload(SILENCE).await
    }

    /// Records a layer that a pod has pushed.
    pub(super) fn learn(&self, layer: &Layer) {
        self.known.lock().insert(layer.digest.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(name: &str) -> Result<Registry, EngineError> {
        Registry::new(name, "amd64", PathBuf::new(), false)
    }

    #[test]
    fn a_repository_has_neither_tag_nor_digest() {
        assert!(registry("registry.example.com:5000/team/pipelens").is_ok());
        for name in ["registry.example.com/team:latest", "registry.example.com/team@sha256:00", "a.b/Not A Name"] {
            let refused = registry(name).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains(name), "{name}: {refused}");
        }
    }

    #[test]
    fn what_could_be_a_name_at_docker_hub_is_no_repository() {
        for name in
            ["localhost/team", "docker.io/me/pipelens", "http://registry:80/pipelens", "http://10.0.0.1:5000/a/"]
        {
            assert!(registry(name).is_ok(), "{name}");
        }
        for name in ["", "team", "team/pipelens", "http://registry/pipelens", "registry.example.com:5000", "a.b/"] {
            let refused = registry(name).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains(&format!("`{name}` does not name a registry")), "{name}: {refused}");
        }
    }

    #[test]
    fn an_image_of_another_repository_is_told_apart() {
        let registry = registry("http://localhost:5000/team").unwrap();
        let name = registry.name_of("sha256:1");
        assert_eq!(name, "localhost:5000/team@sha256:1");
        assert_eq!(registry.digest_in(&name), Some("sha256:1"));
        assert_eq!(registry.digest_in("localhost:5000/other@sha256:1"), None);
    }
}
