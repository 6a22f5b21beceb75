//! Runs the program that a kubeconfig names for logging in (`exec`), and reads the credential it prints. It never gets the standard input of a server.

use std::collections::HashMap;
use std::env;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::kubernetes::kubeconfig;
use crate::kubernetes::kubeconfig_fields::Fields;
use crate::programs;

/// A person may have to log in with a browser.
const PATIENCE: Duration = Duration::from_secs(120);
/// No credential is longer than this.
const MOST_BYTES: u64 = 1 << 20;
/// How much of what it complains about is shown.
const MOST_CHARS: usize = 1_000;
/// A request takes a moment to arrive.
const EXPIRES_BEFORE: TimeDelta = TimeDelta::seconds(10);

/// A program, and whether it may talk to the user.
#[derive(Debug)]
pub(super) struct LoginProgram {
    config: ExecConfig,
    name: String,
    is_interactive: bool,
}

/// What a program has printed.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) token: Option<String>,
    /// A certificate and its key, in PEM.
    pub(super) certificate: Option<(String, String)>,
    expires: Option<DateTime<Utc>>,
}

impl Credential {
    pub(super) fn is_expiring(&self) -> bool {
        self.expires.is_some_and(|at| at <= Utc::now() + EXPIRES_BEFORE)
    }
}

impl LoginProgram {
    /// Errors are reasons without a full stop.
    pub(super) fn new(config: &ExecConfig, has_terminal: bool) -> Result<Self, String> {
        let name = config.command.clone().filter(|name| !name.is_empty());
        let name = name.ok_or("the kubeconfig's `exec` names no `command`")?;
        let may_ask = config.interactive_mode != Some(ExecInteractiveMode::Never);
        if config.interactive_mode == Some(ExecInteractiveMode::Always) && !has_terminal {
            return Err(format!(
                "the login program `{name}` of the kubeconfig needs a terminal (`interactiveMode: Always`). Run pipelens in one"
            ));
        }
        Ok(Self { config: config.clone(), name, is_interactive: may_ask && has_terminal })
    }

    pub(super) async fn run(&self) -> Result<Credential, String> {
        let name = &self.name;
        let output = tokio::time::timeout(PATIENCE, self.output()).await.unwrap_or_else(|_| {
            Err(format!("the login program `{name}` did not end within {} s", PATIENCE.as_secs()))
        })?;
        if !output.status.success() {
            let complaint = tail(&String::from_utf8_lossy(&output.stderr));
            let complaint = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
            return Err(format!("the login program `{name}` failed ({}){complaint}", output.status));
        }
        credential(&output.stdout)
            .map_err(|reason| format!("the login program `{name}` printed no credential: {reason}"))
    }

    async fn output(&self) -> Result<Output, String> {
        let name = &self.name;
        let failed = |error: &std::io::Error| format!("the login program `{name}` could not be read from: {error}");
        let (input, complaints) =
            if self.is_interactive { (Stdio::inherit(), Stdio::inherit()) } else { (Stdio::null(), Stdio::piped()) };
        let not_started = |why: &str| {
            let hint = self.config.install_hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty());
            let hint = hint.map(|hint| format!(". {}", hint.trim_end_matches('.'))).unwrap_or_default();
            format!("the login program `{name}` of the kubeconfig could not be started: {why}{hint}")
        };
        let file = if Path::new(name).components().count() > 1 { Some(name.into()) } else { programs::find(name, &[]) };
        let mut command = Command::new(file.ok_or_else(|| not_started("it is not on the `PATH`"))?);
        // Some look for parts of themselves where they are started, which must not be a project.
        if let Some(home) = env::home_dir().filter(|home| home.is_dir()) {
            command.current_dir(home);
        }
        let mut child = command
            .args(self.config.args.iter().flatten())
            .envs(self.config.env.iter().flatten().filter_map(variable))
            .env("KUBERNETES_EXEC_INFO", self.request())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(complaints)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(&error.to_string()))?;
        let (stdout, stderr) = tokio::join!(read(child.stdout.take()), read(child.stderr.take()));
        let (stdout, stderr) = (stdout.map_err(|error| failed(&error))?, stderr.map_err(|error| failed(&error))?);
        if stdout.len() as u64 > MOST_BYTES {
            return Err(format!("the login program `{name}` printed more than {MOST_BYTES} bytes"));
        }
        Ok(Output { status: child.wait().await.map_err(|error| failed(&error))?, stdout, stderr })
    }

    /// What the program is told.
    fn request(&self) -> String {
        let interactive = self.is_interactive;
        let spec = match &self.config.cluster {
            Some(cluster) => json!({ "interactive": interactive, "cluster": cluster }),
            None => json!({ "interactive": interactive }),
        };
        json!({ "kind": "ExecCredential", "apiVersion": self.config.api_version, "spec": spec }).to_string()
    }
}

fn variable(entry: &HashMap<String, String>) -> Option<(&String, &String)> {
    Some((entry.get("name")?, entry.get("value")?))
}

/// Reads a stream to its end, but keeps no more than is allowed, and one byte by which more can be told.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(MOST_BYTES + 1).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// Most programs print JSON, some YAML.
fn credential(printed: &[u8]) -> Result<Credential, String> {
    let value = kubeconfig::json(printed).map_err(|error| error.to_string())?;
    let fields = Fields::of(&value, "the answer".to_owned())?;
    let status = fields.mapping("status", |status| {
        let expires = status.text("expirationTimestamp")?.map(|at| {
            let at = DateTime::parse_from_rfc3339(&at).map_err(|_| status.wrong("expirationTimestamp", "a time"));
            at.map(|at| at.to_utc())
        });
        Ok(Credential {
            token: status.text("token")?,
            certificate: status.text("clientCertificateData")?.zip(status.text("clientKeyData")?),
            expires: expires.transpose()?,
        })
    })?;
    let credential = status.ok_or("`status` is missing")?;
    if credential.token.is_none() && credential.certificate.is_none() {
        return Err("`status` has neither `token` nor `clientCertificateData` and `clientKeyData`".to_owned());
    }
    Ok(credential)
}

/// The end of what a program has complained about, on one line.
fn tail(text: &str) -> String {
    let line = text
        .split(|char: char| char.is_control())
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let from = line.char_indices().rev().nth(MOST_CHARS - 1).map_or(0, |(at, _)| at);
    line[from..].trim_end_matches('.').to_owned()
}
