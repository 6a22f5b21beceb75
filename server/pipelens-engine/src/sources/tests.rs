use std::fs;
use std::process::Command;

use super::*;

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn names(sources: &Sources) -> Vec<String> {
    sources.entries.iter().map(|entry| entry.path.to_string_lossy().into_owned()).collect()
}

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git").arg("-C").arg(folder).args(arguments).output().unwrap().status;
    assert!(status.success(), "git {arguments:?}");
}

#[test]
fn ignored_files_are_not_sent_and_hidden_files_are() {
    let folder = project(&[
        (".gitignore", "target/\n*.log\n"),
        (".env.example", "A=1"),
        ("src/main.rs", "fn main() {}"),
        ("src/.gitignore", "local.rs"),
        ("src/local.rs", ""),
        ("target/debug/a", ""),
        ("a.log", ""),
        (".pipelensignore", "docs/\n"),
        ("docs/a.md", ""),
        (".git/HEAD", ""),
    ]);
    let sources = Sources::scan(folder.path(), &CancellationToken::new()).unwrap();
    assert_eq!(
        names(&sources),
        [".env.example", ".gitignore", ".pipelensignore", "src", "src/.gitignore", "src/main.rs"]
    );
    assert_eq!(sources.summary(), "Sources: 5 files, 43 bytes, 4 ignored.");
}

#[test]
fn ignore_files_apply_even_without_a_repository() {
    let folder = project(&[(".gitignore", "out"), ("out/a", ""), ("in/a", "")]);
    assert_eq!(names(&Sources::scan(folder.path(), &CancellationToken::new()).unwrap()), [".gitignore", "in", "in/a"]);
}

#[test]
fn a_submodule_sends_what_it_tracks_although_its_rules_name_it() {
    let outer = project(&[
        (".gitignore", "vendor/\n"),
        ("sub/.gitignore", "gen/\n"),
        ("sub/gen/kept", ""),
        ("sub/gen/other", ""),
    ]);
    let root = outer.path();
    let commit = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"];
    for inner in ["sub", "vendor/lib"] {
        let inner = root.join(inner);
        fs::create_dir_all(inner.join("gen")).unwrap();
        fs::write(inner.join("gen/kept"), "").unwrap();
        git(&inner, &["init", "-q"]);
        git(&inner, &["add", "-f", "gen/kept"]);
        git(&inner, &commit);
    }
    git(root, &["init", "-q"]);
    git(root, &["add", "-f", ".gitignore", "sub", "vendor/lib"]);
    let sources = Sources::scan(root, &CancellationToken::new()).unwrap();
    let mut names = names(&sources);
    names.sort();
    let expected = [
        ".gitignore",
        "sub",
        "sub/.gitignore",
        "sub/gen",
        "sub/gen/kept",
        "vendor",
        "vendor/lib",
        "vendor/lib/gen",
        "vendor/lib/gen/kept",
    ];
    assert_eq!((names, sources.notes.len()), (expected.map(str::to_owned).to_vec(), 0));
}

#[test]
fn what_cannot_be_sent_is_named_once() {
    let folder = project(&[("a", "")]);
    for name in ["pipe1", "pipe2"] {
        let path = folder.path().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    let sources = Sources::scan(folder.path(), &CancellationToken::new()).unwrap();
    assert_eq!(names(&sources), ["a"]);
    assert_eq!(sources.notes, ["`pipe1`, `pipe2`, `socket` are not sent: not a file, a folder or a link."]);
}

#[test]
fn links_that_lead_out_are_recognised() {
    let folder = project(&[("deep/er/a", "")]);
    for (at, target, expected) in [
        ("one", "deep", false),
        ("deep/er/two", "../../deep", false),
        ("three", "/etc/passwd", false),
        ("deep/er/four", "../../../sibling", true),
        ("five", "..", true),
        ("six", "deep/../../x", true),
    ] {
        std::os::unix::fs::symlink(target, folder.path().join(at)).unwrap();
        let sources = Sources::scan(folder.path(), &CancellationToken::new()).unwrap();
        assert_eq!(sources.has_links_out, expected, "{at}");
        fs::remove_file(folder.path().join(at)).unwrap();
    }
}

#[test]
fn an_empty_folder_is_kept() {
    let folder = project(&[]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_eq!(names(&Sources::scan(folder.path(), &CancellationToken::new()).unwrap()), ["empty"]);
}

#[test]
fn a_tracked_file_is_sent_even_if_it_is_ignored() {
    let folder = project(&[(".gitignore", "gen/"), ("gen/kept.rs", ""), ("gen/other.rs", "")]);
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "-f", "gen/kept.rs"]);
    assert_eq!(
        names(&Sources::scan(folder.path(), &CancellationToken::new()).unwrap()),
        [".gitignore", "gen", "gen/kept.rs"]
    );
}

