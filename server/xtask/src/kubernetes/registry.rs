//! The cluster's registry: plain HTTP, with a password, and with the tests' images in it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::service::Service;
use super::{Layout, addresses, wait_until};
use crate::tools;

const USER: &str = "pipelens";
const PASSWORD: &str = "registry-password";
/// The password for the registry: the cheapest bcrypt, for it is checked with each request.
const PASSWORD_FILE: &str = "pipelens:$2b$05$abcdefghijklmnopqrstuux7DVfxfgfXTmp/9Tsk6HzX2QQGjxePG\n";
/// What the names of the tests' images begin with.
pub(crate) const PREFIX: &str = "pipelens-test";
const START_DEADLINE: Duration = Duration::from_secs(60);

/// What clients of the registry have to know.
pub(crate) struct Credentials;

impl Credentials {
    /// Returns Docker's configuration file.
    pub(crate) fn docker_config(&self) -> Value {
        let login = json!({ "auth": base64(&format!("{USER}:{PASSWORD}")) });
        json!({ "auths": { addresses::registry(): login, loopback(): login } })
    }

    /// Writes Docker's configuration file and returns its folder.
    pub(crate) fn write(&self, layout: &Layout) -> Result<PathBuf> {
        let folder = layout.docker_config();
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config.json"), serde_json::to_vec_pretty(&self.docker_config())?)?;
        Ok(folder)
    }
}

/// The registry's address for a Docker daemon that accepts plain HTTP from this machine only.
fn loopback() -> String {
    format!("127.0.0.1:{}", addresses::REGISTRY_PORT)
}

/// Describes the registry, and writes its settings.
pub(crate) fn service(layout: &Layout) -> Result<Service> {
    let folder = layout.registry();
    fs::create_dir_all(&folder)?;
    let (settings, passwords) = (layout.file("registry.json"), layout.file("registry.passwords"));
    fs::write(&passwords, PASSWORD_FILE)?;
    let content = json!({
        "version": 0.1,
        "log": { "level": "info" },
        "storage": { "filesystem": { "rootdirectory": folder }, "delete": { "enabled": true } },
        "http": { "addr": format!(":{}", addresses::REGISTRY_PORT) },
        "auth": { "htpasswd": { "realm": "registry", "path": passwords } },
    });
    fs::write(&settings, serde_json::to_vec_pretty(&content)?)?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(settings);
    Service::new("registry", &layout.logs(), command)
}

pub(crate) fn wait(service: &mut Service, layout: &Layout) -> Result<()> {
    wait_until("the registry answers", START_DEADLINE, || {
        service.check(&layout.logs())?;
        Ok(std::net::TcpStream::connect(addresses::registry()).is_ok())
    })
}

/// Pushes the tests' images of a Docker daemon to the registry.
pub(crate) fn push_images(docker_host: &str, layout: &Layout) -> Result<usize> {
    let docker = || {
        let mut command = Command::new("docker");
        command.env("DOCKER_CONFIG", layout.docker_config()).args(["--host", docker_host]);
        command
    };
    let listed = docker().args(["images", "--format", "{{.Repository}}", &format!("{PREFIX}/*")]).output()?;
    ensure!(listed.status.success(), "cannot list images: {}", String::from_utf8_lossy(&listed.stderr));
    let images = String::from_utf8(listed.stdout).context("an image has a strange name")?;
    let tag = |image: &str| format!("{}/{image}:latest", loopback());
    let push = |image: &str| {
        tools::run_command(docker().args(["tag", &format!("{image}:latest"), &tag(image)]))?;
        tools::run_command(docker().args(["push", "--quiet", &tag(image)]).stdout(Stdio::null()))
    };
    std::thread::scope(|scope| {
        let pushes: Vec<_> = images.lines().map(|image| scope.spawn(move || push(image))).collect();
        pushes.into_iter().try_for_each(|pushed| pushed.join().map_err(|_| anyhow!("a push panicked"))?)
    })?;
    tools::run_command(docker().arg("rmi").args(images.lines().map(tag)).stdout(Stdio::null()))?;
    Ok(images.lines().count())
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bytes = [0, 1, 2].map(|place| u32::from(chunk.get(place).copied().unwrap_or_default()));
        let bits = bytes.into_iter().fold(0, |bits, byte| bits << 8 | byte);
        for place in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * place) & 63) as usize).copied().map_or('=', char::from);
            encoded.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        assert_eq!(["", "a", "ab", "abc", "abcd"].map(base64), ["", "YQ==", "YWI=", "YWJj", "YWJjZA=="]);
    }
}
