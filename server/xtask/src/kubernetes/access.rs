//! Who may do what in the cluster: users with tokens, the runner's role, and what pods get without asking.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::registry::Credentials;
use super::{Layout, addresses};

/// Where the tests' runner may do something.
pub(crate) const NAMESPACE: &str = "pipelens";
/// What volume claims may name: volumes that every node sees.
const STORAGE_CLASS: &str = "shared";
const PULL_SECRET: &str = "registry";

/// A user's name, and groups.
struct User {
    name: String,
    groups: &'static str,
    /// Names the file with the settings of its client.
    kubeconfig: String,
}

fn users(nodes: u8) -> Vec<User> {
    let user = |name: &str, groups, kubeconfig: &str| User {
        name: name.to_owned(),
        groups,
        kubeconfig: kubeconfig.to_owned(),
    };
    let mut users = vec![
        user("admin", "system:masters", "admin"),
        user("runner", "", "runner"),
        user("system:kube-scheduler", "", "scheduler"),
        user("controller-manager", "system:masters", "controller-manager"),
    ];
    users.extend((1..=nodes).map(|number| {
        let name = format!("node{number}");
        // All rights, for those that a node gets with a pod come late at times: then it pulls without a password, fails, and waits.
        user(&format!("system:node:{name}"), "system:nodes,system:masters", &name)
    }));
    users
}

/// Writes the tokens for the API server, and for each user the settings of its client. They name the API server's certificate, which it writes
/// when it starts.
pub(crate) fn write(layout: &Layout, nodes: u8) -> Result<()> {
    let mut tokens = String::new();
    for (number, user) in users(nodes).iter().enumerate() {
        let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        tokens += &format!("{token},{},{number},\"{}\"\n", user.name, user.groups);
        fs::write(layout.kubeconfig(&user.kubeconfig), kubeconfig(layout, &user.name, &token))?;
    }
    fs::write(layout.tokens(), tokens)?;
    fs::write(layout.audit_policy(), serde_json::to_vec_pretty(&audit_policy())?)?;
    let mut openssl = Command::new("openssl");
    openssl.args(["genrsa", "-out"]).arg(layout.service_account_key()).arg("2048").stderr(Stdio::null());
    crate::tools::run_command(&mut openssl)
}

fn kubeconfig(layout: &Layout, user: &str, token: &str) -> String {
    let (server, certificate) = (addresses::api(), layout.api_certificate());
    format!(
        "apiVersion: v1
kind: Config
current-context: cluster
clusters:
  - name: cluster
    cluster: {{server: \"{server}\", certificate-authority: \"{}\"}}
users:
  - name: \"{user}\"
    user: {{token: \"{token}\"}}
contexts:
  - name: cluster
    context: {{cluster: cluster, user: \"{user}\", namespace: {NAMESPACE}}}
",
        certificate.display()
    )
}

/// Every request of people is logged, with its address and without its body: a secret in an address is seen by many.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "rules": [
            { "level": "Metadata", "users": ["runner", "admin"], "omitStages": ["RequestReceived"] },
            { "level": "None" },
        ],
    })
}

/// Makes the runner's namespace, its role, and what belongs to it.
pub(crate) fn apply(layout: &Layout, credentials: &Credentials) -> Result<()> {
    let mut kubectl = layout.kubectl();
    kubectl.args(["apply", "--filename", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = kubectl.spawn().context("cannot start kubectl")?;
    let objects = serde_json::to_vec(&objects(credentials))?;
    process.stdin.take().context("kubectl has no input")?.write_all(&objects)?;
    let output = process.wait_with_output()?;
    ensure!(output.status.success(), "cannot set up the namespace: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn objects(credentials: &Credentials) -> Value {
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs });
    let named = |name: &str| json!({ "name": name, "namespace": NAMESPACE });
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } },
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": named(PULL_SECRET),
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": { ".dockerconfigjson": credentials.docker_config().to_string() },
            },
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": named("default"),
                // So that pods can pull although they name no secret, as most clusters are set up.
                "imagePullSecrets": [{ "name": PULL_SECRET }],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": named("runner"),
                "rules": [
                    rule("", "pods", &["create", "get", "list", "watch", "delete"]),
                    rule("", "pods/exec", &["create", "get"]),
                    rule("", "persistentvolumeclaims", &["create", "get", "list", "delete"]),
                    rule("", "pods/log", &["get"]),
                    rule("", "events", &["get", "list", "watch"]),
                ],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": named("runner"),
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runner" },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "runner" }],
            },
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": { "name": STORAGE_CLASS },
                "provisioner": "kubernetes.io/host-path",
            },
        ],
    })
}
