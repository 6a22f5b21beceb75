//! Finds the engine where the Docker client would, then where desktop products put theirs. Knows no containers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::docker::{reason, ssh};
use crate::error::{EngineError, TriedPlace};

/// A socket whose engine sleeps (a virtual machine that starts) is slow; one that does not answer by then will not.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Commits and uploads answer when they are done, so the client itself sets no limit; every call of ours can be cancelled.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) struct Engine {
    pub(super) docker: Docker,
    pub(super) is_remote: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    from: String,
    host: String,
    /// Where `ca.pem`, `cert.pem` and `key.pem` are.
    tls_folder: Option<PathBuf>,
}

/// Returns the first engine that answers. Somebody who named a place gets that one or an error.
pub(super) async fn find(docker_host: Option<&str>) -> Result<Engine, EngineError> {
    let mut tried = Vec::new();
    let places = match places(docker_host) {
        Ok(places) => places,
        Err(place) => return Err(EngineError::Unreachable { tried: vec![place] }),
    };
    for place in places {
        match connect(&place).await {
            Ok(engine) => return Ok(engine),
            Err(answer) => tried.push(TriedPlace { from: place.from, address: place.host, answer }),
        }
    }
    Err(EngineError::Unreachable { tried })
}

/// Whether the engine is reached through a program that has to be started (`ssh`): too much for what nobody asked for.
pub(crate) fn needs_program(docker_host: Option<&str>) -> bool {
    places(docker_host).is_ok_and(|places| places.iter().any(|place| place.host.starts_with("ssh://")))
}

fn places(docker_host: Option<&str>) -> Result<Vec<Place>, TriedPlace> {
    if let Some(host) = docker_host {
        return Ok(vec![Place { from: "the settings".into(), host: host.into(), tls_folder: tls_of_environment() }]);
    }
    if let Some(host) = variable("DOCKER_HOST") {
        return Ok(vec![Place { from: "`DOCKER_HOST`".into(), host, tls_folder: tls_of_environment() }]);
    }
    let config_folder = config_folder();
    let context = variable("DOCKER_CONTEXT")
        .map(|name| (name, "`DOCKER_CONTEXT`"))
        .or_else(|| current_context(config_folder.as_deref()?).map(|name| (name, "the current Docker context")));
    match context {
        Some((name, from)) if name != "default" => {
            context_place(config_folder.as_deref(), &name, from).map(|place| vec![place])
        }
        Some(_) | None => Ok(known_places()),
    }
}

async fn connect(place: &Place) -> Result<Engine, String> {
    let docker = client(place)?.with_timeout(REQUEST_TIMEOUT);
    // No version is negotiated: none is in the addresses of the calls, so the engine speaks its own.
    let answer_within = match place.host.starts_with("ssh://") {
        // What it says of a host that it does not reach is better than our silence.
        true => ssh::CONNECT_WITHIN + ANSWER_WITHIN,
        false => ANSWER_WITHIN,
    };
    match tokio::time::timeout(answer_within, docker.ping()).await {
        Ok(Ok(_)) => Ok(Engine { docker, is_remote: !is_local(&place.host) }),
        Ok(Err(error)) => Err(reason(&error)),
        Err(_) => Err(format!("no answer within {} s", answer_within.as_secs())),
    }
}

fn client(place: &Place) -> Result<Docker, String> {
    let seconds = REQUEST_TIMEOUT.as_secs();
    let host = place.host.as_str();
    let client = match host.split_once("://").map(|(scheme, _)| scheme) {
        Some("unix" | "npipe") => return local_client(host),
        Some("ssh") => return ssh::client(host, REQUEST_TIMEOUT),
        Some("tcp" | "http" | "https") => match &place.tls_folder {
            Some(folder) if !folder.join("ca.pem").exists() => {
                return Err(format!("TLS needs certificates, and there is no `{}`", folder.join("ca.pem").display()));
            }
            Some(folder) => Docker::connect_with_ssl(
                &with_port(host, "2376"),
                &folder.join("key.pem"),
                &folder.join("cert.pem"),
                &folder.join("ca.pem"),
                seconds,
                API_DEFAULT_VERSION,
            ),
            None => Docker::connect_with_http(&with_port(host, "2375"), seconds, API_DEFAULT_VERSION),
        },
        Some(_) | None => return Err("an address begins with `unix://`, `npipe://`, `tcp://` or `ssh://`".into()),
    };
    client.map_err(|error| reason(&error))
}

