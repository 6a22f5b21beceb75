//! Packs a layer into a temporary file: its digests have to be known before it is sent. Knows no registry.

use std::fs::File;
use std::io::{self, Read as _, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::blocking;
use crate::kubernetes::image::Layer;

const CHUNK_BYTES: usize = 1024 * 1024;

/// A layer in a temporary file, which has no name and goes with it.
pub(super) struct PackedLayer {
    pub(super) layer: Layer,
    /// It is at its end.
    pub(super) file: File,
}

impl PackedLayer {
    pub(super) fn pack(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Self> {
        let compressed = Hashing::new(tempfile::tempfile()?);
        let mut archive = Hashing::new(GzEncoder::new(compressed, Compression::fast()));
        write(&mut archive)?;
        let diff_id = archive.digest();
        let mut compressed = archive.inner.finish()?;
        compressed.flush()?;
        let layer = Layer { digest: compressed.digest(), diff_id, bytes: compressed.bytes };
        Ok(Self { layer, file: compressed.inner })
    }
}

/// Computes the digest of what passes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.hash.clone().finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a file in chunks, on threads for blocking work.
pub(super) fn chunks(file: File) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::try_unfold(file, |mut file| async move {
        blocking::run(move |_| {
            let mut bytes = Vec::with_capacity(CHUNK_BYTES);
            io::Read::by_ref(&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut bytes)?;
            Ok((!bytes.is_empty()).then(|| (Bytes::from(bytes), file)))
        })
        .await
        .flatten()
    })
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use super::*;
    use crate::kubernetes::image::digest_of;

    #[test]
    fn a_packed_layer_has_the_digests_of_its_archive_and_of_its_bytes() {
        let PackedLayer { layer, mut file } = PackedLayer::pack(|to| to.write_all(b"an archive")).unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!((layer.digest, layer.bytes), (digest_of(&bytes), bytes.len() as u64));
        assert_eq!(layer.diff_id, digest_of(b"an archive"));
    }
}
