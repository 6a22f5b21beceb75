//! Hashes, and short names made from them that do not reveal what was hashed.

use std::path::Path;

use sha2::{Digest as _, Sha256};

/// How many bytes of a digest a short name contains.
const SHORT_BYTES: usize = 8;

/// Returns the SHA-256 digest of some bytes, as 64 hexadecimal digits.
pub(crate) fn digest(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Returns sixteen hexadecimal digits: enough to avoid collisions, but not to prevent forgery.
pub(crate) fn short_name(bytes: impl AsRef<[u8]>) -> String {
    let mut name = digest(bytes);
    name.truncate(2 * SHORT_BYTES);
    name
}

/// Returns a name for a workspace that does not reveal its path.
pub fn workspace_id(root: &Path) -> String {
    short_name(root.as_os_str().as_encoded_bytes())
}