#[test]
fn a_missing_project_is_reported_with_its_path() {
    let error = Sources::scan(Path::new("/no/such/project"), &CancellationToken::new()).unwrap_err();
    assert!(error.to_string().contains("/no/such/project"), "{error}");
}

#[test]
fn a_rule_file_that_is_not_a_small_text_file_stops_the_scan_and_is_named() {
    let folder = project(&[("src/a", ""), ("b", "")]);
    for name in [".gitignore", "src/.gitignore", ".pipelensignore", ".git/info/exclude"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let scan = || {
            Sources::scan(folder.path(), &CancellationToken::new())
                .map(|sources| names(&sources))
                .map_err(|error| error.to_string())
        };
        let refused = |why: &str| {
            let error = scan().unwrap_err();
            assert!(error.contains(name) && error.contains(why), "{name}: {error}");
        };
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        refused(if name == ".git/info/exclude" { "out of the project" } else { "a symbolic link" });
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        refused("a named pipe");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "x\n".repeat(5_000)).unwrap();
        refused("5000 patterns");
        fs::write(&path, "a*b*c*\n".repeat(501)).unwrap();
        refused("501 patterns with several wildcards");
        fs::write(&path, "x".repeat(300_000)).unwrap();
        refused("longer than 262.1 kB");
        fs::remove_file(&path).unwrap();
        scan().unwrap();
    }
}

#[test]
fn an_index_cannot_name_files_outside_the_project() {
    let outer = tempfile::tempdir().unwrap();
    fs::write(outer.path().join("secret"), "token").unwrap();
    let root = outer.path().join("project");
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::write(root.join(".gitignore"), "*\n!.gitignore\n").unwrap();
    fs::write(root.join("kept"), "").unwrap();
    std::os::unix::fs::symlink("..", root.join("up")).unwrap();
    let absolute = outer.path().join("secret");
    let paths = [absolute.to_str().unwrap(), "../secret", "kept", "up/secret", ".git/config", "a/../../secret"];
    fs::write(root.join(".git/config"), "").unwrap();
    fs::write(root.join(".git/index"), index_of(&paths)).unwrap();
    let sources = Sources::scan(&root, &CancellationToken::new()).unwrap();
    assert_eq!(names(&sources), [".gitignore", "kept"]);
    assert_eq!(
        sources.notes,
        ["`up/secret` is not sent: git tracks it, but one of the folders in its path is now a symbolic link."]
    );
}

#[test]
fn a_small_index_that_expands_to_terabytes_is_refused() {
    let folder = project(&[(".git/HEAD", ""), ("a", "")]);
    let mut bytes = b"DIRC\0\0\0\x04".to_vec();
    bytes.extend(60_000_u32.to_be_bytes());
    for index in 0..60_000 {
        bytes.extend([0; 62]);
        // Each entry keeps the whole path of the one before.
        bytes.push(0);
        bytes.extend(if index == 0 { vec![b'a'; 4_000] } else { b"bbb".to_vec() });
        bytes.push(0);
    }
    bytes.extend([0; 20]);
    fs::write(folder.path().join(".git/index"), bytes).unwrap();
    let sources = Sources::scan(folder.path(), &CancellationToken::new()).unwrap();
    assert!(sources.notes[0].contains("its paths are longer than 67.1 MB in total"), "{:?}", sources.notes);
}

#[test]
fn the_rules_of_a_nested_repository_apply_inside_it() {
    let folder = project(&[(".git/HEAD", ""), ("in/.git/info/exclude", "secret"), ("in/secret", ""), ("secret", "")]);
    assert_eq!(names(&Sources::scan(folder.path(), &CancellationToken::new()).unwrap()), ["in", "secret"]);
}

