//! Where other filesystems are mounted.

use std::collections::HashSet;

/// The paths of mounts, without the first slash.
#[derive(Debug, Default)]
pub(super) struct Mounts(HashSet<Vec<u8>>);

impl Mounts {
    /// Returns the mounts of this moment.
    pub(super) fn now() -> std::io::Result<Self> {
        std::fs::read("/proc/self/mountinfo").map(|text| Self::parse(&text))
    }

    fn parse(text: &[u8]) -> Self {
        let path_in = |line: &[u8]| line.split(|byte| *byte == b' ').nth(4).map(unescaped);
        let paths = text.split(|byte| *byte == b'\n').filter_map(path_in);
        Self(
            paths
                .filter_map(|path| path.strip_prefix(b"/").map(<[u8]>::to_vec))
                .filter(|path| !path.is_empty())
                .collect(),
        )
    }

    pub(super) fn contains(&self, path: &[u8]) -> bool {
        self.0.contains(path)
    }
}

/// The kernel writes spaces, line breaks and backslashes as octal numbers.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_are_found() {
        let mounts = Mounts::parse(b"1 2 0:3 / / rw - overlay o rw\n2 1 0:4 / /a\\040b\\134c rw - tmpfs t rw\n");
        assert!(mounts.contains(b"a b\\c"));
        assert!(!mounts.contains(b""));
    }
}
