//! What an image in a registry says about a result. It is the image's only file.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use crate::blocking;
use crate::snapshot::SharedSources;

/// The file, compressed.
const NAME: &str = "pipelens-result.json.zz";
/// A description has a line for each file of the project.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// What the tag of a key leads to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Description {
    /// The digest of the image in the same repository.
    pub(super) image: String,
    /// How much space it takes in addition to what it was made from.
    pub(super) bytes: u64,
    pub(super) sources: SharedSources,
}

/// Returns the files of the image, as an archive.
pub(super) async fn packed(description: Description) -> io::Result<Bytes> {
    let pack = move || {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
        serde_json::to_writer(&mut packed, &description)?;
        let packed = packed.finish()?;
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(packed.len() as u64);
        header.set_mode(0o444);
        archive.append_data(&mut header, NAME, packed.as_slice())?;
        archive.into_inner().map(Bytes::from)
    };
    blocking::run(move |_| pack()).await?
}

/// Finds the description in a saved image: an archive of layers, which are archives themselves, compressed or not.
pub(super) fn unpacked(saved: &[u8]) -> Option<Description> {
    let mut layers = tar::Archive::new(saved);
    for layer in layers.entries().ok()? {
        let mut bytes = Vec::new();
        layer.ok()?.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        let found = if bytes.starts_with(&[0x1f, 0x8b]) {
            in_layer(GzDecoder::new(bytes.as_slice()).take(MOST_BYTES))
        } else {
            in_layer(bytes.as_slice())
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn in_layer(layer: impl Read) -> Option<Description> {
    let mut archive = tar::Archive::new(layer);
    // Most entries are no archives.
    for entry in archive.entries().ok()? {
        let entry = entry.ok()?;
        if entry.path().ok()?.as_ref() == Path::new(NAME) {
            return serde_json::from_reader(ZlibDecoder::new(entry).take(MOST_BYTES)).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Manifest;

    fn description() -> Description {
        let sources = SharedSources { folder: "/workspace".into(), manifest: Manifest::default() };
        Description { image: "sha256:1".into(), bytes: 2, sources }
    }

    fn archive(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in [("manifest.json", b"[]".as_slice()), (name, bytes)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[tokio::test]
    async fn a_description_is_found_in_every_form_of_a_saved_image() {
        let layer = packed(description()).await.unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
        io::copy(&mut layer.as_ref(), &mut gzip).unwrap();
        for layer in [layer.to_vec(), gzip.finish().unwrap()] {
            let found = unpacked(&archive("blobs/sha256/0123", &layer)).unwrap();
            assert_eq!(
                (found.image.as_str(), found.bytes, found.sources.folder.as_str()),
                ("sha256:1", 2, "/workspace")
            );
        }
        assert!(unpacked(&archive("layer.tar", b"something else")).is_none());
        assert!(unpacked(b"no archive").is_none());
    }
}