#[test]
fn an_unreadable_index_is_reported() {
    let folder = project(&[(".git/index", "DIRC\0\0\0\u{2}\u{7f}\u{7f}\u{7f}\u{7f}"), ("a", "")]);
    let sources = Sources::scan(folder.path(), &CancellationToken::new()).unwrap();
    assert_eq!(names(&sources), ["a"]);
    assert!(sources.notes[0].starts_with("Git's index cannot be read ("), "{:?}", sources.notes);
}

#[test]
fn every_form_of_a_repository_is_read_without_git() {
    let outer = tempfile::tempdir().unwrap();
    let main = outer.path().join("main");
    let ignored_but_tracked = |folder: &Path| {
        fs::create_dir_all(folder.join("gen")).unwrap();
        fs::write(folder.join(".gitignore"), "gen/\n").unwrap();
        fs::write(folder.join("gen/kept.rs"), "").unwrap();
    };
    let expected = |folder: &Path| {
        let sources = Sources::scan(folder, &CancellationToken::new()).unwrap();
        assert_eq!(
            (names(&sources), sources.notes.len()),
            (vec![".gitignore".into(), "gen".into(), "gen/kept.rs".into()], 0)
        );
    };
    ignored_but_tracked(&main);
    git(&main, &["init", "-q"]);
    git(&main, &["add", "-f", "gen/kept.rs", ".gitignore"]);
    git(&main, &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]);
    expected(&main);
    for version in ["4", "3", "2"] {
        git(&main, &["update-index", "--index-version", version]);
        expected(&main);
    }
    // Most of a split index is in another file.
    git(&main, &["update-index", "--split-index"]);
    fs::write(main.join("gen/new.rs"), "").unwrap();
    git(&main, &["add", "-f", "gen/new.rs"]);
    let split = Sources::scan(&main, &CancellationToken::new()).unwrap();
    assert_eq!(names(&split), [".gitignore", "gen", "gen/kept.rs", "gen/new.rs"]);
    git(&main, &["rm", "-q", "--cached", "gen/new.rs"]);
    expected(&main);
    git(&main, &["update-index", "--no-split-index"]);
    let beside = outer.path().join("beside");
    git(&main, &["worktree", "add", "-q", beside.to_str().unwrap()]);
    expected(&beside);
    // A submodule: its repository is inside that of the enclosing project.
    let whole = outer.path().join("whole");
    fs::create_dir(&whole).unwrap();
    git(&whole, &["init", "-q"]);
    let url = main.to_str().unwrap();
    git(&whole, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, "part"]);
    expected(&whole.join("part"));
}

#[test]
fn a_pointer_to_an_unrelated_repository_is_not_followed() {
    let outer = tempfile::tempdir().unwrap();
    let other = outer.path().join("other");
    fs::create_dir(&other).unwrap();
    git(&other, &["init", "-q"]);
    fs::write(other.join("a"), "").unwrap();
    git(&other, &["add", "a"]);
    let root = outer.path().join("project");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), "").unwrap();
    fs::write(root.join(".gitignore"), "a").unwrap();
    for pointer in ["../other/.git", "../other/.git/worktrees/x", "/dev/zero", "nowhere"] {
        fs::write(root.join(".git"), format!("gitdir: {pointer}\n")).unwrap();
        let sources = Sources::scan(&root, &CancellationToken::new()).unwrap();
        assert_eq!(names(&sources), [".gitignore"], "{pointer}");
        // A directory inside the project is allowed, whether it exists or not.
        let is_said = sources.notes.iter().any(|note| note.starts_with("The git repository cannot be read ("));
        assert_eq!(is_said, pointer != "nowhere", "{pointer}: {:?}", sources.notes);
    }
}

/// An index that git would never write.
fn index_of(paths: &[&str]) -> Vec<u8> {
    let mut bytes = b"DIRC\0\0\0\x02".to_vec();
    bytes.extend((paths.len() as u32).to_be_bytes());
    for path in paths {
        let start = bytes.len();
        bytes.extend([0; 24]);
        bytes.extend(0o100_644_u32.to_be_bytes());
        bytes.extend([0; 32]);
        bytes.extend((path.len() as u16).to_be_bytes());
        bytes.extend(path.as_bytes());
        let length = bytes.len() - start;
        bytes.resize(start + (length / 8 + 1) * 8, 0);
    }
    bytes.extend([0; 20]);
    bytes
}
