use super::*;

fn kept(workspace: &str, key: &str, used_at: i64) -> KeptSnapshot {
    KeptSnapshot {
        engine: "engine".into(),
        workspace: workspace.into(),
        key: key.into(),
        step: "build".into(),
        place: format!("sha256:{key}"),
        bytes: 10,
        used_at,
        sources: "digest".into(),
        sources_folder: "/workspace".into(),
    }
}

#[test]
fn a_snapshot_is_found_by_its_key_only_in_its_own_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.keep(&kept("here", "a", 1), &Manifest::default()).unwrap();
    assert_eq!(store.snapshot("engine", "here", "a").unwrap(), Some(kept("here", "a", 1)));
    assert_eq!(store.snapshot("engine", "there", "a").unwrap(), None);
    assert_eq!(store.snapshot("another", "here", "a").unwrap(), None);
    assert_eq!(store.sources("digest").unwrap(), Some(Manifest::default()));
    store.forget(&kept("here", "a", 1)).unwrap();
    assert_eq!(store.snapshot("engine", "here", "a").unwrap(), None);
    assert_eq!(store.sources("digest").unwrap(), None);
}

#[test]
fn the_most_recently_used_snapshot_is_removed_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for (key, used_at) in [("a", 1), ("b", 2)] {
        store.keep(&kept("here", key, used_at), &Manifest::default()).unwrap();
    }
    store.mark_used(&kept("here", "a", 1), 3).unwrap();
    let keys = |store: &Store| -> Vec<String> {
        store.snapshots("engine", Some("here")).unwrap().into_iter().map(|kept| kept.key).collect()
    };
    assert_eq!(keys(&store), ["b", "a"]);
}

#[test]
fn a_replaced_snapshot_stays_recorded_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let old = |key: &str| KeptSnapshot { place: "old".into(), ..kept("here", key, 1) };
    for key in ["cache", "fit"] {
        assert_eq!(store.keep(&old(key), &Manifest::default()).unwrap(), None);
    }
    for key in ["cache", "fit"] {
        let replaced = store.keep(&kept("here", key, 2), &Manifest::default()).unwrap();
        assert_eq!(replaced, Some(old("replaced:old")));
        assert_eq!(store.snapshot("engine", "here", key).unwrap(), Some(kept("here", key, 2)));
    }
    let places = || store.snapshots("engine", None).unwrap().into_iter().map(|kept| kept.place).collect::<Vec<_>>();
    assert_eq!(places(), ["old", "sha256:cache", "sha256:fit"]);
    store.forget(&old("replaced:old")).unwrap();
    assert_eq!(places(), ["sha256:cache", "sha256:fit"]);
}

#[test]
fn two_processes_share_a_store_and_neither_loses_anything() {
    let folder = tempfile::tempdir().unwrap();
    let write = |half: usize| {
        let store = Store::open(folder.path()).unwrap();
        for number in 0..50 {
            store.keep(&kept("here", &format!("{half}-{number}"), 1), &Manifest::default()).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| write(1));
        scope.spawn(|| write(2));
    });
    assert_eq!(Store::open(folder.path()).unwrap().snapshots("engine", None).unwrap().len(), 100);
}

/// The first process sets up the file, and SQLite would not wait for that by itself.
#[test]
fn processes_that_open_a_new_store_at_the_same_time_wait_for_each_other() {
    const AT_ONCE: usize = 8;
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(AT_ONCE);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    start.wait();
                    Store::open(folder.path()).unwrap();
                });
            }
        });
    }
}

#[test]
fn runs_are_remembered_up_to_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for number in 0..KEPT_RUNS + 5 {
        let run = PastRun {
            run_id: format!("{number:04}"),
            pipeline: "ci".into(),
            started_at: 1,
            duration_ms: 2,
            outcome: "succeeded".into(),
            steps: vec![built()],
        };
        store.remember_run("here", &run).unwrap();
    }
    let runs = store.runs("here").unwrap();
    assert_eq!(runs.len(), KEPT_RUNS as usize);
    assert_eq!(runs[0].run_id, "0204");
    assert_eq!(runs[0].steps, [built()]);
}

fn built() -> PastStep {
    PastStep { key: "build".into(), outcome: "succeeded".into(), digest: Some("alpine@sha256:00".into()) }
}

