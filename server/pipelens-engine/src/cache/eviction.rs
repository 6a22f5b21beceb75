//! Removes kept snapshots, and chooses which ones exceed a budget.

use std::sync::Arc;

use crate::cache::cache_request::Budget;
use crate::snapshot::{Removal, SnapshotStore};
use crate::store::{KeptSnapshot, Store, StoreError};

/// Removes snapshots and their records. Snapshots that something else still needs stay. Returns how many bytes were freed.
pub(crate) async fn remove(
    store: &Arc<Store>,
    snapshots: &dyn SnapshotStore,
    surplus: Vec<KeptSnapshot>,
) -> Result<u64, StoreError> {
    let mut freed = 0;
    // Newest first, because a snapshot cannot be removed before those built on it. It may have been used more recently than they were, so a
    // refused removal is tried again once another one has succeeded.
    let mut left: Vec<KeptSnapshot> = surplus.into_iter().rev().collect();
    loop {
        let before = left.len();
        let mut refused = Vec::new();
        for kept in left {
            let removal = match mount_of(&kept) {
                Some(id) => Removal::of(snapshots.remove_mount(id).await),
                None => snapshots.remove(&kept.place).await,
            };
            match removal {
                Removal::Removed => freed += kept.bytes,
                Removal::Abandoned => {}
                Removal::Refused => {
                    refused.push(kept);
                    continue;
                }
            }
            store.with(move |store| store.forget(&kept)).await?;
        }
        if refused.is_empty() || refused.len() == before {
            return Ok(freed);
        }
        left = refused;
    }
}

/// The key of cache mounts among kept snapshots: they share a budget. No snapshot has it.
const MOUNT: &str = "mount";

/// Returns the id of a cache mount.
pub(crate) fn mount_of(kept: &KeptSnapshot) -> Option<&str> {
    (kept.key == MOUNT).then_some(kept.place.as_str())
}

/// Adds the cache mounts of a store, of one workspace or all, to its kept snapshots, least recently used first.
pub(crate) async fn with_mounts(
    mut kept: Vec<KeptSnapshot>,
    snapshots: &dyn SnapshotStore,
    workspace: Option<&str>,
) -> Vec<KeptSnapshot> {
    let Some(mounts) = snapshots.mounts() else { return kept };
    let engine = snapshots.name().await;
    kept.extend(mounts.kept(Some(engine), workspace).into_iter().map(|mount| KeptSnapshot {
        engine: engine.to_owned(),
        workspace: mount.record.workspace,
        key: MOUNT.to_owned(),
        step: String::new(),
        place: mount.id,
        bytes: mount.record.bytes,
        used_at: mount.record.used_at,
        sources: String::new(),
        sources_folder: mount.record.name,
    }));
    kept.sort_by_key(|kept| kept.used_at);
    kept
}

/// Returns the snapshots to remove. `kept` is sorted by last use, oldest first.
pub(super) fn surplus(kept: Vec<KeptSnapshot>, budget: Budget, now: i64) -> Vec<KeptSnapshot> {
    let mut bytes: u64 = kept.iter().map(|kept| kept.bytes).sum();
    let age = i64::try_from(budget.age.as_secs()).unwrap_or(i64::MAX);
    kept.into_iter()
        .take_while(|kept| {
            let goes = bytes > budget.bytes || now.saturating_sub(kept.used_at) > age;
            bytes = bytes.saturating_sub(kept.bytes);
            goes
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kept(key: &str, bytes: u64, used_at: i64) -> KeptSnapshot {
        KeptSnapshot {
            engine: String::new(),
            workspace: String::new(),
            key: key.into(),
            step: String::new(),
            place: String::new(),
            bytes,
            used_at,
            sources: String::new(),
            sources_folder: String::new(),
        }
    }

    fn keys(kept: Vec<KeptSnapshot>) -> Vec<String> {
        kept.into_iter().map(|kept| kept.key).collect()
    }

    #[test]
    fn the_least_recently_used_go_first_and_no_more_than_needed() {
        let all = vec![kept("a", 10, 1), kept("b", 10, 2), kept("c", 10, 3)];
        let budget = |bytes, age| Budget { bytes, age: Duration::from_secs(age) };
        assert_eq!(keys(surplus(all.clone(), budget(20, 100), 3)), ["a"]);
        assert_eq!(keys(surplus(all.clone(), budget(100, 0), 3)), ["a", "b"]);
        assert!(surplus(all, budget(30, 100), 3).is_empty());
    }
}
