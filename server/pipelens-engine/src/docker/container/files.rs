//! What is put into the filesystem of a container and read from it. Needs no program in the image.

use std::io::Read as _;
use std::sync::Arc;

use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::{Container, is_endless_link};
use crate::archive::{self, Packing};
use crate::artifacts::taking::Taking;
use crate::artifacts::{Artifacts, StreamedBytes, Taken};
use crate::clock;
use crate::docker::client_error::{refused, status_of};
use crate::error::EngineError;
use crate::sources::Sources;

/// How many chunks of an archive may be queued for the disk.
const ARTIFACT_CHUNKS: usize = 16;
/// Even the `/etc/passwd` of a large organisation is far smaller.
const PASSWD_BYTES: usize = 8 * 1024 * 1024;

/// The real path of a directory in the container, with links resolved.
pub(crate) struct Target {
    pub(crate) parent: String,
    pub(crate) name: String,
}

impl Target {
    /// Returns where to unpack sources so that the engine accepts their links: it refuses those that lead out of the directory in which it
    /// unpacks.
    pub(crate) fn for_sources(self, sources: &Sources) -> Self {
        if !sources.has_links_out {
            return self;
        }
        let name = format!("{}/{}", self.parent, self.name).trim_matches('/').to_owned();
        Self { parent: "/".into(), name }
    }
}

impl Container {
    /// Returns the real path of a directory, which the engine has created if it was missing.
    pub(crate) async fn resolve(&self, folder: &str) -> Result<Target, EngineError> {
        let found = self.look_up(folder).await.map_err(|error| refused("inspect the working directory", &error))?;
        let real = match found {
            Some(stat) if !stat.link_target.is_empty() => stat.link_target,
            Some(_) => folder.to_owned(),
            // It does not exist yet, so the archive contains the whole path.
            None => return Ok(Target { parent: "/".into(), name: folder.trim_matches('/').to_owned() }),
        };
        let real = real.trim_end_matches('/');
        Ok(match real.rsplit_once('/') {
            Some(("", name)) => Target { parent: "/".into(), name: name.to_owned() },
            Some((parent, name)) => Target { parent: parent.to_owned(), name: name.to_owned() },
            None => Target { parent: "/".into(), name: String::new() },
        })
    }

    /// Unpacks the sources in a directory of the container. Needs no program in the image.
    pub(crate) async fn unpack(
        &self,
        folder: &str,
        sources: Arc<Sources>,
        packing: Packing,
    ) -> Result<(), EngineError> {
        let root = sources.root.clone();
        let (stream, failure) = archive::stream(sources, packing);
        let options = UploadToContainerOptionsBuilder::default().path(folder).build();
        let sent = self.docker.upload_to_container(&self.id, Some(options), bollard::body_try_stream(stream)).await;
        if let Some(source) = failure.take() {
            return Err(EngineError::Sources { path: root, source });
        }
        sent.map_err(|error| refused("receive the sources", &error))
    }

