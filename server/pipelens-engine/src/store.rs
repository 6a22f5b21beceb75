//! What outlives a run: kept snapshots, the inputs of steps, the history. One SQLite file, shared by all processes of a user.
//! Losing it loses history and saved work, but never correctness: callers check that a snapshot still exists.

mod migrations;
mod opening;
pub(crate) mod store_error;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio_util::sync::CancellationToken;

use crate::blocking;
use crate::sources::Manifest;
use crate::store::store_error::Result;
pub use crate::store::store_error::StoreError;

/// How many runs of a workspace are remembered.
const KEPT_RUNS: u32 = 200;

#[derive(Debug)]
pub(crate) struct Store {
    state_dir: PathBuf,
    connection: Mutex<Connection>,
    notices: Mutex<Vec<String>>,
    /// A shared lock: `clean --all` does not remove the state folder while this is open.
    _in_use: File,
}

/// A filesystem that outlives its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptSnapshot {
    /// Which store it is in: an engine's id, or this machine.
    pub(crate) engine: String,
    pub(crate) workspace: String,
    pub(crate) key: String,
    pub(crate) step: String,
    /// An image's id or a directory.
    pub(crate) place: String,
    pub(crate) bytes: u64,
    /// Seconds since 1970.
    pub(crate) used_at: i64,
    /// The digest of the sources in it, see [`Store::sources`].
    pub(crate) sources: String,
    /// The directory of the sources in it.
    pub(crate) sources_folder: String,
}

/// One run in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    pub run_id: String,
    pub pipeline: String,
    /// Seconds since 1970.
    pub started_at: i64,
    pub duration_ms: i64,
    pub outcome: String,
    /// In file order.
    pub steps: Vec<PastStep>,
}

/// One step of a run in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastStep {
    pub key: String,
    pub outcome: String,
    /// The digest of the image it started from; `None` for a step that started from another step's files, or not at all.
    pub digest: Option<String>,
}

impl Store {
    /// Opens the store of a state folder. Creates it if it is missing, and replaces it if it is corrupt.
    pub(crate) fn open(state_dir: &Path) -> Result<Self> {
        let in_use = opening::use_folder(state_dir)?;
        let (connection, said) = opening::open(state_dir)?;
        Ok(Self {
            _in_use: in_use,
            state_dir: state_dir.to_owned(),
            connection: Mutex::new(connection),
            notices: Mutex::new(said.into_iter().collect()),
        })
    }