#[test]
fn a_store_of_the_first_version_keeps_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("pipelens.db")).unwrap();
    connection.execute_batch(migrations::MIGRATIONS[0]).unwrap();
    connection
        .execute_batch(
            "INSERT INTO run VALUES ('1', 'here', 'ci', 1, 2, 'failed');
             INSERT INTO run_step VALUES ('1', 0, 'build', 'failed'); PRAGMA user_version = 1;",
        )
        .unwrap();
    let runs = Store::open(folder.path()).unwrap().runs("here").unwrap();
    assert_eq!(runs[0].steps, [PastStep { key: "build".into(), outcome: "failed".into(), digest: None }]);
}

#[test]
fn a_store_of_a_later_version_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.lock().pragma_update(None, "user_version", 1_000).unwrap();
    assert!(Store::open(folder.path()).unwrap_err().to_string().contains("later version"));
}

#[test]
fn a_corrupt_store_is_set_aside_and_replaced() {
    assert_set_aside(&[
        ("garbage", |path| std::fs::write(path, b"no database, whatever its name says".repeat(200)).unwrap()),
        ("cut short", |path| {
            let length = path.metadata().unwrap().len();
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length / 2 + 100).unwrap();
        }),
        ("damaged inside", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            // The first page describes the others.
            bytes[4096..].fill(0x5a);
            std::fs::write(path, bytes).unwrap();
        }),
        ("another program's", |path| {
            std::fs::remove_file(path).unwrap();
            let connection = Connection::open(path).unwrap();
            connection.execute_batch("CREATE TABLE cookies (a); PRAGMA user_version = 2;").unwrap();
        }),
        ("a shape of its own", |path| {
            let connection = Connection::open(path).unwrap();
            connection.execute_batch("PRAGMA user_version = 0;").unwrap();
        }),
    ]);
}

/// Nothing is read: a pipe would wait forever, and a device has no end.
#[cfg(unix)]
#[test]
fn a_store_that_is_not_a_regular_file_is_set_aside_too() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    fn pipe(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    }
    assert_set_aside(&[
        ("a folder", |path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
        ("a pipe", |path| {
            std::fs::remove_file(path).unwrap();
            pipe(path);
        }),
        ("a device", |path| {
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        }),
        ("a pipe for its log", |path| pipe(&path.with_extension("db-wal"))),
        ("a folder for its journal", |path| std::fs::create_dir(path.with_extension("db-journal")).unwrap()),
    ]);
}

/// What is done to a store's file, with its name.
type Damage = (&'static str, fn(&Path));

fn assert_set_aside(damages: &[Damage]) {
    for (damage, damaged) in damages {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipelens.db");
        let store = Store::open(folder.path()).unwrap();
        store.keep(&kept("here", "a", 1), &Manifest::default()).unwrap();
        store.lock().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(store);
        damaged(&path);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.snapshot("engine", "here", "a").unwrap(), None, "{damage}");
        let said = store.take_notices();
        assert_eq!(said.len(), 1, "{damage}: {said:?}");
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        let aside =
            names.iter().find(|name| name.starts_with("pipelens.db.corrupt-") && name.ends_with(char::is_numeric));
        let aside = aside.unwrap_or_else(|| panic!("{damage}: {names:?}"));
        assert!(said[0].contains(aside.as_str()), "{said:?}");
        drop(store);
        assert!(Store::open(folder.path()).unwrap().take_notices().is_empty(), "{damage}: once");
    }
}

#[tokio::test]
async fn corruption_that_is_noticed_later_sets_the_store_aside_then() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path()).unwrap());
    let corrupt = |_: &Store| -> Result<()> { Err(StoreError::Corrupt { reason: "damaged".into() }) };
    // Only the file itself matters, and this one is intact.
    store.with(corrupt).await.unwrap_err();
    assert!(store.take_notices().is_empty());
    let path = folder.path().join("pipelens.db");
    store.lock().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    store.with(corrupt).await.unwrap_err();
    assert_eq!(store.take_notices().len(), 1);
    store.keep(&kept("here", "a", 1), &Manifest::default()).unwrap();
    assert!(store.snapshot("engine", "here", "a").unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn other_users_cannot_read_a_store() {
    use std::os::unix::fs::MetadataExt as _;

    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path().join("state/of/mine");
    let store = Store::open(&state_dir).unwrap();
    store.keep(&kept("here", "a", 1), &Manifest::default()).unwrap();
    assert_eq!(state_dir.metadata().unwrap().mode() & 0o777, 0o700);
    let files: Vec<_> = std::fs::read_dir(&state_dir).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(files.len() >= 3, "the store, its log and its index: {files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{file:?}");
    }
}
