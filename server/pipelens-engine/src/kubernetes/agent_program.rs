//! Where the program of the agent comes from. Does not know how it gets into a pod.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use lzma_rust2::XzReader;

use crate::blocking;
use crate::error::EngineError;

/// Names a folder with programs that are used instead of those that belong to this binary.
const FOLDER_VARIABLE: &str = "PIPELENS_AGENTS";
const LARGEST_AGENT_BYTES: u64 = 32 * 1024 * 1024;
/// The programs in this binary, packed, by architecture: what `build.rs` has found.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/agents.rs"));

/// Returns the program for an architecture: from the folder that the user names, else the one in this binary, else the one beside it.
pub(super) async fn program(architecture: &str) -> Result<Arc<[u8]>, EngineError> {
    let folder = std::env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty());
    if let Some(program) = in_folder(folder.map(OsString::into), architecture).await? {
        return Ok(program);
    }
    if let Some((_, packed)) = EMBEDDED.iter().find(|(name, _)| *name == architecture) {
        let unpacking = blocking::run(move |_| unpacked(packed)).await.flatten();
        let failed =
            |source| EngineError::File { doing: "Unpacking the agent", path: PathBuf::from("pipelens"), source };
        return unpacking.map_err(failed);
    }
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.to_owned()));
    let program = in_folder(beside, architecture).await?;
    program.ok_or_else(|| EngineError::NoAgent { architecture: architecture.to_owned() })
}

async fn in_folder(folder: Option<PathBuf>, architecture: &str) -> Result<Option<Arc<[u8]>>, EngineError> {
    let Some(folder) = folder else { return Ok(None) };
    let file = folder.join(format!("pipelens-agent-linux-{architecture}"));
    let is_program = |file: std::fs::Metadata| file.is_file() && file.len() <= LARGEST_AGENT_BYTES;
    if !tokio::fs::metadata(&file).await.is_ok_and(is_program) {
        return Ok(None);
    }
    let bytes = tokio::fs::read(&file).await;
    let failed = |source| EngineError::File { doing: "Reading the agent", path: file.clone(), source };
    bytes.map(|bytes| Some(Arc::from(bytes))).map_err(failed)
}

fn unpacked(packed: &[u8]) -> io::Result<Arc<[u8]>> {
    let mut program = Vec::new();
    XzReader::new(packed, false).take(LARGEST_AGENT_BYTES).read_to_end(&mut program)?;
    Ok(Arc::from(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_program_in_the_binary_is_one_for_linux() {
        for (architecture, packed) in EMBEDDED {
            let program = unpacked(packed).unwrap();
            let machine: u16 = if *architecture == "arm64" { 183 } else { 62 };
            assert_eq!((&program[..4], &program[18..20]), (b"\x7fELF".as_slice(), machine.to_le_bytes().as_slice()));
            assert_eq!(super::program(architecture).await.unwrap().len(), program.len());
        }
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let refused = program("riscv64").await.unwrap_err();
        assert!(refused.to_string().contains("riscv64"), "{refused}");
    }

    #[tokio::test]
    async fn what_is_too_large_or_no_file_is_no_program() {
        let folder = tempfile::tempdir().unwrap();
        let file = |architecture: &str| folder.path().join(format!("pipelens-agent-linux-{architecture}"));
        std::fs::write(file("amd64"), "program").unwrap();
        std::fs::create_dir(file("arm64")).unwrap();
        std::fs::File::create(file("large")).unwrap().set_len(LARGEST_AGENT_BYTES + 1).unwrap();
        let found = async |architecture| in_folder(Some(folder.path().to_owned()), architecture).await.unwrap();
        assert_eq!(found("amd64").await.as_deref(), Some(b"program".as_slice()));
        assert_eq!((found("arm64").await, found("large").await), (None, None));
    }
}
