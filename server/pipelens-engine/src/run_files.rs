//! The files and folders of one run: logs, artifacts.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::fingerprint::short_name;
use crate::private;

/// File systems allow 255 bytes; the extension and a service's name need space too.
const LONGEST_FILE_NAME: usize = 180;

/// Returns the file that holds the whole output of a step.
///
/// A key may be any string: a byte that is not safe in a file name is written as `%` and two digits, so that two keys never share a file.
pub fn log_file(log_dir: &Path, step_key: &str) -> PathBuf {
    let mut name = String::new();
    for byte in step_key.bytes() {
        // Uppercase letters too: on many disks, `A` and `a` are the same file.
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > LONGEST_FILE_NAME {
        name.truncate(LONGEST_FILE_NAME - 17);
        name.push('~');
        name.push_str(&short_name(step_key));
    }
    log_dir.join(format!("{name}.log"))
}

/// Returns the file that holds the whole output of a service, all attempts of its step together. No key's file has a second dot.
pub fn service_log_file(log_dir: &Path, step_key: &str, service: &str) -> PathBuf {
    log_file(log_dir, step_key).with_extension(format!("{service}.log"))
}

/// Returns the folder that holds the artifacts of a step, unless the run has another one for artifacts.
pub fn artifact_folder(log_dir: &Path, step_key: &str) -> PathBuf {
    step_folder(&log_dir.join("artifacts"), step_key)
}

/// Returns the folder for what matched the globs of a step that failed, although its artifacts are only wanted after a success.
pub fn failed_artifact_folder(log_dir: &Path, step_key: &str) -> PathBuf {
    step_folder(&log_dir.join("artifacts-of-failures"), step_key)
}

/// Returns the folder of a step in a folder for all steps.
pub fn step_folder(folder: &Path, step_key: &str) -> PathBuf {
    folder.join(log_file(Path::new(""), step_key).with_extension(""))
}

/// Returns the directory for the logs of a run: the intended one or, if it is not writable, a new temporary one.
pub fn usable_log_dir(wanted: PathBuf, run_id: Uuid) -> PathBuf {
    if private::create_folder(&wanted).is_ok() {
        return wanted;
    }
    let temporary = std::env::temp_dir().join(format!("pipelens-logs-{run_id}"));
    match private::create_new_folder(&temporary) {
        Ok(()) => temporary,
        Err(_) => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_never_share_a_log_file() {
        let folder = Path::new("/logs");
        assert_eq!(log_file(folder, "unit-tests"), Path::new("/logs/unit-tests.log"));
        assert_eq!(log_file(folder, "../a.b"), Path::new("/logs/%2e%2e%2fa%2eb.log"));
        assert_ne!(log_file(folder, "A"), log_file(folder, "a"));
        let (long, longer) = ("x".repeat(300), "x".repeat(301));
        assert_ne!(log_file(folder, &long), log_file(folder, &longer));
        assert!(log_file(folder, &long).file_name().unwrap().len() < 255);
        let of_service = service_log_file(folder, "a", "db");
        assert_eq!(of_service, Path::new("/logs/a.db.log"));
        assert_ne!(of_service, log_file(folder, "a.db"));
        assert!(service_log_file(folder, &long, &"s".repeat(63)).file_name().unwrap().len() < 255);
    }
}
