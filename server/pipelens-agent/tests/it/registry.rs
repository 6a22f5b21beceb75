//! A registry of the tests' own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::skipped::skipped;

/// `someone` with `secret-word`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "someone:$2b$04$WNStINO06C6itITHd9IBEuChYkW4iMpwq./OFB9Y3mFLAkCoWCK9K\n";
/// The same, as a client says it.
pub(crate) const AUTHORIZATION: &str = "Basic c29tZW9uZTpzZWNyZXQtd29yZA==";

pub(crate) struct Registry {
    process: Child,
    pub(crate) address: String,
    folder: tempfile::TempDir,
}

impl Registry {
    /// `None` where there is no registry to start.
    pub(crate) fn start(asks_for_password: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("passwords"), PASSWORDS).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let auth = match asks_for_password {
            true => format!("auth: {{htpasswd: {{realm: test, path: {}}}}}", path("passwords")),
            false => String::new(),
        };
        let data = path("data");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\nhttp: {{addr: '{address}'}}\n{auth}\n"
        );
        std::fs::write(path("config.yml"), config).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = process else {
            skipped("docker-registry", "there is no docker-registry");
            return None;
        };
        let registry = Self { process, address, folder };
        while std::net::TcpStream::connect(&registry.address).is_err() {
            std::thread::yield_now();
        }
        Some(registry)
    }

    /// Returns where the registry keeps a layer.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let hash = digest.strip_prefix("sha256:").unwrap();
        self.folder.path().join("data/docker/registry/v2/blobs/sha256").join(&hash[..2]).join(hash).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
