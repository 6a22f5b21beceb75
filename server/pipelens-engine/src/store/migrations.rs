//! The store's tables, as a list of migrations. A released migration is never changed.
//!
//! Written by hand: `rusqlite_migration` 2.6 needs `rusqlite` 0.40, and two versions of that cannot be linked together.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::store_error::{Result, StoreError, corrupt_if_misshapen};

pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE snapshot (
        engine TEXT NOT NULL, workspace TEXT NOT NULL, key TEXT NOT NULL, step TEXT NOT NULL, place TEXT NOT NULL,
        bytes INTEGER NOT NULL, created_at INTEGER NOT NULL, used_at INTEGER NOT NULL,
        sources TEXT NOT NULL, sources_folder TEXT NOT NULL,
        PRIMARY KEY (engine, workspace, key)
    ) STRICT;
    CREATE TABLE sources (digest TEXT PRIMARY KEY, manifest BLOB NOT NULL) STRICT;
    CREATE TABLE inputs (
        workspace TEXT NOT NULL, pipeline TEXT NOT NULL, step TEXT NOT NULL, inputs TEXT NOT NULL,
        PRIMARY KEY (workspace, pipeline, step)
    ) STRICT;
    CREATE TABLE run (
        id TEXT PRIMARY KEY, workspace TEXT NOT NULL, pipeline TEXT NOT NULL,
        started_at INTEGER NOT NULL, duration_ms INTEGER NOT NULL, outcome TEXT NOT NULL
    ) STRICT;
    CREATE INDEX run_of_workspace ON run (workspace, id);
    CREATE TABLE run_step (
        run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE, position INTEGER NOT NULL,
        step TEXT NOT NULL, outcome TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT;
",
    "
    ALTER TABLE run_step ADD COLUMN digest TEXT;
",
];

/// Migrates a store to the current version. A store made by a later version is refused and left unchanged.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    // Immediate: of two processes that start at once, one waits and then finds the work done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done: usize = transaction.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))? as usize;
    if done > MIGRATIONS.len() {
        return Err(StoreError::LaterVersion);
    }
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration).map_err(corrupt_if_misshapen)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    Ok(transaction.commit()?)
}
