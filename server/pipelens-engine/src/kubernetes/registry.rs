//! The registry that a cluster's nodes and this process share: layers and images go in, and a digest names what a pod starts from.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use http::HeaderValue;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{ImageIndexEntry, OCI_IMAGE_MEDIA_TYPE, OciDescriptor};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::blocking;
use crate::docker::credentials::{credentials, written_credentials};
use crate::docker::reference;
use crate::error::{EngineError, with_causes};
use crate::fingerprint::short_name;
use crate::image_user::UserFiles;
use crate::kubernetes::attempts::persistently;
use crate::kubernetes::image::{Image, Layer};
use crate::slots::Slots;

/// A registry that says nothing for this long is away.
const SILENCE: Duration = Duration::from_secs(40);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How many layers of a base image are copied at once.
const COPIED_AT_ONCE: usize = 3;
const CHUNK_BYTES: usize = 1024 * 1024;
/// Even the `/etc/passwd` of a large organisation is far smaller.
const SMALL_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// A repository in a registry, and the registries of the images that are copied to it.
pub(super) struct Registry {
    client: Client,
    /// Without a tag.
    repository: Reference,
    is_plain: bool,
    project: PathBuf,
    /// Whether a user asks: then, credential helpers may be started.
    is_asked_by_user: bool,
    /// The blobs that the repository is known to have.
    known: Mutex<HashSet<String>>,
    /// Held while a blob is pushed: registries answer strangely if the same one is pushed twice at once.
    pushing: Slots<()>,
    /// The credentials for each registry, once they have been looked up: that may start a program.
    logins: tokio::sync::Mutex<HashMap<String, RegistryAuth>>,
}

/// What a pod needs to push a layer by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PushTarget {
    /// Such as `https://registry.example.com:5000`.
    pub(super) origin: String,
    /// The name of the repository within the registry.
    pub(super) name: String,
    /// The value of the header of that name.
    pub(super) authorization: Option<String>,
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
            project,
            is_asked_by_user,
            known: Mutex::default(),
            pushing: Slots::default(),
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

    /// Returns the digest that an image reference stands for; `None` if its registry does not have it.
    pub(super) async fn resolve(&self, reference: &str) -> Result<Option<String>, EngineError> {
        let image = parsed(reference)?;
        self.log_in(&image).await;
        match self.client.fetch_manifest_digest(&image, &RegistryAuth::Anonymous).await {
            Ok(digest) => Ok(Some(digest)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(pull_error(reference, &error)),
        }
    }

    /// Returns an image of any registry, with its layers copied to the repository, and its digest there.
    pub(super) async fn bring(&self, reference: &str) -> Result<(Image, String), EngineError> {
        let source = parsed(reference)?;
        self.log_in(&source).await;
        self.log_in(&self.repository).await;
        let pulled = self.client.pull_manifest_and_config(&source, &RegistryAuth::Anonymous).await;
        let (manifest, digest, config) = pulled.map_err(|error| pull_error(reference, &error))?;
        let read = Image::read(manifest, &config);
        let image = read.map_err(|reason| EngineError::PullFailed { image: reference.to_owned(), reason })?;
        let copies: Vec<_> = image.layers.iter().map(|layer| self.copy_layer(&source, layer).boxed()).collect();
        futures_util::stream::iter(copies).buffer_unordered(COPIED_AT_ONCE).try_collect::<()>().await?;
        Ok((image, digest))
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
        self.resolve(&self.name_of(digest)).await.map(|found| found.is_some())
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

    /// Pushes an image whose layers the repository has, and returns its digest there. A tag keeps it from being collected as garbage.
    pub(super) async fn push(&self, image: &Image, tag: Option<&str>) -> Result<String, EngineError> {
        self.log_in(&self.repository).await;
        let encoded = image.encode();
        let failed = |error: &OciDistributionError| push_error("store an image", error);
        let slot = self.pushing.slot(&encoded.config_digest);
        let _alone = slot.lock().await;
        if !self.has_blob(&encoded.config_digest).await? {
            let pushed = self.client.push_blob(&self.repository, encoded.config, &encoded.config_digest).await;
            pushed.map_err(|error| failed(&error))?;
            self.known.lock().insert(encoded.config_digest);
        }
        let target = match tag {
            Some(tag) => self.tagged(tag),
            None => self.at(&encoded.manifest_digest),
        };
        let media_type = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
        let pushed = self.client.push_manifest_raw(&target, encoded.manifest, media_type).await;
        pushed.map_err(|error| failed(&error))?;
        Ok(encoded.manifest_digest)
    }

    /// Returns what a pod needs to push a layer to the repository. It is valid for some minutes.
    pub(super) async fn push_target(&self) -> Result<PushTarget, EngineError> {
        let auth = self.log_in(&self.repository).await;
        let token = self.client.auth(&self.repository, &auth, RegistryOperation::Push).await;
        let token = token.map_err(|error| push_error("log in", &error))?;
        let authorization = match (token, auth) {
            (Some(token), _) => Some(format!("Bearer {token}")),
            (None, RegistryAuth::Basic(user, password)) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            (None, _) => None,
        };
        let scheme = if self.is_plain { "http" } else { "https" };
        Ok(PushTarget {
            origin: format!("{scheme}://{}", self.repository.resolve_registry()),
            name: self.repository.repository().to_owned(),
            authorization,
        })
    }

    /// Pushes an image that outlives its run, under a tag made from its digest.
    pub(super) async fn push_tagged(&self, image: &Image) -> Result<String, EngineError> {
        let digest = image.encode().manifest_digest;
        let tag = format!("snapshot-{}", short_name(&digest));
        self.push(image, Some(&tag)).await
    }

    /// Removes an image. Its layers stay until the registry collects its garbage.
    pub(super) async fn remove(&self, digest: &str) -> Result<(), EngineError> {
        let target = self.push_target().await?;
        let url = format!("{}/v2/{}/manifests/{digest}", target.origin, target.name);
        let mut request = reqwest::Client::new().delete(url).timeout(SILENCE);
        if let Some(authorization) = target.authorization {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        let failed =
            |reason: String| EngineError::Registry { doing: "remove an image".to_owned(), reason, is_away: false };
        let answer = request.send().await.map_err(|error| failed(with_causes(&error)))?;
        match answer.status() {
            status if status.is_success() || status.as_u16() == 404 => Ok(()),
            status => Err(failed(format!("it answered {status}"))),
        }
    }

    /// Records a layer that a pod has pushed.
    pub(super) fn learn(&self, layer: &Layer) {
        self.known.lock().insert(layer.digest.clone());
    }
}

/// Returns a small file of an archive.
fn file_in(archive: impl io::Read, path: &Path) -> io::Result<Option<String>> {
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let name = entry.path()?;
        if name.strip_prefix("./").unwrap_or(&name) == path {
            let mut text = String::new();
            entry.by_ref().take(SMALL_FILE_BYTES).read_to_string(&mut text)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The files of an image in a registry. The layers are read from the top.
pub(super) struct ImageFiles<'a> {
    pub(super) registry: &'a Registry,
    pub(super) image: &'a Image,
}

impl UserFiles for ImageFiles<'_> {
    async fn read(&self, path: &'static str) -> Result<String, EngineError> {
        let failed = |reason: String| EngineError::Registry { doing: format!("read `{path}`"), reason, is_away: false };
        let Registry { client, repository, .. } = self.registry;
        for layer in self.image.layers.iter().rev() {
            let stream = client.pull_blob_stream(repository, layer).await;
            let stream = stream.map_err(|error| failed(with_causes(&error)))?;
            let reader = SyncIoBridge::new(StreamReader::new(stream.stream));
            let name = path.trim_start_matches('/');
            let is_compressed = layer.media_type.ends_with("gzip");
            let found = blocking::run(move |_| match is_compressed {
                true => file_in(GzDecoder::new(reader), Path::new(name)),
                false => file_in(reader, Path::new(name)),
            });
            if let Some(text) = found.await.flatten().map_err(|error| failed(error.to_string()))? {
                return Ok(text);
            }
        }
        Ok(String::new())
    }
}

/// A layer in a temporary file, which has no name and goes with it.
struct PackedLayer {
    layer: Layer,
    /// It is at its end.
    file: File,
}

impl PackedLayer {
    fn pack(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Self> {
        let compressed = Hashing::new(tempfile::tempfile()?);
        let mut archive = Hashing::new(GzEncoder::new(compressed, Compression::fast()));
        write(&mut archive)?;
        let diff_id = archive.digest();
        let mut compressed = archive.inner.finish()?;
        compressed.flush()?;
        let layer = Layer { digest: compressed.digest(), diff_id, bytes: compressed.bytes };
        Ok(Self { layer, file: compressed.inner })
    }
}

/// Computes the digest of what passes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.hash.clone().finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a file in chunks, on threads for blocking work.
fn chunks(file: File) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::try_unfold(file, |mut file| async move {
        blocking::run(move |_| {
            let mut bytes = Vec::with_capacity(CHUNK_BYTES);
            io::Read::by_ref(&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut bytes)?;
            Ok((!bytes.is_empty()).then(|| (Bytes::from(bytes), file)))
        })
        .await
        .flatten()
    })
}

fn parsed(reference: &str) -> Result<Reference, EngineError> {
    let not_found = |reason: String| EngineError::ImageNotFound { image: reference.to_owned(), reason };
    reference.parse::<Reference>().map_err(|error| not_found(error.to_string()))
}

/// Whether a registry answered that it does not have something.
fn is_missing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => {
            let said = envelope.to_string().to_lowercase();
            said.contains("unknown") || said.contains("not found")
        }
        _ => false,
    }
}

