//! Images as lists of layers: what a pod starts from is composed here, and nothing is unpacked for it. Asks no registry.

use std::collections::BTreeMap;

use oci_client::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE, IMAGE_DOCKER_LAYER_TAR_MEDIA_TYPE,
    IMAGE_LAYER_GZIP_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::services::readiness::ServiceImage;

/// An image that a registry has, or that can be pushed to it: its layers are there.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) layers: Vec<OciDescriptor>,
    /// Everything that the image's author has set, also what is not known here.
    pub(super) config: Value,
}

/// A layer in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// Of the compressed bytes.
    pub(super) digest: String,
    /// Of the archive.
    pub(super) diff_id: String,
    pub(super) bytes: u64,
}

/// The bytes of an image that are pushed besides its layers.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) config: Vec<u8>,
    pub(super) config_digest: String,
    pub(super) manifest: Vec<u8>,
    pub(super) manifest_digest: String,
}

impl Image {
    /// Reads an image. Its volumes are left out: the files of a volume are in no layer, so the next step would not have them.
    pub(super) fn read(manifest: OciImageManifest, config: &str) -> Result<Self, String> {
        let mut config: Value =
            serde_json::from_str(config).map_err(|error| format!("its configuration is invalid: {error}"))?;
        if let Some(settings) = config.get_mut("config").and_then(Value::as_object_mut) {
            settings.remove("Volumes");
        }
        let layers = manifest.layers.into_iter().map(as_oci).collect();
        Ok(Self { layers, config })
    }

