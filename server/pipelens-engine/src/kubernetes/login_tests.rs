#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;

use kube::config::{AuthProviderConfig, ExecConfig, ExecInteractiveMode};
use serde_json::{Value, json};

use super::*;

/// A folder with a program that counts how often it has run.
struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("login");
        fs::write(&file, format!("#!/bin/sh\ncd '{}'\necho run >> runs\n{script}\n", folder.path().display())).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn printing(status: &Value) -> Self {
        Self::new(&format!("cat <<'END'\n{}\nEND", json!({ "kind": "ExecCredential", "status": status })))
    }

    fn config(&self) -> ExecConfig {
        ExecConfig {
            api_version: Some("client.authentication.k8s.io/v1".into()),
            command: Some(self.folder.path().join("login").display().to_string()),
            ..ExecConfig::default()
        }
    }

    fn login(&self, exec: ExecConfig) -> Login {
        Login::of(&AuthInfo { exec: Some(exec), ..AuthInfo::default() }, false).unwrap()
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.folder.path().join("runs")).unwrap_or_default().lines().count()
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

async fn text(login: &Login) -> String {
    login.header().await.unwrap().unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_or_a_password_is_sent_with_every_request_and_never_shown() {
    let token = AuthInfo { token: Some("abc".to_owned().into()), ..AuthInfo::default() };
    let login = Login::of(&token, false).unwrap();
    assert_eq!(text(&login).await, "Bearer abc");
    assert_eq!(format!("{:?}", login.header().await.unwrap()), "Some(Sensitive)");
    let password =
        AuthInfo { username: Some("me".into()), password: Some("it".to_owned().into()), ..AuthInfo::default() };
    assert_eq!(text(&Login::of(&password, false).unwrap()).await, "Basic bWU6aXQ=");
    assert_eq!(Login::of(&AuthInfo::default(), false).unwrap().header().await, Ok(None));
}

#[tokio::test]
async fn a_token_in_a_file_ends_with_its_line_and_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let user = AuthInfo { token_file: Some(file.display().to_string()), ..AuthInfo::default() };
    let error = Login::of(&user, false).err().unwrap();
    assert!(
        error.starts_with(&format!("the kubeconfig's `tokenFile` cannot be read from {}: ", file.display())),
        "{error}"
    );
    fs::write(&file, "abc\n").unwrap();
    assert_eq!(text(&Login::of(&user, false).unwrap()).await, "Bearer abc");
}

#[tokio::test]
async fn a_program_is_asked_again_only_when_its_token_expires_or_is_refused() {
    let lasting = Program::printing(&json!({ "token": "lasting", "expirationTimestamp": "2100-01-01T00:00:00Z" }));
    let login = lasting.login(lasting.config());
    assert_eq!(lasting.runs(), 0, "nothing is run before it is needed");
    for _ in 0..3 {
        assert_eq!(text(&login).await, "Bearer lasting");
    }
    assert_eq!(lasting.runs(), 1);
    let used = login.header().await.unwrap();
    login.was_refused(Some(&HeaderValue::from_static("Bearer older"))).await;
    text(&login).await;
    assert_eq!(lasting.runs(), 1);
    login.was_refused(used.as_ref()).await;
    text(&login).await;
    assert_eq!(lasting.runs(), 2);

    let expired = Program::printing(&json!({ "token": "old", "expirationTimestamp": "2001-01-01T00:00:00+02:00" }));
    let login = expired.login(expired.config());
    for _ in 0..3 {
        text(&login).await;
    }
    assert_eq!(expired.runs(), 3);
}