    /// Writes small files that every user of the container can read. Their paths are relative to its root.
    pub(crate) async fn put(&self, doing: &'static str, files: &[(String, &[u8])]) -> Result<(), EngineError> {
        let failed = |error: std::io::Error| EngineError::Refused { doing, reason: error.to_string() };
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o444);
            header.set_mtime(u64::try_from(clock::seconds_now()).unwrap_or(0));
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, *content).map_err(failed)?;
        }
        self.receive(doing, "/", archive.into_inner().map_err(failed)?).await
    }

    /// Unpacks a small archive in a folder of the container.
    pub(crate) async fn receive(&self, doing: &'static str, folder: &str, archive: Vec<u8>) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::default().path(folder).build();
        let sent = self.docker.upload_to_container(&self.id, Some(options), bollard::body_full(archive.into()));
        sent.await.map_err(|error| refused(doing, &error))
    }

    /// Copies the artifacts of a step out of the container. Needs no program in the image.
    pub(crate) async fn take_artifacts(&self, artifacts: &Artifacts, workdir: &str) -> Result<Taken, EngineError> {
        let mut taking = Taking::new(artifacts.clone(), vec![workdir.into()]);
        for place in artifacts.places() {
            let own_place = place.clone();
            let take = move |taking: &mut Taking, archive: StreamedBytes| taking.take_from_archive(&own_place, archive);
            taking = self.read_archive(workdir, place, taking, take).await?;
        }
        taking.follow_links();
        while let Some(original) = taking.next_original() {
            let place = original.path.to_string_lossy().into_owned();
            let take =
                move |taking: &mut Taking, archive: StreamedBytes| taking.take_original_from_archive(original, archive);
            taking = self.read_archive(workdir, place, taking, take).await?;
        }
        let finished = tokio::task::spawn_blocking(move || taking.finish()).await;
        let finished = finished.unwrap_or_else(|panic| Err(std::io::Error::other(panic.to_string())));
        finished.map_err(|source| EngineError::File { doing: "Writing the artifacts", path: workdir.into(), source })
    }

    /// Reads an archive of something in the working directory. If it does not exist, the archive is empty.
    async fn read_archive(
        &self,
        workdir: &str,
        place: String,
        mut taking: Taking,
        take: impl FnOnce(&mut Taking, StreamedBytes) -> std::io::Result<()> + Send + 'static,
    ) -> Result<Taking, EngineError> {
        let path = if place.is_empty() { workdir.to_owned() } else { format!("{workdir}/{place}") };
        let options = DownloadFromContainerOptionsBuilder::default().path(&path).build();
        let mut stream = self.docker.download_from_container(&self.id, Some(options));
        let (tx, chunks) = mpsc::channel(ARTIFACT_CHUNKS);
        let unpacking = tokio::task::spawn_blocking(move || {
            take(&mut taking, StreamedBytes { chunks, rest: Bytes::new() }).map(|()| taking)
        });
        let mut broken = None;
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => {
                    if tx.send(Ok(chunk)).await.is_err() {
                        break;
                    }
                }
                // There is nothing to copy; the summary says so.
                Err(error) if status_of(&error) == Some(404) || is_endless_link(&error) => break,
                Err(error) => {
                    tx.send(Err(std::io::Error::other("the connection was interrupted"))).await.ok();
                    broken = Some(refused("copy the artifacts", &error));
                    break;
                }
            }
        }
        // The task ends when its input ends.
        drop(tx);
        let unpacked = unpacking.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic.to_string())));
        if let Some(error) = broken {
            return Err(error);
        }
        unpacked.map_err(|source| EngineError::File { doing: "Writing the artifacts", path: place.into(), source })
    }

    /// Returns the numeric ids of the container's user. Names are looked up in the image's own `/etc/passwd` and `/etc/group`.
    pub(crate) async fn user_ids(&self) -> Result<(u64, u64), EngineError> {
        let user = self.user.as_str();
        let (user, group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
        if user.is_empty() {
            return Ok((0, 0));
        }
        let number = |text: &str| text.parse::<u64>().ok();
        if let (Some(user_id), Some(group_id)) = (number(user), group.and_then(number)) {
            return Ok((user_id, group_id));
        }
        let passwd = self.read_file("/etc/passwd").await;
        let entry = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&user) || (number(user).is_some() && fields.get(2) == Some(&user)));
        let field = |index: usize| entry.as_ref().and_then(|fields| fields.get(index)).and_then(|text| number(text));
        let user_id = number(user).or_else(|| field(2)).ok_or_else(|| EngineError::Refused {
            doing: "find the image's user",
            reason: format!("`{user}` is not in its `/etc/passwd`"),
        })?;
        let group_id = match group {
            Some(group) => match number(group) {
                Some(id) => id,
                None => self.group_id(group).await,
            },
            None => field(3).unwrap_or(0),
        };
        Ok((user_id, group_id))
    }

    /// Returns the home of the container's user, as the engine finds it.
    pub(crate) async fn home(&self) -> String {
        let user = self.user.split(':').next().unwrap_or_default();
        let passwd = self.read_file("/etc/passwd").await;
        let mut entries = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let is_user = |fields: &Vec<&str>| match user {
            "" => fields.get(2) == Some(&"0"),
            user => fields.first() == Some(&user) || fields.get(2) == Some(&user),
        };
        let home = entries.find(is_user).and_then(|fields| fields.get(5).copied()).filter(|home| !home.is_empty());
        home.unwrap_or("/").to_owned()
    }

    async fn group_id(&self, name: &str) -> u64 {
        let groups = self.read_file("/etc/group").await;
        let entry =
            groups.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name));
        entry.and_then(|fields| fields.get(2)?.parse().ok()).unwrap_or(0)
    }

    /// Returns a small text file of the container; empty if there is none.
    async fn read_file(&self, path: &str) -> String {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut stream = self.docker.download_from_container(&self.id, Some(options));
        let mut bytes = Vec::new();
        while let Some(Ok(chunk)) = stream.next().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > PASSWD_BYTES {
                break;
            }
        }
        let mut text = String::new();
        let mut archive = tar::Archive::new(bytes.as_slice());
        if let Ok(mut entries) = archive.entries()
            && let Some(Ok(mut entry)) = entries.next()
        {
            entry.read_to_string(&mut text).ok();
        }
        text
    }
}
