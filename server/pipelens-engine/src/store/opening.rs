//! Opens a store's file: private from its creation, created if it is missing, set aside if it is corrupt.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::clock::seconds_now;
use crate::store::migrations;
use crate::store::store_error::{Result, StoreError, corrupt_if_misshapen};
use crate::{locked_folder, private};

const FILE_NAME: &str = "pipelens.db";
/// The suffixes of the files that SQLite keeps next to a database.
const COMPANIONS: [&str; 4] = ["", "-wal", "-shm", "-journal"];
/// Another process finishes writing within milliseconds; one that hangs must not block us forever.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// A larger file is not checked completely at every start; damage is noticed when it is used.
const CHECKED_BYTES: u64 = 16 << 20;

/// Opens the store of a state directory. Also returns a sentence about a corrupt store, if one had to be set aside.
pub(super) fn open(state_dir: &Path) -> Result<(Connection, Option<String>)> {
    private::create_folder(state_dir).map_err(|source| inaccessible(state_dir, source))?;
    match connect(state_dir) {
        Err(error) if error.is_corrupt() => set_aside(state_dir, &error),
        opened => opened.map(|connection| (connection, None)),
    }
}

/// Holds the state directory, which is created if it is missing, until the file is closed.
pub(super) fn use_folder(state_dir: &Path) -> Result<File> {
    locked_folder::share(state_dir).map_err(|source| inaccessible(state_dir, source))
}

/// Renames a corrupt store and creates a new one.
pub(super) fn set_aside(state_dir: &Path, error: &StoreError) -> Result<(Connection, Option<String>)> {
    let path = state_dir.join(FILE_NAME);
    // If two processes find it corrupt, the second must not set aside the new store of the first.
    let lock = private::create_file(&path.with_extension("lock")).map_err(|source| inaccessible(state_dir, source))?;
    lock.lock().map_err(|source| inaccessible(state_dir, source))?;
    match connect(state_dir) {
        Err(error) if error.is_corrupt() => {}
        opened => return opened.map(|connection| (connection, None)),
    }
    let aside = free_name(&path);
    for companion in COMPANIONS {
        match std::fs::rename(with_suffix(&path, companion), with_suffix(&aside, companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(inaccessible(state_dir, error)),
            Ok(()) | Err(_) => {}
        }
    }
    let said = format!(
        "The database of earlier runs, `{}`, was corrupt ({error}). It was renamed to `{}`, and a new one was created.",
        path.display(),
        aside.display()
    );
    connect(state_dir).map(|connection| (connection, Some(said)))
}

fn connect(state_dir: &Path) -> Result<Connection> {
    let path = state_dir.join(FILE_NAME);
    for companion in COMPANIONS {
        refuse_unless_regular(&with_suffix(&path, companion))?;
    }
    // SQLite would make it readable for everyone, and the files next to it get the same mode.
    private::touch(&path).map_err(|source| inaccessible(&path, source))?;
    for companion in COMPANIONS {
        private::close_file(&with_suffix(&path, companion));
    }
    let mut connection = Connection::open(&path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    journal_ahead(&connection)?;
    // Losing the last transaction costs a cache entry; waiting for the disk would cost time in every step.
    connection.pragma_update(None, "synchronous", "normal")?;
    migrations::migrate(&mut connection)?;
    check(&connection, &path)?;
    Ok(connection)
}

/// Opening a pipe would wait for a writer, and a device has no end. A link to a file is fine: the user keeps the file elsewhere.
fn refuse_unless_regular(path: &Path) -> Result<()> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(StoreError::Corrupt { reason: "it is not a regular file".into() }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// An SQLite file that is not ours, or is damaged inside, counts as corrupt.
fn check(connection: &Connection, path: &Path) -> Result<()> {
    for table in ["snapshot", "sources", "inputs", "run", "run_step"] {
        connection.prepare(&format!("SELECT * FROM {table}")).map(drop).map_err(corrupt_if_misshapen)?;
    }
    if path.metadata().is_ok_and(|metadata| metadata.len() > CHECKED_BYTES) {
        return Ok(());
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt { reason: verdict.lines().last().unwrap_or_default().to_owned() })
}

fn inaccessible(path: &Path, source: io::Error) -> StoreError {
    StoreError::Inaccessible { path: path.to_owned(), source }
}

/// Returns an unused name in the store's directory.
fn free_name(path: &Path) -> PathBuf {
    let now = seconds_now();
    let names = (0..).map(|number| with_suffix(path, &format!(".corrupt-{}", now + number)));
    names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| with_suffix(path, ".corrupt"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Turns on write-ahead logging. While another process does that for a new file, SQLite reports it as busy at once, regardless of the timeout.
fn journal_ahead(connection: &Connection) -> Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if is_busy(&error) && Instant::now() < deadline => std::thread::sleep(BUSY_PAUSE),
            changed => return Ok(changed?),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}
