//! Results in the repository that every machine finds by their keys. The tag of a key leads to a description, as in `docker/cache_registry.rs`: the
//! digest of the image with the result, and the sources in it. It is pushed last, so a result that can be found is complete. No layer is
//! copied for it: they are there. Decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use tokio_util::sync::CancellationToken;

use crate::blocking;
use crate::cluster_settings::ClusterSettings;
use crate::error::{EngineError, with_causes};
use crate::kubernetes::image::{digest_of, own_architecture};
use crate::kubernetes::kept_for::KeptFor;
use crate::kubernetes::made_images::{self, MadeImages};
use crate::kubernetes::questions::Questions;
use crate::kubernetes::registry::Registry;
use crate::registry_answers;
use crate::result_description::{Description, MOST_BYTES};
use crate::snapshot::{CacheRegistry, Pushes, Saved, Shared, SharedResults, SharedSources};

const DESCRIPTION: &str = "application/vnd.pipelens.result.v1+json+zlib";
/// The configuration of what is no image.
const NO_CONFIG: &[u8] = b"{}";
const NO_CONFIG_TYPE: &str = "application/vnd.oci.empty.v1+json";

pub(super) struct ClusterResults {
    questions: Arc<Questions>,
    settings: CacheRegistry,
    made: Arc<MadeImages>,
    has_complained: AtomicBool,
    /// Why the first result could not be pushed. Then, no other one is.
    pushes: Pushes,
}

impl ClusterResults {
    pub(super) fn new(questions: Arc<Questions>, settings: &ClusterSettings, made: Arc<MadeImages>) -> Self {
        Self {
            settings: CacheRegistry {
                repository: questions.registry.repository(),
                project: settings.project.clone(),
                pushes: settings.pushes,
                is_asked_by_user: settings.is_asked_by_user,
            },
            questions,
            made,
            has_complained: AtomicBool::new(false),
            pushes: Pushes::default(),
        }
    }

    fn registry(&self) -> &Registry {
        &self.questions.registry
    }

    async fn description(&self, key: &str) -> Result<Description, EngineError> {
        let bad = |reason: &str| EngineError::Registry {
            doing: "describe a result".to_owned(),
            reason: reason.to_owned(),
            is_away: false,
        };
        let manifest = self.registry().manifest_with_tag(&tag(key)).await?;
        let blob = manifest.and_then(|it| it.layers.into_iter().next()).ok_or_else(|| bad("it is no longer there"))?;
        let is_description = blob.media_type == DESCRIPTION;
        if !is_description || u64::try_from(blob.size).is_ok_and(|bytes| bytes > MOST_BYTES) {
            return Err(bad("what has its tag is no description"));
        }
        let mut stream = self.registry().open_blob(&blob).await.map_err(|error| bad(&with_causes(&error)))?.stream;
        let mut compressed = Vec::new();
        while let Some(bytes) = stream.try_next().await.map_err(|error| bad(&with_causes(&error)))? {
            compressed.extend_from_slice(&bytes);
            if compressed.len() as u64 > MOST_BYTES {
                return Err(bad("its description is too long"));
            }
        }
        let read = blocking::run(move |_| Description::read(compressed.as_slice())).await.ok().flatten();
        read.ok_or_else(|| bad("its description cannot be read"))
    }

    async fn push(&self, key: &str, snapshot: &Saved, sources: SharedSources) -> Result<(), EngineError> {
        let failed = |reason: String| EngineError::Registry {
            doing: "store the description of a result".to_owned(),
            reason,
            is_away: false,
        };
        let digest = self.registry().digest_in(&snapshot.place);
        let image = self.registry().read(digest.ok_or_else(|| failed("its image is elsewhere".to_owned()))?).await?;
        let image = self.registry().push(&image, &KeptFor::Everyone { key: key.to_owned() }).await?;
        let description = Description { image, bytes: snapshot.bytes, sources };
        let packed = blocking::run(move |_| description.compressed()).await.flatten();
        let packed = packed.map_err(|error| failed(error.to_string()))?;
        let descriptor = |media_type: &str, bytes: &[u8]| OciDescriptor {
            media_type: media_type.to_owned(),
            digest: digest_of(bytes),
            size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        };
        let manifest = OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            artifact_type: Some(DESCRIPTION.to_owned()),
            config: descriptor(NO_CONFIG_TYPE, NO_CONFIG),
            layers: vec![descriptor(DESCRIPTION, &packed)],
            ..OciImageManifest::default()
        };
        let doing = "store the description of a result";
        self.registry().push_blob(doing, NO_CONFIG.to_vec(), &digest_of(NO_CONFIG)).await?;
        let digest = digest_of(&packed);
        self.registry().push_blob(doing, packed, &digest).await?;
        let manifest = serde_json::to_vec(&manifest).map_err(|error| failed(error.to_string()))?;
        let digest = digest_of(&manifest);
        self.registry().push_manifest_with_tag(&tag(key), manifest).await?;
        registry_answers::remember(&self.settings.repository, &tag(key), Some(digest));
        Ok(())
    }
}

#[async_trait]
impl SharedResults for ClusterResults {
    fn settings(&self) -> &CacheRegistry {
        &self.settings
    }

    async fn image(&self, reference: &str) -> Option<String> {
        self.questions.image(reference).await
    }

    async fn platform(&self) -> String {
        format!("linux/{}", own_architecture())
    }

    async fn has(&self, key: &str) -> bool {
        self.questions.has_tag(&tag(key)).await.unwrap_or(false)
    }

    fn take_complaint(&self) -> Option<String> {
        let why = self.questions.trouble()?;
        (!self.has_complained.swap(true, Ordering::Relaxed)).then_some(why)
    }

    async fn fetch(&self, key: &str) -> Result<Shared, String> {
        let fetch = async {
            let Description { image, bytes, sources } = self.description(key).await?;
            // From now on, it does not depend on what others remove.
            let image = self.registry().read(&image).await?;
            let place = made_images::push(&self.made, self.registry(), &image).await?;
            Ok::<_, EngineError>(Shared { saved: Saved { place, bytes }, sources })
        };
        fetch.await.map_err(|error| reason(&error))
    }

    async fn publish(
        &self,
        key: &str,
        snapshot: &Saved,
        sources: &SharedSources,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let pushing = async { self.push(key, snapshot, sources.clone()).await.map_err(|error| reason(&error)) };
        self.pushes.push(stop, pushing).await
    }
}

/// Returns the tag of the description of a result.
fn tag(key: &str) -> String {
    format!("shared-{key}")
}

/// Returns an error as a reason without a full stop.
fn reason(error: &EngineError) -> String {
    match error {
        EngineError::Registry { reason, .. } => reason.clone(),
        other => other.to_string().trim_end_matches('.').to_owned(),
    }
}
