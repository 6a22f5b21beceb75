//! Finds the engine where the Docker client would, then at the usual places of desktop products. Knows nothing about containers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use serde::Deserialize;

use crate::deadlines::Deadlines;
use crate::docker::client_error::{Unusable, reason};
use crate::docker::{connectors, socket, ssh};
use crate::error::{EngineError, TriedPlace};
use crate::fingerprint;

/// An engine that has to wake up first (a virtual machine that starts) is slow; one that has not answered by then never will.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// An engine that answers.
pub(super) struct Endpoint {
    pub(super) docker: Docker,
    pub(super) is_remote: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    from: String,
    host: String,
    /// The directory with `ca.pem`, `cert.pem` and `key.pem`.
    tls_folder: Option<PathBuf>,
}

/// Returns the first engine that answers; no program of the project is started. If the user has set an address, only that one is tried.
pub(super) async fn find(
    docker_host: Option<&str>,
    project: Option<&Path>,
    deadlines: Deadlines,
) -> Result<Endpoint, EngineError> {
    find_with(docker_host, project, deadlines, &mut Vec::new()).await.map(|(endpoint, _, _)| endpoint)
}

/// Does the same, and returns where the address comes from, and the address. Places that did not answer before are added to `tried`.
pub(super) async fn find_with(
    docker_host: Option<&str>,
    project: Option<&Path>,
    deadlines: Deadlines,
    tried: &mut Vec<TriedPlace>,
) -> Result<(Endpoint, String, String), EngineError> {
    let places = match places(docker_host) {
        Ok(places) => places,
        Err(place) => return Err(EngineError::Unreachable { tried: vec![place] }),
    };
    for place in places {
        match connect(&place, project, deadlines).await {
            Ok(engine) => return Ok((engine, place.from, place.host)),
            Err(Unusable(answer)) => tried.push(TriedPlace { from: place.from, address: place.host, answer }),
        }
    }
    Err(EngineError::Unreachable { tried: std::mem::take(tried) })
}

/// Whether the engine is reached through a program that has to be started (`ssh`). That is not done unless the user asked for something.
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

async fn connect(place: &Place, project: Option<&Path>, deadlines: Deadlines) -> Result<Endpoint, Unusable> {
    let docker = connectors::client(&place.host, place.tls_folder.as_deref(), project, deadlines)?;
    // No version is negotiated: the URLs contain none, so the engine uses its own.
    let answer_within = match place.host.starts_with("ssh://") {
        // What `ssh` reports about an unreachable host is better than our own timeout.
        true => ssh::CONNECT_WITHIN + ANSWER_WITHIN,
        false => ANSWER_WITHIN.min(deadlines.question),
    };
    match tokio::time::timeout(answer_within, docker.ping()).await {
        Ok(Ok(_)) => Ok(Endpoint { docker, is_remote: !is_local(&place.host) }),
        Ok(Err(error)) => {
            let closed = place.host.strip_prefix("unix://").and_then(|path| socket::closed(Path::new(path)));
            Err(Unusable(closed.unwrap_or_else(|| reason(&error))))
        }
        Err(_) => Err(Unusable(format!("no answer within {} s", answer_within.as_secs()))),
    }
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

/// The part of `config.json` that names the current context.
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
        return Err(not_usable("there is no Docker configuration directory".into()));
    };
    let id = fingerprint::digest(name);
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
    async fn if_the_user_sets_an_address_only_that_one_is_tried() {
        let Err(error) = find(Some("unix:///no/such.sock"), None, Deadlines::default()).await else {
            panic!("it answered")
        };
        expect_test::expect![[r#"
            No container engine answered.
              unix:///no/such.sock (the settings): the socket does not exist
            Start Docker (or a compatible engine), or set `DOCKER_HOST` to its address."#]]
        .assert_eq(&error.sentence());
    }

    #[tokio::test]
    async fn an_unsupported_address_is_an_error_that_explains_itself() {
        let Err(error) = find(Some("ssh://-oProxyCommand=reboot"), None, Deadlines::default()).await else {
            panic!("it answered")
        };
        assert!(error.to_string().contains("an SSH address must have the form"), "{error}");
        let Err(error) = find(Some("localhost"), None, Deadlines::default()).await else { panic!("it answered") };
        assert!(error.to_string().contains("start with `unix://`"), "{error}");
    }

    #[test]
    fn a_context_contains_its_host() {
        let folder = tempfile::tempdir().unwrap();
        let id = "e0dfc91a3ef26b8a5ccd46b4e2f2c5fbe3eb8d4b5aea9e1a06ee3e5a5b3f9f0a";
        let real = fingerprint::digest("colima");
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