/// Returns an address with the engines' usual port if it has none.
fn with_port(host: &str, port: &str) -> String {
    let authority = host.strip_prefix("tcp://").map(|rest| rest.trim_end_matches('/'));
    // Behind the bracket of an address like `[::1]`.
    let has_port = |authority: &str| authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    match authority {
        Some(authority) if !has_port(authority) => format!("tcp://{authority}:{port}"),
        Some(_) | None => host.to_owned(),
    }
}

#[cfg(unix)]
fn local_client(host: &str) -> Result<Docker, String> {
    let Some(path) = host.strip_prefix("unix://") else {
        return Err("named pipes exist on Windows alone".into());
    };
    if !Path::new(path).exists() {
        return Err("there is no such socket".into());
    }
    Docker::connect_with_unix(host, REQUEST_TIMEOUT.as_secs(), API_DEFAULT_VERSION).map_err(|error| reason(&error))
}

#[cfg(windows)]
fn local_client(host: &str) -> Result<Docker, String> {
    if !host.starts_with("npipe://") {
        return Err("sockets are not supported on Windows; its engines listen on `npipe://`".into());
    }
    Docker::connect_with_named_pipe(host, REQUEST_TIMEOUT.as_secs(), API_DEFAULT_VERSION)
        .map_err(|error| reason(&error))
}

fn is_local(host: &str) -> bool {
    host.starts_with("unix://") || host.starts_with("npipe://")
}

#[cfg(unix)]
fn known_places() -> Vec<Place> {
    let home = variable("HOME").unwrap_or_default();
    let runtime = variable("XDG_RUNTIME_DIR");
    let mut places = vec![("the default", "/var/run/docker.sock".to_owned())];
    places.extend(runtime.as_ref().map(|folder| ("rootless Docker", format!("{folder}/docker.sock"))));
    if !home.is_empty() {
        places.extend([
            ("Docker Desktop", format!("{home}/.docker/run/docker.sock")),
            ("Docker Desktop", format!("{home}/.docker/desktop/docker.sock")),
            ("OrbStack", format!("{home}/.orbstack/run/docker.sock")),
            ("Colima", format!("{home}/.colima/default/docker.sock")),
            ("Colima", format!("{home}/.config/colima/default/docker.sock")),
            ("Rancher Desktop", format!("{home}/.rd/docker.sock")),
        ]);
    }
    places.extend(runtime.as_ref().map(|folder| ("Podman", format!("{folder}/podman/podman.sock"))));
    places.push(("Podman", "/run/podman/podman.sock".to_owned()));
    places
        .into_iter()
        .map(|(from, path)| Place { from: from.into(), host: format!("unix://{path}"), tls_folder: None })
        .collect()
}

#[cfg(windows)]
fn known_places() -> Vec<Place> {
    [
        ("the default", "docker_engine"),
        ("Docker Desktop", "dockerDesktopLinuxEngine"),
        ("Podman", "podman-machine-default"),
    ]
    .into_iter()
    .map(|(from, name)| Place { from: from.into(), host: format!("npipe:////./pipe/{name}"), tls_folder: None })
    .collect()
}

/// The part of `config.json` that names a context.
#[derive(Deserialize)]
struct ClientConfig {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints")]
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: ContextEndpoint,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host")]
    host: String,
}

fn current_context(config_folder: &Path) -> Option<String> {
    let text = std::fs::read(config_folder.join("config.json")).ok()?;
    let config: ClientConfig = serde_json::from_slice(&text).ok()?;
    config.current_context.filter(|name| !name.is_empty())
}

