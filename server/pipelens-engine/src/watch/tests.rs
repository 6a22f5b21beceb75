use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(folder.path(), path, text);
    }
    folder
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

async fn open(root: &Path, also: &[&str], except: &[&str]) -> Watch {
    let below = |paths: &[&str]| paths.iter().map(|path| root.join(path)).collect();
    let request = WatchRequest { root: root.to_owned(), also: below(also), except: below(except) };
    Watch::open(request).await.unwrap()
}

/// Returns everything that changes until a file with this name does.
async fn changed_until(watch: &mut Watch, last: &str) -> Vec<PathBuf> {
    let mut all = BTreeSet::new();
    while !all.contains(Path::new(last)) {
        watch.changed().await;
        all.extend(watch.take().changed);
    }
    all.into_iter().collect()
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

#[tokio::test]
async fn what_is_ignored_excepted_or_written_again_unchanged_does_not_count() {
    let files = [
        (".pipelensignore", "*.log\ntarget/\nci/\n"),
        ("src/a.rs", "a"),
        ("secrets.env", "A=1"),
        ("target/x.o", ""),
        ("ci/pipeline.yml", "1"),
    ];
    let folder = project(&files);
    let root = folder.path();
    let mut watch = open(root, &["ci/pipeline.yml"], &["secrets.env"]).await;
    assert_eq!(watch.files(), 3, "the rules, one source and the pipeline");
    assert!(watch.exceptions().add(&root.join("out")));
    assert!(!watch.exceptions().add(&root.join("out/deeper")), "it is known");
    assert!(!watch.exceptions().add(Path::new("/elsewhere")), "it is not inside");
    for (path, text) in [
        ("a.log", "1"),
        ("src/deep/b.log", "1"),
        ("target/y.o", "1"),
        ("out/report.txt", "1"),
        ("secrets.env", "A=2"),
        ("src/a.rs", "a"),
        ("ci/other.yml", "1"),
    ] {
        write(root, path, text);
    }
    write(root, "src/z.rs", "");
    assert_eq!(changed_until(&mut watch, "src/z.rs").await, paths(&["src/z.rs"]));
    write(root, "ci/pipeline.yml", "2");
    assert_eq!(changed_until(&mut watch, "ci/pipeline.yml").await, paths(&["ci/pipeline.yml"]));
    fs::remove_file(root.join("src/a.rs")).unwrap();
    assert_eq!(changed_until(&mut watch, "src/a.rs").await, paths(&["src/a.rs"]));
}

#[tokio::test]
async fn folders_that_are_new_renamed_or_replaced_are_watched() {
    let folder = project(&[("a/in/one", "1")]);
    let root = folder.path();
    let mut watch = open(root, &[], &[]).await;
    write(root, "b/new/deep/two", "1");
    changed_until(&mut watch, "b/new/deep/two").await;
    write(root, "b/new/deep/two", "22");
    changed_until(&mut watch, "b/new/deep/two").await;
    fs::rename(root.join("a"), root.join("c")).unwrap();
    assert_eq!(changed_until(&mut watch, "c/in/one").await, paths(&["a/in/one", "c/in/one"]));
    write(root, "c/in/one", "22");
    changed_until(&mut watch, "c/in/one").await;
    for text in ["333", "4444", "55555"] {
        fs::remove_dir_all(root.join("c")).unwrap();
        write(root, "c/in/one", text);
        changed_until(&mut watch, "c/in/one").await;
        write(root, "c/in/one", "again");
        changed_until(&mut watch, "c/in/one").await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_not_followed_out_of_the_project() {
    let outside = project(&[("kept", "1")]);
    let folder = project(&[("a", "1")]);
    let root = folder.path();
    std::os::unix::fs::symlink(outside.path(), root.join("link")).unwrap();
    let mut watch = open(root, &["link/kept"], &[]).await;
    write(outside.path(), "kept", "22");
    write(outside.path(), "other", "1");
    write(root, "a", "22");
    assert_eq!(changed_until(&mut watch, "a").await, paths(&["a"]));
}

#[tokio::test]
async fn a_state_that_was_taken_is_not_reported_again() {
    let folder = project(&[("a", "1")]);
    let mut watch = open(folder.path(), &[], &[]).await;
    assert!(!watch.has_changed());
    for round in 0..20 {
        // Two files, and the folder they are in: one change.
        for name in ["one", "two"] {
            write(folder.path(), &format!("b/{round}/{name}"), "");
        }
        let (one, two) = (format!("b/{round}/one"), format!("b/{round}/two"));
        assert_eq!(changed_until(&mut watch, &two).await, paths(&[&one, &two]));
        watch.settled().await;
        assert!(!watch.has_changed());
    }
}
