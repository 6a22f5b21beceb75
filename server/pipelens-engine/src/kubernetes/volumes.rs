//! The volumes of a pod: folders that its containers have besides their images. What is in them is part of no image.

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use pipelens_core::arguments::{ContainerOptions, memory_bytes};

use crate::argument_values::bad;
use crate::error::EngineError;

const SHARED_MEMORY: &str = "/dev/shm";
/// Kubernetes lets everyone write to such a folder; it takes no other permissions.
const OPEN_MODES: [&str; 2] = ["1777", "777"];

/// The volumes of a pod, as they are added.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Volumes(Vec<Volume>);

impl Volumes {
    pub(super) fn into_inner(self) -> Vec<Volume> {
        self.0
    }

    /// Adds a folder that is empty and goes with the pod, and returns how it is mounted at a path.
    pub(super) fn folder(&mut self, path: &str) -> VolumeMount {
        self.add(path, |volume| Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..volume })
    }

    /// Adds one that is kept in memory.
    pub(super) fn memory(&mut self, path: &str, bytes: Option<i64>) -> VolumeMount {
        let source = EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: bytes.map(|bytes| Quantity(bytes.to_string())),
        };
        self.add(path, |volume| Volume { empty_dir: Some(source), ..volume })
    }

    /// Adds one that outlives the pod.
    pub(super) fn claim(&mut self, claim: &str, path: &str) -> VolumeMount {
        let source = PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), ..Default::default() };
        self.add(path, |volume| Volume { persistent_volume_claim: Some(source), ..volume })
    }

    /// Adds what a container's options ask for.
    pub(super) fn of_options(&mut self, options: &ContainerOptions) -> Result<Vec<VolumeMount>, EngineError> {
        let mut mounts = Vec::new();
        if let Some(bytes) = options.shm_bytes {
            mounts.push(self.memory(SHARED_MEMORY, Some(bytes)));
        }
        for (path, options) in &options.tmpfs {
            mounts.push(self.memory(path, size_in(options)?));
        }
        Ok(mounts)
    }

    fn add(&mut self, path: &str, source: impl FnOnce(Volume) -> Volume) -> VolumeMount {
        let name = format!("volume-{}", self.0.len());
        self.0.push(source(Volume { name: name.clone(), ..Volume::default() }));
        VolumeMount { name, mount_path: path.to_owned(), ..VolumeMount::default() }
    }
}

/// Returns the size in the options of a folder in memory.
fn size_in(options: &str) -> Result<Option<i64>, EngineError> {
    let mut size = None;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", text)) => size = Some(text),
            Some(("mode", mode)) if OPEN_MODES.contains(&mode.trim_start_matches('0')) => {}
            _ => {
                return Err(bad(format!(
                    "the `kubernetes` runner does not support `{option}` in `tmpfs`; it supports `size` and `mode=1777`"
                )));
            }
        }
    }
    let read = |text: &str| {
        memory_bytes(text).ok_or_else(|| bad(format!("the `size` in `tmpfs` must be such as `64m`; got `{text}`")))
    };
    size.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tmpfs: &str) -> Result<Vec<VolumeMount>, String> {
        let tmpfs = vec![("/kept".to_owned(), tmpfs.to_owned())];
        let options = ContainerOptions { shm_bytes: Some(7), tmpfs, ..ContainerOptions::default() };
        let mut volumes = Volumes::default();
        let mounts = volumes.of_options(&options).map_err(|error| error.to_string())?;
        let memory = |volume: &Volume| volume.empty_dir.as_ref().and_then(|dir| dir.medium.clone());
        assert!(volumes.0.iter().all(|volume| memory(volume).as_deref() == Some("Memory")));
        Ok(mounts)
    }

    #[test]
    fn folders_in_memory_have_their_places_and_names_of_their_own() {
        let mounts = of("size=64m,mode=1777").unwrap();
        let places: Vec<_> = mounts.iter().map(|mount| (mount.name.as_str(), mount.mount_path.as_str())).collect();
        assert_eq!(places, [("volume-0", "/dev/shm"), ("volume-1", "/kept")]);
        assert_eq!(size_in("size=1k").unwrap(), Some(1024));
        assert_eq!(size_in("").unwrap(), None);
    }

    #[test]
    fn what_a_cluster_cannot_do_is_refused_by_name() {
        assert!(of("mode=700").unwrap_err().contains("`mode=700`"));
        assert!(of("size=much").unwrap_err().contains("`much`"));
    }
}