fn pull_error(image: &str, error: &OciDistributionError) -> EngineError {
    let (image, reason) = (image.to_owned(), with_causes(error));
    match error {
        _ if is_missing(error) => EngineError::ImageNotFound { image, reason },
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            EngineError::RegistryRefused { image, reason }
        }
        _ => EngineError::PullFailed { image, reason },
    }
}

fn push_error(doing: &str, error: &OciDistributionError) -> EngineError {
    let is_away = match error {
        OciDistributionError::RequestError(_) | OciDistributionError::IoError(_) => true,
        // Another process is pushing the same blob.
        OciDistributionError::ServerError { code, message, .. } => *code >= 500 || message.contains("BLOB_UNKNOWN"),
        _ => false,
    };
    EngineError::Registry { doing: doing.to_owned(), reason: with_causes(error), is_away }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::image::digest_of;

    fn registry(name: &str) -> Result<Registry, EngineError> {
        Registry::new(name, "amd64", PathBuf::new(), false)
    }

    #[test]
    fn a_repository_has_neither_tag_nor_digest() {
        assert!(registry("registry.example.com:5000/team/pipelens").is_ok());
        for name in ["registry.example.com/team:latest", "registry.example.com/team@sha256:00", "Not A Name"] {
            let refused = registry(name).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains(name), "{name}: {refused}");
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

    #[test]
    fn a_packed_layer_has_the_digests_of_its_archive_and_of_its_bytes() {
        let PackedLayer { layer, mut file } = PackedLayer::pack(|to| to.write_all(b"an archive")).unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!((layer.digest, layer.bytes), (digest_of(&bytes), bytes.len() as u64));
        assert_eq!(layer.diff_id, digest_of(b"an archive"));
    }
}
