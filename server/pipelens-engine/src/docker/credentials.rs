//! The user's registry credentials, from the Docker client's configuration or the credential helper it names. Does not use an engine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::Deserialize;
use serde_json::Value;

use crate::docker::client_error::Unusable;
use crate::programs::{self, Call, Limits};

/// A helper may ask the user to unlock a keyring.
const LIMITS: Limits =
    Limits { time: Duration::from_secs(120), memory_bytes: 4 * 1024 * 1024 * 1024, output_bytes: 1024 * 1024 };
/// What a helper returns instead of a user name if the secret is a token.
const TOKEN_USER: &str = "<token>";

/// Returns the credentials for a registry. No program from the project is started for them. Without any, the registry is used anonymously.
pub(crate) async fn credentials(registry: &str, project: &Path) -> Option<DockerCredentials> {
    or_anonymous(registry, look_up(registry, Some(project)).await)
}

/// Like `credentials`, but starts no program: what only a credential helper knows is not found.
pub(crate) async fn written_credentials(registry: &str) -> Option<DockerCredentials> {
    or_anonymous(registry, look_up(registry, None).await)
}

fn or_anonymous(registry: &str, found: Result<Option<DockerCredentials>, Unusable>) -> Option<DockerCredentials> {
    match found {
        Ok(found) => found,
        Err(reason) => {
            tracing::debug!(registry, %reason, "no credentials");
            None
        }
    }
}

/// Asks helpers only if the project is given, from which none is started.
async fn look_up(registry: &str, project: Option<&Path>) -> Result<Option<DockerCredentials>, Unusable> {
    let Some(file) = config_file() else { return Ok(None) };
    let text = match tokio::fs::read(&file).await {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("`{}`: {error}", file.display()).into()),
    };
    let mut config: Value = serde_json::from_slice(&text).map_err(|error| format!("`{}`: {error}", file.display()))?;
    let helpers = Helpers::take(&mut config);
    if let Some(helper) = helpers.of(registry) {
        return ask_if_allowed(helper, registry, project).await;
    }
    // The library is only used to match the registry with the stored logins; programs are started only here.
    let written = docker_credential::get_credential_from_reader(config.to_string().as_bytes(), registry);
    match (written, &helpers.store) {
        (Ok(found), _) => Ok(Some(as_sent(found, registry))),
        (Err(CredentialRetrievalError::NoCredentialConfigured), Some(store)) => {
            ask_if_allowed(store, registry, project).await
        }
        (Err(CredentialRetrievalError::NoCredentialConfigured), None) => Ok(None),
        (Err(error), _) => Err(error.to_string().into()),
    }
}

/// The credential helpers in the configuration.
#[derive(Debug, Default)]
struct Helpers {
    by_registry: Vec<(String, String)>,
    /// The helper for all other registries.
    store: Option<String>,
}

impl Helpers {
    /// Removes the helpers from the configuration and returns them.
    fn take(config: &mut Value) -> Self {
        let Some(config) = config.as_object_mut() else { return Self::default() };
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let by_registry = config.remove("credHelpers").unwrap_or_default();
        let named = by_registry.as_object().into_iter().flatten();
        Self {
            by_registry: named.filter_map(|(registry, helper)| Some((registry.clone(), text(helper)?))).collect(),
            store: config.remove("credsStore").as_ref().and_then(text),
        }
    }

    fn of(&self, registry: &str) -> Option<&str> {
        let named = self.by_registry.iter().find(|(name, _)| host(name) == host(registry));
        named.map(|(_, helper)| helper.as_str())
    }
}

/// `https://index.docker.io/v1/` and `index.docker.io` are the same registry.
fn host(registry: &str) -> &str {
    let name = registry.split_once("://").map_or(registry, |(_, name)| name);
    name.split('/').next().unwrap_or(name)
}

async fn ask_if_allowed(
    helper: &str,
    registry: &str,
    project: Option<&Path>,
) -> Result<Option<DockerCredentials>, Unusable> {
    match project {
        Some(project) => ask(helper, registry, project).await.map(Some),
        None => Ok(None),
    }
}

async fn ask(helper: &str, registry: &str, project: &Path) -> Result<DockerCredentials, Unusable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    if helper.contains(['/', '\\']) {
        return Err(format!("`{helper}` is not the name of a credential helper").into());
    }
    let name = format!("docker-credential-{helper}");
    let program = programs::find(&name, &[project]).ok_or_else(|| format!("`{name}` is not on the `PATH`"))?;
    let call = Call {
        program,
        arguments: vec!["get".into()],
        folder: std::env::temp_dir(),
        // It is the user's own program and needs access to the user's keyring.
        variables: std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect(),
        input: OsString::from(registry),
    };
    let answer = programs::run(&call, LIMITS).await.map_err(|error| format!("`{name}` {error}"))?;
    if !answer.status.success() {
        return Err(format!("`{name}` failed ({})", answer.status).into());
    }
    let answer: Answer = serde_json::from_slice(&answer.output).map_err(|error| format!("`{name}`: {error}"))?;
    Ok(as_sent(
        match answer.username.as_str() {
            TOKEN_USER => DockerCredential::IdentityToken(answer.secret),
            _ => DockerCredential::UsernamePassword(answer.username, answer.secret),
        },
        registry,
    ))
}

fn as_sent(found: DockerCredential, registry: &str) -> DockerCredentials {
    let serveraddress = Some(registry.to_owned());
    match found {
        DockerCredential::IdentityToken(token) => {
            DockerCredentials { identitytoken: Some(token), serveraddress, ..DockerCredentials::default() }
        }
        DockerCredential::UsernamePassword(username, password) => DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress,
            ..DockerCredentials::default()
        },
    }
}

fn config_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    let folder = set("DOCKER_CONFIG").or_else(|| set(home).map(|home| home.join(".docker")))?;
    Some(folder.join("config.json"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_helper_is_configured_for_one_registry_or_for_all() {
        let mut config = json!({
            "credHelpers": {"https://index.docker.io/v1/": "hub", "registry.example:5000": "own", "empty.example": ""},
            "credsStore": "desktop",
            "auths": {"a": {}},
        });
        let helpers = Helpers::take(&mut config);
        assert_eq!(helpers.of("https://index.docker.io/v1/"), Some("hub"));
        assert_eq!(helpers.of("registry.example:5000"), Some("own"));
        assert_eq!((helpers.of("empty.example"), helpers.of("registry.example")), (None, None));
        assert_eq!((helpers.store.as_deref(), config), (Some("desktop"), json!({"auths": {"a": {}}})));
    }

    #[tokio::test]
    async fn a_helper_is_a_name_and_not_a_path() {
        let error = ask("../evil", "registry.example", Path::new("/")).await.unwrap_err();
        assert!(error.to_string().contains("is not the name"), "{error}");
    }
}
