//! Reads a pipeline file from disk, or says in one sentence why it cannot be read.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};

/// Longer files are no pipelines; the core reads none either.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads a file as text.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let name = path.display();
    let metadata = std::fs::metadata(path).with_context(|| format!("Cannot read `{name}`"))?;
    if metadata.is_dir() {
        bail!("`{name}` is a folder; name the pipeline files in it");
    }
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("Cannot read `{name}`"))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("Cannot read `{name}`"))?;
    if bytes.len() as u64 > MAX_BYTES {
        let size = crate::present::bytes(metadata.len());
        bail!("`{name}` is {size} long; a pipeline file of more than 16 MiB is not read");
    }
    decoded(bytes, &name.to_string())
}

/// Reads standard input as text.
pub(crate) fn read_standard_input() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes).context("Cannot read standard input")?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("Standard input is longer than 16 MiB, which is more than a pipeline can be");
    }
    decoded(bytes, "standard input")
}

fn decoded(bytes: Vec<u8>, name: &str) -> anyhow::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("`{name}` is not UTF-8: the byte at {valid}, in line {line}, belongs to no character. Save the file as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.yml");
        std::fs::write(&file, b"a: b\nc: \xff\n").unwrap();
        let why = |path: &Path| format!("{:#}", read(path).unwrap_err());
        assert!(
            why(&file)
                .ends_with("is not UTF-8: the byte at 8, in line 2, belongs to no character. Save the file as UTF-8")
        );
        assert!(why(folder.path()).ends_with("is a folder; name the pipeline files in it"));
        assert!(why(&folder.path().join("no")).contains("Cannot read"));
        File::create(&file).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(why(&file).ends_with("is 16.8 MB long; a pipeline file of more than 16 MiB is not read"));
    }
}
