//! The volumes of a pod: folders that its containers have besides their images. What is in them is part of no image.

use pipelens_core::arguments::{ContainerOptions, memory_bytes};
use serde_json::{Value, json};

use crate::argument_values::bad;
use crate::error::EngineError;
use crate::kubernetes::resources::fields;

const SHARED_MEMORY: &str = "/dev/shm";
/// Kubernetes lets everyone write to such a folder; it takes no other permissions.
const OPEN_MODES: [&str; 2] = ["1777", "777"];

/// The volumes of a pod, as they are added: each by what it is, its name says how many were before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Volumes(Vec<Source>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Folder,
    Memory { bytes: Option<i64> },
    Claim(String),
}

/// A volume at a path of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    volume: String,
    path: String,
    pub(super) is_read_only: bool,
}

impl Volumes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a folder that is empty and goes with the pod, and returns how it is mounted at a path.
    pub(super) fn folder(&mut self, path: &str) -> Mount {
        self.add(path, Source::Folder)
    }

    /// Adds one that is kept in memory.
    pub(super) fn memory(&mut self, path: &str, bytes: Option<i64>) -> Mount {
        self.add(path, Source::Memory { bytes })
    }

    /// Adds one that outlives the pod.
    pub(super) fn claim(&mut self, claim: &str, path: &str) -> Mount {
        self.add(path, Source::Claim(claim.to_owned()))
    }

    /// Adds what a container's options ask for.
    pub(super) fn of_options(&mut self, options: &ContainerOptions) -> Result<Vec<Mount>, EngineError> {
        let mut mounts = Vec::new();
        if let Some(bytes) = options.shm_bytes {
            mounts.push(self.memory(SHARED_MEMORY, Some(bytes)));
        }
        for (path, options) in &options.tmpfs {
            mounts.push(self.memory(path, size_in(options)?));
        }
        Ok(mounts)
    }

    fn add(&mut self, path: &str, source: Source) -> Mount {
        let volume = name_of(self.0.len());
        self.0.push(source);
        Mount { volume, path: path.to_owned(), is_read_only: false }
    }

    pub(super) fn to_json(&self) -> Value {
        let named = |(number, source): (usize, &Source)| {
            let name = name_of(number);
            match source {
                Source::Folder => json!({ "name": name, "emptyDir": {} }),
                Source::Memory { bytes } => {
                    let limit = bytes.map(|bytes| bytes.to_string());
                    json!({ "name": name, "emptyDir": fields(json!({ "medium": "Memory", "sizeLimit": limit })) })
                }
                Source::Claim(claim) => json!({ "name": name, "persistentVolumeClaim": { "claimName": claim } }),
            }
        };
        self.0.iter().enumerate().map(named).collect()
    }
}

fn name_of(number: usize) -> String {
    format!("volume-{number}")
}

impl Mount {
    pub(super) fn to_json(&self) -> Value {
        let is_read_only = self.is_read_only.then_some(true);
        fields(json!({ "name": self.volume, "mountPath": self.path, "readOnly": is_read_only })).into()
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

    fn of(tmpfs: &str) -> Result<(Value, Vec<Value>), String> {
        let tmpfs = vec![("/kept".to_owned(), tmpfs.to_owned())];
        let options = ContainerOptions { shm_bytes: Some(7), tmpfs, ..ContainerOptions::default() };
        let mut volumes = Volumes::default();
        let mounts = volumes.of_options(&options).map_err(|error| error.to_string())?;
        Ok((volumes.to_json(), mounts.iter().map(Mount::to_json).collect()))
    }

    #[test]
    fn folders_in_memory_have_their_places_and_names_of_their_own() {
        let (volumes, mounts) = of("size=64m,mode=1777").unwrap();
        let memory =
            |name: &str, bytes: &str| json!({ "name": name, "emptyDir": { "medium": "Memory", "sizeLimit": bytes } });
        assert_eq!(volumes, json!([memory("volume-0", "7"), memory("volume-1", "67108864")]));
        let mount = |name: &str, path: &str| json!({ "name": name, "mountPath": path });
        assert_eq!(mounts, [mount("volume-0", "/dev/shm"), mount("volume-1", "/kept")]);
        assert_eq!(size_in("size=1k").unwrap(), Some(1024));
        assert_eq!(size_in("").unwrap(), None);
    }

    #[test]
    fn a_claim_and_an_empty_folder_can_be_read_only() {
        let mut volumes = Volumes::default();
        let mut claim = volumes.claim("kept", "/cache");
        claim.is_read_only = true;
        volumes.folder("/empty");
        let expected = json!([
            { "name": "volume-0", "persistentVolumeClaim": { "claimName": "kept" } },
            { "name": "volume-1", "emptyDir": {} },
        ]);
        assert_eq!(volumes.to_json(), expected);
        assert_eq!(claim.to_json(), json!({ "name": "volume-0", "mountPath": "/cache", "readOnly": true }));
    }

    #[test]
    fn what_a_cluster_cannot_do_is_refused_by_name() {
        assert!(of("mode=700").unwrap_err().contains("`mode=700`"));
        assert!(of("size=much").unwrap_err().contains("`much`"));
    }
}
