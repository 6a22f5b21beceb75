//! What is put into the filesystem of a container and read from it. Needs no program in the image.

use std::io::Read as _;
use std::sync::Arc;

use bollard::errors::Error;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{Container, is_endless_link};
use crate::archive::{self, Packing};
use crate::artifacts::archives::ArchiveSource;
use crate::clock;
use crate::docker::client_error::{refused, status_of};
use crate::error::EngineError;
use crate::image_user::{self, UserFiles};
use crate::sources::Sources;

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

    /// Returns the numeric ids of the container's user.
    pub(crate) async fn user_ids(&self) -> Result<(u64, u64), EngineError> {
        image_user::ids(&self.user, self).await
    }

    /// Returns the home of the container's user, as the engine finds it.
    pub(crate) async fn home(&self) -> String {
        image_user::home(&self.read_file("/etc/passwd").await, &self.user)
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

impl ArchiveSource for Container {
    fn archive(&self, path: String) -> BoxStream<'_, Result<Bytes, EngineError>> {
        let options = DownloadFromContainerOptionsBuilder::default().path(&path).build();
        let stream = self.docker.download_from_container(&self.id, Some(options));
        // There is nothing to copy; the summary says so.
        let is_there = |chunk: &Result<Bytes, Error>| match chunk {
            Err(error) => status_of(error) != Some(404) && !is_endless_link(error),
            Ok(_) => true,
        };
        let stream = stream.take_while(move |chunk| std::future::ready(is_there(chunk)));
        stream.map_err(|error| refused("copy the artifacts", &error)).boxed()
    }
}

impl UserFiles for Container {
    async fn read(&self, path: &'static str) -> Result<String, EngineError> {
        Ok(self.read_file(path).await)
    }
}
