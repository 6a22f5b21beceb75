//! Packs a layer as gzip. What is packed already (archives, images, random bytes) is stored as it is, which is ten times as fast.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Each block is a member of the file: gzip files may have many, one after another.
const BLOCK_BYTES: usize = 1024 * 1024;
/// By this part of a block it is decided whether packing helps.
const SAMPLE_BYTES: usize = 16 * 1024;

/// Packs what is written, block by block.
pub(super) struct Members<W: Write> {
    writer: W,
    block: Vec<u8>,
    is_empty: bool,
}

impl<W: Write> Members<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, block: Vec::with_capacity(BLOCK_BYTES), is_empty: true }
    }

    /// Packs the rest, and returns the writer.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() || self.is_empty {
            self.pack()?;
        }
        Ok(self.writer)
    }

    fn pack(&mut self) -> io::Result<()> {
        let level = if is_worthwhile(&self.block)? { Compression::fast() } else { Compression::none() };
        let mut encoder = GzEncoder::new(&mut self.writer, level);
        encoder.write_all(&self.block)?;
        encoder.finish()?;
        self.block.clear();
        self.is_empty = false;
        Ok(())
    }
}

impl<W: Write> Write for Members<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(bytes.get(..count).unwrap_or_default());
        if self.block.len() == BLOCK_BYTES {
            self.pack()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Whether the middle of a block becomes smaller: at its beginning there may be the head of a file.
fn is_worthwhile(block: &[u8]) -> io::Result<bool> {
    let from = (block.len() / 2).saturating_sub(SAMPLE_BYTES / 2);
    let sample = block.get(from..).unwrap_or_default();
    let sample = sample.get(..SAMPLE_BYTES).unwrap_or(sample);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(sample)?;
    Ok(encoder.finish()?.len() < sample.len() / 20 * 19)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::MultiGzDecoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut members = Members::new(Vec::new());
        // The pieces do not end where the blocks end.
        for piece in bytes.chunks(77_777) {
            members.write_all(piece).unwrap();
        }
        let packed = members.finish().unwrap();
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == bytes, "{} bytes became {}", bytes.len(), unpacked.len());
        packed
    }

    #[test]
    fn everything_comes_back_whatever_its_length() {
        let mut rng = fastrand::Rng::with_seed(1);
        for length in [0, 1, 100, SAMPLE_BYTES, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5] {
            let noise: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
            packed(&noise);
            packed(&vec![b'a'; length]);
        }
    }

    #[test]
    fn text_becomes_smaller_and_noise_hardly_larger() {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut text: Vec<u8> = (0..400_000).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
        text.truncate(3 * BLOCK_BYTES);
        let noise: Vec<u8> = (0..3 * BLOCK_BYTES).map(|_| rng.u8(..)).collect();
        assert!(packed(&text).len() < text.len() / 2);
        assert!(packed(&noise).len() < noise.len() + noise.len() / 1_000);
        // Each block is looked at.
        let both = [noise.as_slice(), &text].concat();
        assert!(packed(&both).len() < noise.len() + text.len() / 2 + text.len() / 100);
    }
}
