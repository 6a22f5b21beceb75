//! The description of a result as the only file of an image, which is what engines can push and pull.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::blocking;
use crate::result_description::{Description, MOST_BYTES};

/// The file, compressed.
const NAME: &str = "pipelens-result.json.zz";

/// Returns the files of the image, as an archive.
pub(super) async fn packed(description: Description) -> io::Result<Bytes> {
    let pack = move || {
        let packed = description.compressed()?;
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
            in_layer(MultiGzDecoder::new(bytes.as_slice()).take(MOST_BYTES))
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
            return Description::read(entry);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use flate2::Compression;

    use super::*;
    use crate::snapshot::SharedSources;
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
