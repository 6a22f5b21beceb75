//! Opens the file of a store: closed to other users from its creation, made if it is missing, set aside if it is corrupt.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, ffi};

use super::{Result, migrations};
use crate::cache::seconds_now;
use crate::private;

const FILE_NAME: &str = "pipelens.db";
/// What SQLite keeps beside a file.
const COMPANIONS: [&str; 4] = ["", "-wal", "-shm", "-journal"];
/// Another process that writes is done in milliseconds; one that hangs must not hold us for ever.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// A larger file is not read through at every start: what is wrong with it shows when it is used.
const CHECKED_BYTES: u64 = 16 << 20;

/// Opens the store of a state folder. With it comes a sentence about a corrupt one, if that had to be set aside.
pub(super) fn open(state_dir: &Path) -> Result<(Connection, Option<String>)> {
    private::create_folder(state_dir).map_err(|error| unusable(state_dir, &error))?;
    match connect(state_dir) {
        Err(error) if is_corrupt(&error) => set_aside(state_dir, &error),
        opened => opened.map(|connection| (connection, None)),
    }
}

/// Whether an error says that the file is not what it should be.
pub(crate) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames a corrupt store and makes a new one.
pub(super) fn set_aside(state_dir: &Path, error: &rusqlite::Error) -> Result<(Connection, Option<String>)> {
    let path = state_dir.join(FILE_NAME);
    // Of two processes that find it corrupt, the second must not set aside what the first has made.
    let lock = private::create_file(&path.with_extension("lock")).map_err(|error| unusable(state_dir, &error))?;
    lock.lock().map_err(|error| unusable(state_dir, &error))?;
    match connect(state_dir) {
        Err(error) if is_corrupt(&error) => {}
        opened => return opened.map(|connection| (connection, None)),
    }
    let aside = free_name(&path);
    for companion in COMPANIONS {
        match std::fs::rename(with_suffix(&path, companion), with_suffix(&aside, companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(state_dir, &error)),
            Ok(()) | Err(_) => {}
        }
    }
    let said = format!(
        "The memory of earlier runs, `{}`, was corrupt ({error}). It is kept as `{}`, and a new one has begun.",
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
    // SQLite would make it readable for all, and what it keeps beside it has the same mode.
    private::touch(&path).map_err(|error| unusable(&path, &error))?;
    for companion in COMPANIONS {
        private::close_file(&with_suffix(&path, companion));
    }
    let mut connection = Connection::open(&path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    journal_ahead(&connection)?;
    // A lost last transaction costs a cache entry; waiting for the disk costs every step.
    connection.pragma_update(None, "synchronous", "normal")?;
    migrations::migrate(&mut connection).map_err(corrupt_if_misshapen)?;
    check(&connection, &path)?;
    Ok(connection)
}

/// Opening a pipe waits for a writer, and a device has no end. A link to a file is fine: somebody keeps it elsewhere.
fn refuse_unless_regular(path: &Path) -> Result<()> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(corrupt("it is not a regular file".into())),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A file of SQLite's that is not ours, or is damaged inside, counts as corrupt.
fn check(connection: &Connection, path: &Path) -> Result<()> {
    for table in ["snapshot", "sources", "inputs", "run", "run_step"] {
        connection.prepare(&format!("SELECT * FROM {table}")).map(drop).map_err(corrupt_if_misshapen)?;
    }
    if path.metadata().is_ok_and(|metadata| metadata.len() > CHECKED_BYTES) {
        return Ok(());
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(corrupt(verdict.lines().last().unwrap_or_default().to_owned())) }
}

fn corrupt_if_misshapen(error: rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => corrupt(msg),
        rusqlite::Error::SqliteFailure(failure, reason) if failure.code == ErrorCode::Unknown => {
            corrupt(reason.unwrap_or_else(|| failure.to_string()))
        }
        other => other,
    }
}

fn corrupt(reason: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(reason))
}

fn unusable(path: &Path, error: &io::Error) -> rusqlite::Error {
    let reason = format!("`{}`: {error}", path.display());
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(reason))
}

/// Returns a name beside the store's that nothing has yet.
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

/// Has the store write ahead. While another process changes that of a new file SQLite calls it busy at once, whatever the timeout.
fn journal_ahead(connection: &Connection) -> Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if is_busy(&error) && Instant::now() < deadline => std::thread::sleep(BUSY_PAUSE),
            changed => return changed,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}
