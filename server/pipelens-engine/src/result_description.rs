//! What a registry says about a result that machines share: which image it is, and which sources are in it.

use std::io::{self, Read};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use crate::snapshot::SharedSources;

/// A description has a line for each file of the project.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// What the tag of a key leads to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    /// The digest of the image in the same repository.
    pub(crate) image: String,
    /// How much space it takes in addition to what it was made from.
    pub(crate) bytes: u64,
    pub(crate) sources: SharedSources,
}

impl Description {
    pub(crate) fn compressed(&self) -> io::Result<Vec<u8>> {
        let mut compressed = ZlibEncoder::new(Vec::new(), Compression::fast());
        serde_json::to_writer(&mut compressed, self)?;
        compressed.finish()
    }

    /// Reads what `compressed` returned; `None` if it is something else.
    pub(crate) fn read(compressed: impl Read) -> Option<Self> {
        serde_json::from_reader(ZlibDecoder::new(compressed).take(MOST_BYTES)).ok()
    }
}