fn context_place(config_folder: Option<&Path>, name: &str, from: &str) -> Result<Place, TriedPlace> {
    let not_usable = |answer: String| TriedPlace { from: from.into(), address: format!("context `{name}`"), answer };
    let Some(folder) = config_folder else {
        return Err(not_usable("there is no Docker configuration folder".into()));
    };
    let id: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join("contexts/meta").join(&id).join("meta.json");
    let text = std::fs::read(&path).map_err(|error| not_usable(format!("`{}`: {error}", path.display())))?;
    let meta: ContextMeta =
        serde_json::from_slice(&text).map_err(|error| not_usable(format!("`{}`: {error}", path.display())))?;
    let tls_folder = folder.join("contexts/tls").join(&id).join("docker");
    Ok(Place {
        from: format!("{from} `{name}`"),
        host: meta.endpoints.docker.host,
        tls_folder: tls_folder.is_dir().then_some(tls_folder),
    })
}

fn config_folder() -> Option<PathBuf> {
    let home = || variable(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
    variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| home().map(|home| Path::new(&home).join(".docker")))
}

fn tls_of_environment() -> Option<PathBuf> {
    variable("DOCKER_TLS_VERIFY")?;
    variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(config_folder)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_that_was_named_is_the_only_one_tried() {
        let Err(error) = find(Some("unix:///no/such.sock")).await else { panic!("it answered") };
        expect_test::expect![[r#"
            No container engine answered.
              unix:///no/such.sock (the settings): there is no such socket
            Start Docker (or a compatible engine), set `DOCKER_HOST` to its address, or run on the host."#]]
        .assert_eq(&error.sentence());
    }

    #[tokio::test]
    async fn what_is_not_supported_says_so() {
        let Err(error) = find(Some("ssh://-oProxyCommand=reboot")).await else { panic!("it answered") };
        assert!(error.to_string().contains("an address of an engine behind SSH is"), "{error}");
        let Err(error) = find(Some("localhost")).await else { panic!("it answered") };
        assert!(error.to_string().contains("begins with `unix://`"), "{error}");
    }

    #[test]
    fn tcp_has_the_usual_port() {
        for (host, expected) in [
            ("tcp://there", "tcp://there:2376"),
            ("tcp://there/", "tcp://there:2376"),
            ("tcp://[fe80::1]", "tcp://[fe80::1]:2376"),
            ("tcp://[fe80::1]:1", "tcp://[fe80::1]:1"),
            ("tcp://there:1", "tcp://there:1"),
            ("http://there", "http://there"),
        ] {
            assert_eq!(with_port(host, "2376"), expected);
        }
    }

    #[test]
    fn tls_without_certificates_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let tls_folder = Some(folder.path().to_owned());
        let why = client(&Place { from: String::new(), host: "tcp://there".into(), tls_folder }).unwrap_err();
        assert_eq!(
            why,
            format!("TLS needs certificates, and there is no `{}`", folder.path().join("ca.pem").display())
        );
    }

    #[test]
    fn a_context_names_its_host() {
        let folder = tempfile::tempdir().unwrap();
        let id = "e0dfc91a3ef26b8a5ccd46b4e2f2c5fbe3eb8d4b5aea9e1a06ee3e5a5b3f9f0a";
        let real: String = Sha256::digest("colima").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(real.len(), id.len());
        let meta = folder.path().join("contexts/meta").join(real);
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(meta.join("meta.json"), r#"{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///c.sock"}}}"#)
            .unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"colima"}"#).unwrap();
        assert_eq!(current_context(folder.path()).as_deref(), Some("colima"));
        let place = context_place(Some(folder.path()), "colima", "the current Docker context").unwrap();
        assert_eq!(place.host, "unix:///c.sock");
        assert!(context_place(Some(folder.path()), "other", "`DOCKER_CONTEXT`").is_err());
    }
}