    /// Returns the same image with one more layer on top.
    pub(super) fn with(&self, layer: &Layer, what: &str) -> Self {
        let mut image = self.clone();
        image.layers.push(OciDescriptor {
            media_type: IMAGE_LAYER_GZIP_MEDIA_TYPE.to_owned(),
            digest: layer.digest.clone(),
            size: i64::try_from(layer.bytes).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        });
        if let Some(ids) = image.config.pointer_mut("/rootfs/diff_ids").and_then(Value::as_array_mut) {
            ids.push(json!(layer.diff_id));
        }
        // A history has one entry for each layer, or none at all.
        if let Some(history) = image.config.get_mut("history").and_then(Value::as_array_mut) {
            history.push(json!({ "created_by": format!("pipelens: {what}") }));
        }
        image
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.config.get("config")?.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Returns the architecture of its programs; empty if it does not say.
    pub(super) fn architecture(&self) -> &str {
        self.config.get("architecture").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the user as the image names it; empty for root.
    pub(super) fn user(&self) -> &str {
        self.setting("User").unwrap_or_default()
    }

    fn words(&self, name: &str) -> Vec<String> {
        let words = self.config.get("config").and_then(|config| config.get(name)).and_then(Value::as_array);
        words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Returns the folder in which its commands run, unless something else is said.
    pub(super) fn workdir(&self) -> &str {
        self.setting("WorkingDir").unwrap_or("/")
    }

    /// Returns the value of a variable that it sets.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.words("Env").iter().find_map(|entry| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    }

    /// Returns what it says about how it runs.
    pub(super) fn as_service(&self) -> ServiceImage {
        let settings = self.config.get("config");
        let ports = settings.and_then(|settings| settings.get("ExposedPorts")).and_then(Value::as_object);
        let tcp = |port: &String| port.strip_suffix("/tcp").unwrap_or(port).parse().ok();
        let check = settings.and_then(|settings| settings.pointer("/Healthcheck/Test")).and_then(Value::as_array);
        ServiceImage {
            entrypoint: self.words("Entrypoint"),
            cmd: self.words("Cmd"),
            exposed_port: ports.into_iter().flat_map(|ports| ports.keys()).filter_map(tcp).min(),
            health_check: check.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    /// Returns the bytes to push. The same image with the same annotations has the same bytes.
    pub(super) fn encode(&self, annotations: BTreeMap<String, String>) -> Encoded {
        let config = self.config.to_string().into_bytes();
        let config_digest = digest_of(&config);
        let manifest = OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            config: OciDescriptor {
                media_type: IMAGE_CONFIG_MEDIA_TYPE.to_owned(),
                digest: config_digest.clone(),
                size: i64::try_from(config.len()).unwrap_or(i64::MAX),
                ..OciDescriptor::default()
            },
            layers: self.layers.clone(),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..OciImageManifest::default()
        };
        let manifest = serde_json::to_vec(&manifest).unwrap_or_default();
        let manifest_digest = digest_of(&manifest);
        Encoded { config, config_digest, manifest, manifest_digest }
    }
}

/// Returns the architecture of this machine as images name it: a cluster on a developer's machine has the same.
pub(super) fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Returns the digest of bytes as registries write it.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// One manifest cannot mix the two families of media types; the bytes of the layers are the same in both.
fn as_oci(layer: OciDescriptor) -> OciDescriptor {
    let media_type = match layer.media_type.as_str() {
        IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE => IMAGE_LAYER_GZIP_MEDIA_TYPE,
        IMAGE_DOCKER_LAYER_TAR_MEDIA_TYPE => IMAGE_LAYER_MEDIA_TYPE,
        other => other,
    };
    OciDescriptor { media_type: media_type.to_owned(), ..layer }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Image {
        let layer = OciDescriptor {
            media_type: IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE.to_owned(),
            digest: "sha256:1".to_owned(),
            size: 10,
            ..OciDescriptor::default()
        };
        let manifest = OciImageManifest { layers: vec![layer], ..OciImageManifest::default() };
        let config = r#"{
            "architecture": "amd64",
            "config": { "User": "1000:100", "Volumes": { "/data": {} }, "Unknown": 1 },
            "history": [{ "created_by": "someone" }],
            "rootfs": { "type": "layers", "diff_ids": ["sha256:2"] }
        }"#;
        Image::read(manifest, config).unwrap()
    }

    #[test]
    fn an_image_keeps_what_its_author_has_set_except_volumes() {
        let image = base();
        assert_eq!((image.user(), image.architecture()), ("1000:100", "amd64"));
        assert_eq!(image.config["config"], json!({ "User": "1000:100", "Unknown": 1 }));
        assert_eq!(image.layers[0].media_type, IMAGE_LAYER_GZIP_MEDIA_TYPE);
    }

    #[test]
    fn what_an_image_says_about_how_it_runs_is_read() {
        let config = r#"{ "config": {
            "Entrypoint": ["/run"], "Cmd": ["a", "b"], "WorkingDir": "/srv", "Env": ["PATH=/bin", "HOME=/home/a"],
            "ExposedPorts": { "9000/tcp": {}, "8080/tcp": {}, "53/udp": {} },
            "Healthcheck": { "Test": ["CMD", "check"] }
        } }"#;
        let image = Image::read(OciImageManifest::default(), config).unwrap();
        let service = image.as_service();
        assert_eq!((service.entrypoint.join(" "), service.cmd.join(" ")), ("/run".into(), "a b".into()));
        assert_eq!((service.exposed_port, service.health_check.join(" ")), (Some(8080), "CMD check".into()));
        assert_eq!((image.workdir(), image.variable("HOME").as_deref()), ("/srv", Some("/home/a")));
        assert_eq!(base().workdir(), "/");
    }

    #[test]
    fn a_layer_is_in_the_manifest_the_configuration_and_the_history() {
        let layer = Layer { digest: "sha256:3".into(), diff_id: "sha256:4".into(), bytes: 5 };
        let image = base().with(&layer, "the sources");
        assert_eq!(image.layers[1].digest, "sha256:3");
        assert_eq!(image.config["rootfs"]["diff_ids"], json!(["sha256:2", "sha256:4"]));
        assert_eq!(image.config["history"].as_array().unwrap().len(), 2);
        let encoded = image.encode(BTreeMap::new());
        let manifest: Value = serde_json::from_slice(&encoded.manifest).unwrap();
        assert_eq!(manifest["schemaVersion"], 2);
        assert_eq!(manifest["config"]["digest"], json!(encoded.config_digest));
        assert_eq!(image.encode(BTreeMap::new()).manifest_digest, encoded.manifest_digest);
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_an_error() {
        assert!(Image::read(OciImageManifest::default(), "{").unwrap_err().starts_with("its configuration is invalid"));
    }
}
