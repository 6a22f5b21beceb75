//! The results that earlier runs of a workspace have kept: looks them up, records them, and keeps them within a budget. Knows no plan.

use std::sync::Arc;

use crate::cache::cache_request::Budget;
use crate::cache::eviction;
use crate::cache::keys::LAST;
use crate::clock::seconds_now;
use crate::fingerprint::short_name;
use crate::mounts::EVERY_WORKSPACE;
use crate::snapshot::{Hit, Outdated, Saved, SnapshotStore};
use crate::sources::Manifest;
use crate::store::{KeptSnapshot, Store, StoreError};

/// The kept results of one workspace, as one run sees them.
#[derive(Debug)]
pub(crate) struct KeptResults {
    pub(super) store: Arc<Store>,
    pub(super) workspace: String,
    /// Identifies the state directory, so that processes with another one leave its snapshots alone.
    pub(super) cache_name: String,
    pub(super) is_read: bool,
    pub(super) budget: Budget,
    pub(super) manifest: Arc<Manifest>,
    pub(super) sources_digest: String,
}

/// What becomes of what had a key that is recorded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    IsRemoved,
    /// It was kept for nothing else, whatever other keys it has.
    IsRemovedWithAllKeys,
    /// It is still found by them.
    KeepsOtherKeys,
}

impl KeptResults {
    /// Returns a kept snapshot, if it is still there.
    pub(super) async fn find(&self, key: &str, snapshots: &dyn SnapshotStore) -> Result<Option<Hit>, StoreError> {
        let (engine, workspace, key) = (snapshots.name().await.to_owned(), self.workspace.clone(), key.to_owned());
        let Some(kept) = self.store.with(move |store| store.snapshot(&engine, &workspace, &key)).await? else {
            return Ok(None);
        };
        match snapshots.exists(&kept.place).await {
            Some(true) => {}
            Some(false) => {
                self.store.with(move |store| store.forget(&kept)).await?;
                return Ok(None);
            }
            None => return Ok(None),
        }
        let outdated = if kept.sources == self.sources_digest {
            None
        } else {
            let digest = kept.sources.clone();
            let Some(manifest) = self.store.with(move |store| store.sources(&digest)).await? else {
                // Without the old list, it is unknown which files have to be removed.
                self.store.with(move |store| store.forget(&kept)).await?;
                return Ok(None);
            };
            Some(Outdated { manifest: Arc::new(manifest), folder: kept.sources_folder.clone() })
        };
        let place = kept.place.clone();
        self.store.with(move |store| store.mark_used(&kept, seconds_now())).await?;
        Ok(Some(Hit { place, outdated }))
    }

    /// Whether a step has a last result, made from whatever it started from then.
    pub(super) async fn has_last(&self, step: &str, snapshots: &dyn SnapshotStore) -> Result<bool, StoreError> {
        let (engine, workspace) = (snapshots.name().await.to_owned(), self.workspace.clone());
        let kept = self.store.with(move |store| store.snapshots(&engine, Some(&workspace))).await?;
        Ok(kept.iter().any(|kept| kept.step == step && kept.key.starts_with(LAST)))
    }

    /// Records a filesystem that has the current sources in one of its directories. `before` says what becomes of what had the key until now.
    pub(super) async fn record(
        &self,
        (key, before): (String, Before),
        step: &str,
        saved: Saved,
        sources_folder: &str,
        snapshots: &dyn SnapshotStore,
    ) -> Result<(), StoreError> {
        let sources = (Arc::clone(&self.manifest), self.sources_digest.clone());
        self.record_with((key, before), step, saved, (sources, sources_folder), snapshots).await
    }

    /// Like `record`, with these sources.
    pub(super) async fn record_with(
        &self,
        (key, before): (String, Before),
        step: &str,
        saved: Saved,
        ((manifest, sources_digest), sources_folder): ((Arc<Manifest>, String), &str),
        snapshots: &dyn SnapshotStore,
    ) -> Result<(), StoreError> {
        let kept = KeptSnapshot {
            engine: snapshots.name().await.to_owned(),
            workspace: self.workspace.clone(),
            key,
            step: step.to_owned(),
            place: saved.place,
            bytes: saved.bytes,
            used_at: seconds_now(),
            sources: sources_digest,
            sources_folder: sources_folder.to_owned(),
        };
        let replaced = self.store.with(move |store| store.keep(&kept, &manifest)).await?;
        let Some(replaced) = replaced else { return Ok(()) };
        // A snapshot that something still starts from, or is built on, stays until the budget requires its removal.
        match before {
            Before::IsRemoved => eviction::remove(&self.store, snapshots, vec![replaced]).await.map(drop),
            Before::IsRemovedWithAllKeys => {
                let (engine, workspace) = (replaced.engine.clone(), self.workspace.clone());
                let mut all = self.store.with(move |store| store.snapshots(&engine, Some(&workspace))).await?;
                all.retain(|kept| kept.place == replaced.place);
                eviction::remove(&self.store, snapshots, all).await.map(drop)
            }
            Before::KeepsOtherKeys => self.store.with(move |store| store.forget(&replaced)).await,
        }
    }

    /// Removes snapshots that are too old or exceed the budget, least recently used first.
    pub(super) async fn keep_within_budget(&self, snapshots: &dyn SnapshotStore) -> Result<(), StoreError> {
        let (engine, workspace) = (snapshots.name().await.to_owned(), self.workspace.clone());
        let kept = self.store.with(move |store| store.snapshots(&engine, Some(&workspace))).await?;
        let kept = eviction::with_mounts(kept, snapshots, Some(&self.workspace)).await;
        let mut surplus = eviction::surplus(kept, self.budget, seconds_now());
        let shared = eviction::with_mounts(Vec::new(), snapshots, Some(EVERY_WORKSPACE)).await;
        surplus.extend(eviction::surplus(shared, self.budget, seconds_now()));
        eviction::remove(&self.store, snapshots, surplus).await.map(drop)
    }

    /// Removes snapshots that were made to be kept but were never recorded: a process was killed, or a run cancelled, in between.
    pub(super) async fn remove_unrecorded(&self, snapshots: &dyn SnapshotStore) -> Result<(), StoreError> {
        let engine = snapshots.name().await.to_owned();
        let kept = self.store.with(move |store| store.snapshots(&engine, None)).await?;
        let places = kept.into_iter().map(|kept| kept.place).collect();
        snapshots.sweep(&self.cache_name, &places).await;
        Ok(())
    }
}

/// Images that hold the sources of one workspace, for later runs. Does not know how they are made.
#[derive(Debug, Clone)]
pub(crate) struct SourceImages(pub(super) Arc<KeptResults>);

impl SourceImages {
    /// Returns the latest image with the same base, if it still exists. If the store cannot be read, the run only takes longer.
    pub(crate) async fn find(&self, ground: &str, snapshots: &dyn SnapshotStore) -> Option<Hit> {
        if !self.0.is_read {
            return None;
        }
        self.0.find(&key(ground), snapshots).await.ok().flatten()
    }

    /// Replaces the image with the same base by one that has the current sources in `folder`.
    pub(crate) async fn replace(
        &self,
        ground: &str,
        saved: Saved,
        folder: &str,
        snapshots: &dyn SnapshotStore,
    ) -> Result<(), StoreError> {
        self.0.record((key(ground), Before::IsRemoved), "", saved, folder, snapshots).await
    }
}

fn key(ground: &str) -> String {
    format!("sources:{}", short_name(ground))
}
