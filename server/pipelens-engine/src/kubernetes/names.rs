//! The labels and names of what a run creates in a cluster, by which it is found again.

use uuid::Uuid;

use crate::fingerprint::short_name;
use crate::owner::Owner;

pub(super) const RUN: &str = "pipelens.dev/run";
/// A name for the process that made it; the process itself is in the annotation of this name.
pub(super) const OWNER: &str = "pipelens.dev/owner";
/// The name of a cache mount, and the cache and the project that its claim belongs to.
pub(super) const MOUNT: &str = "pipelens.dev/mount";
pub(super) const CACHE: &str = "pipelens.dev/cache";
pub(super) const WORKSPACE: &str = "pipelens.dev/workspace";
/// On every pod.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "pipelens");

/// The container in which a step's commands run.
pub(super) const STEP_CONTAINER: &str = "step";
/// Returns the name of a container beside that of the step.
pub(super) fn container_beside(number: usize) -> String {
    format!("beside-{number}")
}

/// The path of the agent in every container.
pub(super) const AGENT: &str = "/.pipelens/agent";

/// The longest part of a step's key in the name of a pod.
const KEY_CHARACTERS: usize = 24;

/// Returns the name of a pod: the step that it is made for can be recognised, and no two pods have the same.
pub(super) fn pod_name(run_id: Uuid, step: &str, number: usize) -> String {
    let mut word = String::new();
    for character in step.chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_alphanumeric() {
            word.push(character);
        } else if !word.is_empty() && !word.ends_with('-') {
            word.push('-');
        }
        if word.len() >= KEY_CHARACTERS {
            break;
        }
    }
    let word = word.trim_end_matches('-');
    let space = if word.is_empty() { "" } else { "-" };
    // The beginning of a run's id is its time, which many runs share.
    format!("pipelens-{word}{space}{}-{number}", short_name(run_id.as_bytes()))
}

/// Returns the name of the claim of a cache mount.
pub(super) fn claim(mount: &str) -> String {
    format!("pipelens-mount-{mount}")
}

/// Returns the value of the label with the owner; the owner itself is too long for one.
pub(super) fn owner_label(owner: &Owner) -> String {
    short_name(owner.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_makes_a_name_that_kubernetes_accepts() {
        let run_id = Uuid::from_u128(7);
        for (key, word) in [("build", "build-"), ("test (1.90, Alpine)", "test-1-90-alpine-"), ("ü", ""), ("-", "")] {
            let name = pod_name(run_id, key, 3);
            assert!(name.starts_with(&format!("pipelens-{word}")) && name.ends_with("-3"), "{name}");
            let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(is_allowed) && name.len() <= 63 && !name.contains("--"), "{name}");
        }
    }
}