#[tokio::test]
async fn a_program_gets_what_the_kubeconfig_gives_it_and_no_input() {
    let program = Program::new(
        "echo \"$1 $GIVEN\" > given; echo \"$KUBERNETES_EXEC_INFO\" > info; cat > input; echo 'status: {token: yaml}'",
    );
    let given = [("name", "GIVEN"), ("value", "yes")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let exec = ExecConfig { args: Some(vec!["one".into()]), env: Some(vec![given.into()]), ..program.config() };
    assert_eq!(text(&program.login(exec)).await, "Bearer yaml");
    assert_eq!(program.file("given"), "one yes\n");
    assert_eq!(program.file("input"), "");
    let info: Value = serde_json::from_str(&program.file("info")).unwrap();
    let version = "client.authentication.k8s.io/v1";
    assert_eq!(info, json!({ "kind": "ExecCredential", "apiVersion": version, "spec": { "interactive": false } }));
}

#[tokio::test]
async fn what_a_program_does_wrong_is_said_in_its_words() {
    let error = |program: Program| async move { program.login(program.config()).header().await.unwrap_err() };
    let failed =
        error(Program::new("echo 'Your session has ended.' >&2; printf 'Run \\033[1mlogin' >&2; exit 3")).await;
    assert!(failed.ends_with("/login` failed (exit status: 3): Your session has ended. Run [1mlogin"), "{failed}");
    let silent = error(Program::new("exit 1")).await;
    assert!(silent.ends_with("/login` failed (exit status: 1)"), "{silent}");
    for (printed, expected) in [
        ("", "`status` is missing"),
        ("echo '{}'", "`status` is missing"),
        ("echo '[1]'", "the answer must be a mapping"),
        ("echo 'status: {token: 7}'", "`status.token` must be a text"),
        ("echo 'status: {token: a, expirationTimestamp: soon}'", "`status.expirationTimestamp` must be a time"),
        ("echo 'status: {}'", "`status` has neither `token` nor `clientCertificateData` and `clientKeyData`"),
        ("echo 'status: {clientCertificateData: a}'", "`status` has neither"),
        ("echo 'status: {clientCertificateData: a, clientKeyData: b}'", "the client certificate is no PEM"),
        ("head -c 2000000 /dev/zero", "printed more than 1048576 bytes"),
    ] {
        let error = error(Program::new(printed)).await;
        assert!(error.contains(expected), "{printed}: {error}");
    }
    let missing = Program::new("");
    let hint = Some("Install it with `apt install x`.".to_owned());
    let exec = ExecConfig { command: Some("/nowhere/login".into()), install_hint: hint, ..missing.config() };
    assert_eq!(
        missing.login(exec).header().await.unwrap_err(),
        "the login program `/nowhere/login` of the kubeconfig could not be started: No such file or directory (os error 2). \
         Install it with `apt install x`"
    );
    let exec = ExecConfig { command: Some("no-such-login".into()), ..missing.config() };
    let error = missing.login(exec).header().await.unwrap_err();
    assert!(
        error.ends_with("`no-such-login` of the kubeconfig could not be started: it is not on the `PATH`"),
        "{error}"
    );
}

#[test]
fn a_program_that_needs_a_terminal_is_not_run_without_one() {
    let exec =
        |mode| ExecConfig { command: Some("login".into()), interactive_mode: Some(mode), ..ExecConfig::default() };
    let user = |mode| AuthInfo { exec: Some(exec(mode)), ..AuthInfo::default() };
    let error = Login::of(&user(ExecInteractiveMode::Always), false).err().unwrap();
    assert!(error.contains("needs a terminal"), "{error}");
    assert!(Login::of(&user(ExecInteractiveMode::Always), true).is_ok());
    assert!(Login::of(&user(ExecInteractiveMode::Never), false).is_ok());
}

#[tokio::test]
async fn of_the_old_providers_only_a_token_that_is_there_can_be_used() {
    let user = |name: &str, config: &[(&str, &str)]| {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let provider = AuthProviderConfig { name: name.into(), config, ..AuthProviderConfig::default() };
        AuthInfo { auth_provider: Some(provider), ..AuthInfo::default() }
    };
    assert_eq!(text(&Login::of(&user("oidc", &[("id-token", "abc")]), false).unwrap()).await, "Bearer abc");
    let error = Login::of(&user("gcp", &[("cmd-path", "gcloud")]), false).err().unwrap();
    assert!(error.contains("`auth-provider` `gcp`, which Kubernetes no longer has"), "{error}");
}
