//! Files into the container and out of it.

use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use bytes::Bytes;
use pipelens_agent::client::{Agent, AgentError};
use pipelens_agent::protocol::message::{Applied, ApplyRequest, FileKind, MissingFolders};

use crate::container::Container;

fn request(folder: &str) -> ApplyRequest {
    ApplyRequest {
        folder: folder.into(),
        removed_files: Vec::new(),
        removed_folders: Vec::new(),
        owner: Some((7, 8)),
        missing_folders: MissingFolders::Create,
    }
}

fn pieces(archive: &[u8]) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send {
    let pieces: Vec<_> = archive.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures_util::stream::iter(pieces)
}

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o640);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

async fn read(agent: &Agent, path: &str) -> Option<Vec<u8>> {
    let mut archive = agent.archive(path).await.unwrap()?;
    let mut bytes = Vec::new();
    while let Some(piece) = archive.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    Some(bytes)
}

#[tokio::test]
async fn what_is_unpacked_has_its_owner_mode_and_time() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let large = vec![9; 5_000_000];
    let packed = archive(&[("a/b/file", b"text"), ("large", &large)]);
    let applied = agent.apply(request("/work/new"), pieces(&packed)).await.unwrap();
    assert_eq!(applied, Applied { unpacked: 2, removed: 0, skipped: 0 });
    let metadata = std::fs::metadata(container.path("work/new/a/b/file")).unwrap();
    let facts = (metadata.uid(), metadata.gid(), metadata.permissions().mode() & 0o7777, metadata.mtime());
    assert_eq!(facts, (7, 8, 0o640, 1_000_000_000));
    assert_eq!(std::fs::metadata(container.path("work/new/a")).unwrap().uid(), 7);
    assert!(std::fs::read(container.path("work/new/large")).unwrap() == large);

    let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut compressed, &archive(&[("a/b/file", b"newer")])).unwrap();
    let mut update = request("/work/new");
    update.removed_files = vec![b"large".to_vec(), b"missing/file".to_vec()];
    let applied = agent.apply(update, pieces(&compressed.finish().unwrap())).await.unwrap();
    assert_eq!(applied, Applied { unpacked: 1, removed: 1, skipped: 1 });
    assert_eq!(std::fs::read(container.path("work/new/a/b/file")).unwrap(), b"newer");

    let mut removal = request("/work/new");
    removal.removed_files = vec![b"a/b/file".to_vec()];
    removal.removed_folders = vec![b"a/b".to_vec(), b"a".to_vec()];
    let applied = agent.apply(removal, futures_util::stream::empty()).await.unwrap();
    assert_eq!(applied, Applied { unpacked: 0, removed: 3, skipped: 0 });
    assert_eq!(std::fs::read_dir(container.path("work/new")).unwrap().count(), 0);
    agent.goodbye().await;
}

#[tokio::test]
async fn an_archive_that_breaks_off_or_leads_out_is_an_error() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let packed = archive(&[("file", &[1; 100_000])]);
    let error = agent.apply(request("/work"), pieces(&packed[..50_000])).await.unwrap_err();
    assert!(matches!(error, AgentError::Failed(_)), "{error}");
    let broken = futures_util::stream::iter([Err(std::io::Error::other("the disk is gone"))]);
    let error = agent.apply(request("/work"), broken).await.unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..7].copy_from_slice(b"../away");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header.set_cksum();
    let mut packed = tar::Builder::new(Vec::new());
    packed.append(&header, std::io::empty()).unwrap();
    let error = agent.apply(request("/work"), pieces(&packed.into_inner().unwrap())).await.unwrap_err();
    assert_eq!(error.to_string(), "`../away` leads out of its directory");
    agent.goodbye().await;
}

#[tokio::test]
async fn a_directory_comes_back_as_it_is() {
    let Some(container) = Container::start(|root| {
        let folder = root.join("work/out");
        std::fs::create_dir_all(folder.join("empty")).unwrap();
        std::fs::write(folder.join("large"), vec![3; 4_000_000]).unwrap();
        std::fs::hard_link(folder.join("large"), folder.join("same")).unwrap();
        std::os::unix::fs::symlink("large", folder.join("link")).unwrap();
        std::fs::write(folder.join("x".repeat(150)), "long").unwrap();
    }) else {
        return;
    };
    let agent = container.connect().await;
    let packed = read(&agent, "/work/out").await.unwrap();
    let mut found = Vec::new();
    for entry in tar::Archive::new(packed.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let link = entry.link_name().unwrap().map(|link| link.display().to_string());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        found.push((path, link, content.len()));
    }
    let long = format!("out/{}", "x".repeat(150));
    let entry = |path: &str, link: Option<&str>, size| (path.to_owned(), link.map(str::to_owned), size);
    let expected = [
        entry("out/", None, 0),
        entry("out/empty/", None, 0),
        entry("out/large", None, 4_000_000),
        entry("out/link", Some("large"), 0),
        entry("out/same", Some("out/large"), 0),
        entry(&long, None, 4),
    ];
    assert_eq!(found, expected);
    assert!(read(&agent, "/work/missing").await.is_none());
    let link = read(&agent, "/work/out/link").await.unwrap();
    let mut link = tar::Archive::new(link.as_slice());
    assert!(link.entries().unwrap().next().unwrap().unwrap().header().entry_type().is_symlink());

    let stat = agent.stat("/work/out/link").await.unwrap().unwrap();
    assert_eq!((stat.kind, stat.link_target.as_deref()), (FileKind::Symlink, Some(&b"large"[..])));
    assert_eq!(stat.real_path.as_deref(), Some(&b"/work/out/large"[..]));
    assert_eq!(agent.stat("/work/missing/x").await.unwrap(), None);
    assert_eq!(agent.read_small_file("/work/missing").await.unwrap(), None);
    let error = agent.read_small_file("/work/out/large").await.unwrap_err();
    assert_eq!(error.to_string(), "`/work/out/large` cannot be read: it is larger than 1 MiB");
    agent.goodbye().await;
}
