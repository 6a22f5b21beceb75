//! Reads small files out of the layers of an image, without unpacking it.

use std::io::{self, Read as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::blocking;
use crate::error::{EngineError, with_causes};
use crate::image_user::UserFiles;
use crate::kubernetes::image::Image;
use crate::kubernetes::registry::Registry;

/// Even the `/etc/passwd` of a large organisation is far smaller.
const SMALL_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// The files of an image in a registry. The layers are read from the top.
pub(super) struct ImageFiles<'a> {
    pub(super) registry: &'a Registry,
    pub(super) image: &'a Image,
}

impl UserFiles for ImageFiles<'_> {
    async fn read(&self, path: &'static str) -> Result<String, EngineError> {
        let failed = |reason: String| EngineError::Registry { doing: format!("read `{path}`"), reason, is_away: false };
        for layer in self.image.layers.iter().rev() {
            let stream = self.registry.open_blob(layer).await;
            let stream = stream.map_err(|error| failed(with_causes(&error)))?;
            let reader = SyncIoBridge::new(StreamReader::new(stream.stream));
            let name = path.trim_start_matches('/');
            let is_compressed = layer.media_type.ends_with("gzip");
            let found = blocking::run(move |_| match is_compressed {
                true => file_in(MultiGzDecoder::new(reader), Path::new(name)),
                false => file_in(reader, Path::new(name)),
            });
            if let Some(text) = found.await.flatten().map_err(|error| failed(error.to_string()))? {
                return Ok(text);
            }
        }
        Ok(String::new())
    }
}

/// Returns a small file of an archive.
fn file_in(archive: impl io::Read, path: &Path) -> io::Result<Option<String>> {
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let name = entry.path()?;
        if name.strip_prefix("./").unwrap_or(&name) == path {
            let mut text = String::new();
            entry.by_ref().take(SMALL_FILE_BYTES).read_to_string(&mut text)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}