    /// Returns what the user should be told about the store itself, once.
    pub(crate) fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock())
    }

    /// Sets aside a store that turned out to be corrupt. The current call has failed; the next one uses a new store.
    fn renew(&self, error: &StoreError) {
        let mut connection = self.lock();
        // Closed before its file is renamed, because SQLite finds the files next to it by its name.
        match Connection::open_in_memory() {
            Ok(nothing) => *connection = nothing,
            Err(error) => return tracing::debug!(%error, "a corrupt store stays"),
        }
        match opening::set_aside(&self.state_dir, error) {
            Ok((new, said)) => {
                *connection = new;
                self.notices.lock().extend(said);
            }
            Err(error) => tracing::debug!(%error, "a corrupt store stays"),
        }
    }

    /// Uses the store on a thread that may block.
    pub(crate) async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = Arc::clone(self);
        let asked = move |_: &CancellationToken| {
            let result = work(&this);
            if let Err(error) = &result
                && error.is_corrupt()
            {
                this.renew(error);
            }
            result
        };
        blocking::run(asked).await?
    }

    pub(crate) fn snapshot(&self, engine: &str, workspace: &str, key: &str) -> Result<Option<KeptSnapshot>> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT * FROM snapshot WHERE engine = ?1 AND workspace = ?2 AND key = ?3")?;
        Ok(statement.query_row(params![engine, workspace, key], kept_snapshot).optional()?)
    }

    /// Returns the snapshots of an engine, of one workspace or all, least recently used first.
    pub(crate) fn snapshots(&self, engine: &str, workspace: Option<&str>) -> Result<Vec<KeptSnapshot>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM snapshot WHERE engine = ?1 AND (?2 IS NULL OR workspace = ?2) ORDER BY used_at, created_at",
        )?;
        Ok(statement.query_map(params![engine, workspace], kept_snapshot)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the snapshots of all engines and workspaces.
    pub(crate) fn all_snapshots(&self) -> Result<Vec<KeptSnapshot>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT * FROM snapshot")?;
        Ok(statement.query_map([], kept_snapshot)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Records a snapshot with the sources in it. Returns an older one with the same key: it can no longer be found by its key, but
    /// stays recorded until it is forgotten, because something may be built on it.
    pub(crate) fn keep(&self, kept: &KeptSnapshot, sources: &Manifest) -> Result<Option<KeptSnapshot>> {
        let before = self.snapshot(&kept.engine, &kept.workspace, &kept.key)?;
        let replaced = before
            .filter(|before| before.place != kept.place)
            .map(|before| KeptSnapshot { key: format!("replaced:{}", before.place), ..before });
        let connection = self.lock();
        if let Some(replaced) = &replaced {
            // A snapshot that had several keys keeps one record.
            connection
                .prepare_cached(
                    "UPDATE OR IGNORE snapshot SET key = ?4 WHERE engine = ?1 AND workspace = ?2 AND key = ?3",
                )?
                .execute(params![kept.engine, kept.workspace, kept.key, replaced.key])?;
        }
        let known: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM sources WHERE digest = ?1)")?
            .query_row([&kept.sources], |row| row.get(0))?;
        if !known {
            connection
                .prepare_cached("INSERT OR IGNORE INTO sources (digest, manifest) VALUES (?1, ?2)")?
                .execute(params![kept.sources, packed(sources)])?;
        }
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO snapshot
                 (engine, workspace, key, step, place, bytes, created_at, used_at, sources, sources_folder)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9)",
            )?
            .execute(params![
                kept.engine,
                kept.workspace,
                kept.key,
                kept.step,
                kept.place,
                i64::try_from(kept.bytes).unwrap_or(i64::MAX),
                kept.used_at,
                kept.sources,
                kept.sources_folder
            ])?;
        Ok(replaced)
    }

    pub(crate) fn mark_used(&self, kept: &KeptSnapshot, now: i64) -> Result<()> {
        let connection = self.lock();
        connection
            .prepare_cached("UPDATE snapshot SET used_at = ?4 WHERE engine = ?1 AND workspace = ?2 AND key = ?3")?
            .execute(params![kept.engine, kept.workspace, kept.key, now])?;
        Ok(())
    }

    /// Removes the record of a snapshot, and of sources that are no longer referenced.
    pub(crate) fn forget(&self, kept: &KeptSnapshot) -> Result<()> {
        let connection = self.lock();
        connection.execute(
            "DELETE FROM snapshot WHERE engine = ?1 AND workspace = ?2 AND key = ?3",
            params![kept.engine, kept.workspace, kept.key],
        )?;
        connection.execute("DELETE FROM sources WHERE digest NOT IN (SELECT sources FROM snapshot)", [])?;
        Ok(())
    }

    pub(crate) fn sources(&self, digest: &str) -> Result<Option<Manifest>> {
        let connection = self.lock();
        let packed: Option<Vec<u8>> = connection
            .query_row("SELECT manifest FROM sources WHERE digest = ?1", [digest], |row| row.get(0))
            .optional()?;
        Ok(packed.and_then(|packed| unpacked(&packed)))
    }

    /// Returns the inputs of a pipeline's steps from their last run.
    pub(crate) fn inputs(&self, workspace: &str, pipeline: &str) -> Result<BTreeMap<String, String>> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT step, inputs FROM inputs WHERE workspace = ?1 AND pipeline = ?2")?;
        let rows = statement.query_map(params![workspace, pipeline], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn remember_inputs(&self, workspace: &str, pipeline: &str, step: &str, inputs: &str) -> Result<()> {
        let connection = self.lock();
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO inputs (workspace, pipeline, step, inputs) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![workspace, pipeline, step, inputs])?;
        Ok(())
    }

    pub(crate) fn remember_run(&self, workspace: &str, run: &PastRun) -> Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT OR REPLACE INTO run (id, workspace, pipeline, started_at, duration_ms, outcome)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![run.run_id, workspace, run.pipeline, run.started_at, run.duration_ms, run.outcome],
        )?;
        for (position, step) in run.steps.iter().enumerate() {
            transaction.execute(
                "INSERT OR REPLACE INTO run_step (run, position, step, outcome, digest) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![run.run_id, i64::try_from(position).unwrap_or(i64::MAX), step.key, step.outcome, step.digest],
            )?;
        }
        transaction.execute(
            "DELETE FROM run WHERE workspace = ?1 AND id NOT IN
             (SELECT id FROM run WHERE workspace = ?1 ORDER BY id DESC LIMIT ?2)",
            params![workspace, KEPT_RUNS],
        )?;
        Ok(transaction.commit()?)
    }

    /// Returns the runs of a workspace, newest first.
    pub(crate) fn runs(&self, workspace: &str) -> Result<Vec<PastRun>> {
        let connection = self.lock();
        let mut runs = connection.prepare_cached("SELECT * FROM run WHERE workspace = ?1 ORDER BY id DESC")?;
        let mut steps =
            connection.prepare_cached("SELECT step, outcome, digest FROM run_step WHERE run = ?1 ORDER BY position")?;
        let runs = runs.query_map([workspace], |row| {
            Ok(PastRun {
                run_id: row.get("id")?,
                pipeline: row.get("pipeline")?,
                started_at: row.get("started_at")?,
                duration_ms: row.get("duration_ms")?,
                outcome: row.get("outcome")?,
                steps: Vec::new(),
            })
        })?;
        runs.map(|run| {
            let mut run = run?;
            let step = |row: &Row<'_>| Ok(PastStep { key: row.get(0)?, outcome: row.get(1)?, digest: row.get(2)? });
            run.steps = steps.query_map([&run.run_id], step)?.collect::<rusqlite::Result<_>>()?;
            Ok(run)
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock()
    }
}

fn kept_snapshot(row: &Row<'_>) -> rusqlite::Result<KeptSnapshot> {
    Ok(KeptSnapshot {
        engine: row.get("engine")?,
        workspace: row.get("workspace")?,
        key: row.get("key")?,
        step: row.get("step")?,
        place: row.get("place")?,
        bytes: u64::try_from(row.get::<_, i64>("bytes")?).unwrap_or(0),
        used_at: row.get("used_at")?,
        sources: row.get("sources")?,
        sources_folder: row.get("sources_folder")?,
    })
}

/// Paths are repetitive: compressed, they take a tenth of the space.
fn packed(manifest: &Manifest) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let json = serde_json::to_vec(manifest).unwrap_or_default();
    encoder.write_all(&json).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn unpacked(packed: &[u8]) -> Option<Manifest> {
    let mut json = Vec::new();
    ZlibDecoder::new(packed).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests;
