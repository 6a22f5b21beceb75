//! Evaluates a step's cache policy against files, variables and the clock. Reads the files that the policy names and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use pipelens_core::plan::{Cache, CachePolicy};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::globs::globs;
use crate::sources::{EntryKind, Sources};

/// A policy that has been evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Policy {
    /// The result is never taken from an earlier run.
    None,
    /// The result is reused as long as these inputs, listed by name, are unchanged.
    While(BTreeMap<String, String>),
    /// The plan contains the key.
    ReadyMade(String),
    /// It cannot be evaluated. Such a step always runs, and its result is not kept.
    Unknown(WhyUnknown),
}

/// Why a policy cannot be evaluated. Reads as the end of a sentence about the step.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum WhyUnknown {
    #[error("one of its policies is `none`")]
    NeverTaken,
    #[error("`{pattern}` is not a valid pattern: {reason}")]
    BadPattern { pattern: String, reason: String },
    #[error("`{pattern}` matches no file of the project")]
    NoMatch { pattern: String },
    #[error("`{path}` cannot be read: {reason}")]
    Unreadable { path: String, reason: String },
}

/// What policies are evaluated against.
#[derive(Debug, Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) sources: &'a Sources,
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) now: SystemTime,
    /// Cancelled when the result is no longer needed.
    pub(super) stop: &'a CancellationToken,
}

/// Evaluates the policy of a step.
pub(super) fn evaluate(cache: Option<&Cache>, world: &World<'_>) -> Policy {
    let Some(cache) = cache else { return Policy::None };
    if let Some(key) = &cache.key {
        return Policy::ReadyMade(key.clone());
    }
    if cache.policy == CachePolicy::None {
        return Policy::None;
    }
    let mut parts = BTreeMap::new();
    match add(&cache.policy, world, &mut parts) {
        Ok(()) => Policy::While(parts),
        Err(why) => Policy::Unknown(why),
    }
}

fn add(policy: &CachePolicy, world: &World<'_>, parts: &mut BTreeMap<String, String>) -> Result<(), WhyUnknown> {
    match policy {
        CachePolicy::None => Err(WhyUnknown::NeverTaken),
        CachePolicy::Forever { env_keys } => {
            for name in env_keys {
                // Unset is not the same as empty.
                let value = world.variables.get(name).map_or_else(|| "unset".to_owned(), |value| format!("={value}"));
                parts.insert(format!("`${name}`"), value);
            }
            Ok(())
        }
        CachePolicy::Ttl { duration_seconds, env_keys } => {
            let seconds = world.now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let window = seconds / (*duration_seconds).max(1);
            parts.insert(format!("the window of {duration_seconds} s"), window.to_string());
            add(&CachePolicy::Forever { env_keys: env_keys.clone() }, world, parts)
        }
        CachePolicy::OnChange { paths } => {
            for path in paths {
                add_files(path, world, parts)?;
            }
            Ok(())
        }
        CachePolicy::Compose { sub_policies } => sub_policies.iter().try_for_each(|policy| add(policy, world, parts)),
    }
}

/// Adds the files that a pattern matches.
fn add_files(pattern: &str, world: &World<'_>, parts: &mut BTreeMap<String, String>) -> Result<(), WhyUnknown> {
    let globs = globs(pattern)
        .map_err(|error| WhyUnknown::BadPattern { pattern: pattern.to_owned(), reason: error.to_string() })?;
    let mut matched = false;
    for entry in &world.sources.entries {
        if world.stop.is_cancelled() {
            break;
        }
        if entry.kind == EntryKind::Folder || !globs.is_match(&entry.path) {
            continue;
        }
        matched = true;
        let content = content(world.sources, &entry.path, entry.kind).map_err(|error| WhyUnknown::Unreadable {
            path: entry.path.display().to_string(),
            reason: error.to_string(),
        })?;
        parts.insert(input_name(&entry.path), content);
    }
    if matched { Ok(()) } else { Err(WhyUnknown::NoMatch { pattern: pattern.to_owned() }) }
}

/// Returns the name of a file as an input: readable, and no other file has it.
pub(super) fn input_name(path: &Path) -> String {
    match path.to_str() {
        Some(path) => format!("`{path}`"),
        None => format!("`{}`", path.as_os_str().as_encoded_bytes().escape_ascii()),
    }
}

/// Returns what git knows about a file: its content, whether it is executable, and whether it is a link.
fn content(sources: &Sources, path: &Path, kind: EntryKind) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    let kind = match kind {
        EntryKind::Symlink => {
            digest.update(sources.read_link(path)?.as_os_str().as_encoded_bytes());
            "link "
        }
        EntryKind::File | EntryKind::Folder => {
            let mut file = sources.open(path)?;
            std::io::copy(&mut file, &mut digest)?;
            if is_executable(&file.metadata()?) { "executable " } else { "" }
        }
    };
    Ok(format!("{kind}{}", hex::encode(digest.finalize())))
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn on_change(paths: &[&str]) -> CachePolicy {
        CachePolicy::OnChange { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
    }

    fn look(policy: CachePolicy, files: &[&str], variables: &[(&str, &str)], seconds: u64) -> Policy {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let sources = Sources::scan(folder.path(), &CancellationToken::new()).unwrap();
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let world = World { sources: &sources, variables: &variables, now, stop: &CancellationToken::new() };
        evaluate(Some(&Cache { policy, key: None }), &world)
    }

    fn names(policy: &Policy) -> Vec<&str> {
        match policy {
            Policy::While(parts) => parts.keys().map(String::as_str).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_can_be_files_folders_and_patterns() {
        let files = ["Cargo.lock", "src/a.rs", "src/deep/b.rs", "doc/a.md"];
        assert_eq!(names(&look(on_change(&["Cargo.lock"]), &files, &[], 0)), ["`Cargo.lock`"]);
        assert_eq!(names(&look(on_change(&["./src/"]), &files, &[], 0)), ["`src/a.rs`", "`src/deep/b.rs`"]);
        assert_eq!(names(&look(on_change(&["**/*.rs"]), &files, &[], 0)), ["`src/a.rs`", "`src/deep/b.rs`"]);
        assert_eq!(names(&look(on_change(&["*/a.*"]), &files, &[], 0)), ["`doc/a.md`", "`src/a.rs`"]);
    }

    #[test]
    fn a_path_without_a_file_makes_the_policy_unknown() {
        let policy = look(on_change(&["a", "b"]), &["a"], &[], 0);
        assert_eq!(policy, Policy::Unknown(WhyUnknown::NoMatch { pattern: "b".into() }));
    }

    #[test]
    fn a_ttl_policy_is_divided_into_windows() {
        let ttl = || CachePolicy::Ttl { duration_seconds: 60, env_keys: vec!["A".to_owned()] };
        assert_eq!(look(ttl(), &[], &[], 60), look(ttl(), &[], &[], 119));
        assert_ne!(look(ttl(), &[], &[], 60), look(ttl(), &[], &[], 120));
        assert_ne!(look(ttl(), &[], &[], 60), look(ttl(), &[], &[("A", "")], 60));
    }

    #[test]
    fn a_composed_policy_depends_on_each_of_its_parts() {
        let compose = |paths: &[&str]| CachePolicy::Compose {
            sub_policies: vec![CachePolicy::Forever { env_keys: vec!["A".to_owned()] }, on_change(paths)],
        };
        assert_eq!(names(&look(compose(&["a"]), &["a"], &[("A", "1")], 0)), ["`$A`", "`a`"]);
        assert!(matches!(look(compose(&["gone"]), &["a"], &[], 0), Policy::Unknown(_)));
    }
}
