use std::fs;
use std::path::Path;

use super::taking::Taking;
use super::*;

fn artifacts(patterns: &[&str], target: &Path) -> Artifacts {
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    limited(&patterns, target, u64::MAX)
}

fn limited(patterns: &[String], target: &Path, limit: u64) -> Artifacts {
    Artifacts::new(patterns, target.to_owned(), Default::default(), Room::new(limit, 0), limit).unwrap()
}

fn from_folder(artifacts: &Artifacts, folder: &Path) -> Taken {
    let mut taking = Taking::new(artifacts.clone(), vec![folder.to_owned()]);
    taking.take_from_folder(folder).unwrap();
    taking.finish().unwrap()
}

/// The engine has nothing else than this archive.
fn from_archive(artifacts: &Artifacts, place: &str, archive: &[u8]) -> Taken {
    let mut taking = Taking::new(artifacts.clone(), vec!["/workspace".into()]);
    taking.take_from_archive(place, archive).unwrap();
    taking.follow_links();
    while let Some(original) = taking.next_original() {
        taking.take_original_from_archive(original, io::empty()).unwrap();
    }
    taking.finish().unwrap()
}

#[test]
fn only_directories_that_can_contain_a_match_are_searched() {
    let places = |patterns: &[&str]| artifacts(patterns, Path::new("/t")).places();
    assert_eq!(places(&["target/release/app", "dist/*.tgz", "dist/deep/x"]), ["dist", "target/release/app"]);
    assert_eq!(places(&["a/b", "*.log"]), [""]);
}

#[test]
fn no_archive_can_write_outside_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, kind: tar::EntryType, link: Option<&str>| {
        let mut header = tar::Header::new_gnu();
        // Written by hand, because the library refuses such names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        let content: &[u8] = if link.is_some() { b"" } else { b"content" };
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content).unwrap();
    };
    let file = tar::EntryType::Regular;
    add("out/good", file, None);
    add("out/../../climbed", file, None);
    add("/absolute", file, None);
    add("out/link", tar::EntryType::Symlink, Some(".."));
    add("out/link/through", file, None);
    add("out/hard", tar::EntryType::Link, Some("/etc/passwd"));
    let bytes = archive.into_inner().unwrap();
    let taken = from_archive(&artifacts(&["out"], &target), "out", &bytes);
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["target"]);
    assert_eq!(fs::read_to_string(target.join("out/good")).unwrap(), "content");
    // Instead of the link there is an ordinary directory.
    assert!(target.join("out/link").symlink_metadata().unwrap().is_dir());
    assert!(!target.join("out/hard").exists());
    assert_eq!((taken.files, taken.links_left_out), (3, 1));
}

#[test]
fn files_that_do_not_fit_are_left_out_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (from, target) = (folder.path().join("from"), folder.path().join("target"));
    fs::create_dir(&from).unwrap();
    fs::write(from.join("large"), vec![1; 50_000]).unwrap();
    fs::write(from.join("small"), b"text").unwrap();
    let artifacts = limited(&["**".to_owned()], &target, 40_000);
    let taken = from_folder(&artifacts, &from);
    assert_eq!((taken.files, taken.left_out), (1, 1));
    assert!(!target.join("large").exists() && target.join("small").exists());
    let summary = artifacts.summary("a", &taken);
    assert!(
        summary.ends_with(
            "Left out: 1 file, starting with `large`, because the artifacts of a run are limited to 40.0 kB."
        ),
        "{summary}"
    );
    // The budget is shared by all steps of a run.
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1 << 40);
    header.set_cksum();
    archive.append_data(&mut header, "out/huge", io::empty()).ok();
    let bytes = archive.into_inner().unwrap();
    let taken = from_archive(&artifacts, "out", &bytes);
    assert_eq!(taken.first_left_out, Some(("out/huge".into(), Full::Limit(40_000))));
}
