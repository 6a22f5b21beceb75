//! Names for bytes that do not reveal them.

use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Bytes of a digest that a short name has.
const SHORT_BYTES: usize = 8;

/// Returns the SHA-256 digest of some bytes, as 64 hexadecimal digits.
pub(crate) fn digest(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Returns sixteen hexadecimal digits: enough to tell things apart that are not forged.
pub(crate) fn short_name(bytes: impl AsRef<[u8]>) -> String {
    let mut name = digest(bytes);
    name.truncate(2 * SHORT_BYTES);
    name
}

/// Names a workspace without revealing its path.
pub fn workspace_id(root: &Path) -> String {
    short_name(root.as_os_str().as_encoded_bytes())
}
