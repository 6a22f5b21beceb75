//! What an image in the repository is kept for. It is part of the image, so that nothing else has the same digest: whoever removes a result takes
//! nothing away from another step, project or machine, even if all files are the same. The layers are shared. Asks no registry.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::fingerprint::short_name;

/// The annotation that says it.
const KEPT_FOR: &str = "dev.pipelens.kept-for";
/// The annotation of a base image: the digest that its name stands for where it came from.
pub(super) const ORIGIN: &str = "dev.pipelens.origin";
/// The annotation of a base image: the digest of the manifest for its platform there.
pub(super) const MANIFEST: &str = "dev.pipelens.manifest";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeptFor {
    /// One pod, which pulls it at once.
    Pod,
    /// Later runs, as the result with this id, which no other one has. They remove it.
    LaterRuns(Uuid),
    /// Whoever has this key, on any machine. Only the registry removes it.
    Everyone { key: String },
    /// Those that start from the image with this name next. Only the registry removes it.
    Base { reference: String, origin: String, manifest: String },
}

impl KeptFor {
    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        let kept_for = match self {
            Self::Pod => return BTreeMap::new(),
            Self::LaterRuns(id) => format!("later runs {id}"),
            Self::Everyone { key } => format!("everyone {key}"),
            Self::Base { origin, manifest, .. } => {
                let of_its_registry = [(ORIGIN, origin), (MANIFEST, manifest)];
                return of_its_registry.map(|(name, digest)| (name.to_owned(), digest.clone())).into();
            }
        };
        BTreeMap::from([(KEPT_FOR.to_owned(), kept_for)])
    }

    /// Returns the tag for an image with this digest. It keeps the image from being collected as garbage, and says to whoever cares for the
    /// registry what it is.
    pub(super) fn tag(&self, digest: &str) -> Option<String> {
        match self {
            Self::Pod => None,
            Self::LaterRuns(_) => Some(format!("snapshot-{}", short_name(digest))),
            Self::Everyone { key } => Some(format!("shared-image-{}", short_name(key))),
            Self::Base { reference, .. } => Some(base_tag(reference)),
        }
    }
}

/// Returns the tag of the base image with a name.
pub(super) fn base_tag(reference: &str) -> String {
    format!("base-{}", short_name(reference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::image::Image;

    #[test]
    fn the_same_files_have_another_digest_for_another_purpose() {
        let image = Image { layers: Vec::new(), config: serde_json::json!({}) };
        let purposes = [
            KeptFor::Pod,
            KeptFor::LaterRuns(Uuid::from_u128(1)),
            KeptFor::LaterRuns(Uuid::from_u128(2)),
            KeptFor::Everyone { key: "a".to_owned() },
            KeptFor::Base { reference: "a".to_owned(), origin: "sha256:1".to_owned(), manifest: "sha256:2".to_owned() },
        ];
        let digests: std::collections::BTreeSet<String> =
            purposes.iter().map(|purpose| image.encode(purpose.annotations()).manifest_digest).collect();
        assert_eq!(digests.len(), purposes.len());
        assert_eq!(digests, purposes.iter().map(|it| image.encode(it.annotations()).manifest_digest).collect());
    }
}
