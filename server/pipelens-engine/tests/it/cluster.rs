//! The Kubernetes cluster of the tests, which `cargo xtask test kubernetes` starts. The other tests need none.

use pipelens_engine::cluster_settings::ClusterSettings;
use pipelens_engine::run::{Engines, RunRequest};
use uuid::Uuid;

#[cfg(feature = "kubernetes")]
pub(crate) use with_feature::{data, fault, nodes, with_pod_spec};

#[cfg(feature = "kubernetes")]
use with_feature as cluster;
#[cfg(not(feature = "kubernetes"))]
use without_feature as cluster;

/// Returns the runner of the cluster.
#[cfg(feature = "kubernetes")]
pub(crate) fn runner() -> crate::bench::Runner {
    cluster::runner()
}

/// Whether the tests have a cluster.
pub(crate) fn is_there() -> bool {
    cluster::is_there()
}

/// Calls `kubectl` as the cluster's administrator, and returns what it prints.
#[cfg(feature = "kubernetes")]
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    cluster::kubectl(arguments)
}

/// Returns the tags of a repository that begin like one of these.
#[cfg(feature = "kubernetes")]
pub(crate) fn tags(repository: &str, beginnings: &[&str]) -> Vec<String> {
    cluster::tags(repository, beginnings)
}

/// Returns where the tests' runners keep results.
pub(crate) fn engines() -> Engines {
    Engines { docker_host: crate::bench::docker_host(), cluster: settings() }
}

/// Returns the settings for the tests' cluster, if there is one.
pub(crate) fn settings() -> Option<ClusterSettings> {
    cluster::settings()
}

/// Points a request at the cluster and its registry, if it runs there.
pub(crate) fn adapt(request: &mut RunRequest) {
    cluster::adapt(request);
}

/// Asserts that a run has left no pod that still exists or is not about to go.
pub(crate) fn assert_nothing_left(run_id: Uuid) {
    cluster::assert_nothing_left(run_id);
}

#[cfg(not(feature = "kubernetes"))]
mod without_feature {
    use super::*;

    pub(super) fn is_there() -> bool {
        false
    }

    pub(super) fn settings() -> Option<ClusterSettings> {
        None
    }

    pub(super) fn adapt(_: &mut RunRequest) {}

    pub(super) fn assert_nothing_left(_: Uuid) {}
}

#[cfg(feature = "kubernetes")]
#[expect(clippy::unwrap_used, reason = "a test that has no cluster says so by failing")]
mod with_feature {
    use std::path::PathBuf;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use pipelens_core::plan::{BootsFrom, Value};
    use pipelens_engine::runners;
    use serde_json::json;

    use super::*;
    use crate::bench::Runner;

    const NAMESPACE: &str = "pipelens";
    const STORAGE_CLASS: &str = "shared";
    /// How long the API server takes to start again on a busy machine, at most.
    const PATIENCE: Duration = Duration::from_secs(60);

    pub(super) fn runner() -> Runner {
        runners::find("kubernetes").unwrap()
    }

    /// Returns the path of the file with the cluster's address.
    fn kubeconfig() -> Option<String> {
        let file = std::env::var("PIPELENS_TEST_KUBERNETES").ok().filter(|file| !file.is_empty());
        let required = std::env::var("PIPELENS_REQUIRE_KUBERNETES").is_ok_and(|value| value == "1");
        assert!(file.is_some() || !required, "PIPELENS_TEST_KUBERNETES is not set");
        file
    }

    pub(super) fn is_there() -> bool {
        kubeconfig().is_some()
    }

    /// Returns the place of the test images in the registry, which the nodes reach: `HOST:PORT/pipelens-test`.
    fn registry() -> Option<String> {
        std::env::var("PIPELENS_TEST_KUBERNETES_REGISTRY").ok()
    }

    pub(super) fn settings() -> Option<ClusterSettings> {
        is_there().then(|| ClusterSettings {
            kubeconfig: kubeconfig().map(Into::into),
            namespace: Some(NAMESPACE.to_owned()),
            registry: format!("http://{}/state", registry().unwrap()),
            storage_class: Some(STORAGE_CLASS.to_owned()),
            pushes: true,
            is_asked_by_user: true,
            ..ClusterSettings::default()
        })
    }

    pub(super) fn adapt(request: &mut RunRequest) {
        let runs_there = |name: Option<&str>| name.unwrap_or(request.runner.name()) == runner().name();
        let on_cluster: Vec<bool> = request.plan.steps.iter().map(|step| runs_there(step.runner.as_deref())).collect();
        if !on_cluster.contains(&true) {
            return;
        }
        let Some(registry) = registry() else { return };
        let prefix = registry.rsplit('/').next().unwrap_or_default().to_owned() + "/";
        let adapt = |image: &mut String| {
            if let Some(name) = image.strip_prefix(&prefix) {
                *image = format!("{registry}/{name}");
            }
        };
        for (step, _) in request.plan.steps.iter_mut().zip(on_cluster).filter(|(_, is_there)| *is_there) {
            if let BootsFrom::Image(image) = &mut step.boots_from {
                adapt(image);
            }
            images_of_services(step.runner_args.as_mut()).into_iter().for_each(adapt);
        }
        request.cluster = request.cluster.take().or_else(settings);
    }

    /// Returns the settings of a user whose pods have this in their specification.
    pub(crate) fn with_pod_spec(spec: &serde_json::Value) -> ClusterSettings {
        ClusterSettings { pod_template: Some(json!({ "spec": spec })), ..settings().unwrap() }
    }

    /// Injects a fault into the cluster, or ends it; see `cargo xtask cluster-fault`.
    pub(crate) fn fault(words: &[&str]) {
        let program = std::env::var("PIPELENS_TEST_KUBERNETES_FAULT").unwrap();
        let output = Command::new(program).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The names of the cluster's nodes.
    pub(crate) fn nodes() -> Vec<String> {
        kubectl(&["get", "nodes", "--output=name"]).lines().map(|name| name.replace("node/", "")).collect()
    }

    /// Where all files of the cluster are.
    pub(crate) fn data() -> PathBuf {
        std::env::var_os("PIPELENS_TEST_KUBERNETES_DATA").unwrap().into()
    }

    /// Returns the images of a step's services.
    fn images_of_services(arguments: Option<&mut Value>) -> Vec<&mut String> {
        let services = entries(arguments).filter(|(name, _)| name == "services").flat_map(|(_, it)| entries(Some(it)));
        let keys = services.flat_map(|(_, service)| entries(Some(service)));
        keys.filter(|(key, _)| key == "image").filter_map(|(_, image)| text(image)).collect()
    }

    fn text(value: &mut Value) -> Option<&mut String> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn entries(value: Option<&mut Value>) -> std::slice::IterMut<'_, (String, Value)> {
        match value {
            Some(Value::Map(entries)) => entries.iter_mut(),
            _ => [].iter_mut(),
        }
    }

    pub(super) fn kubectl(arguments: &[&str]) -> String {
        let kubeconfig = std::env::var("PIPELENS_TEST_KUBERNETES_ADMIN").unwrap();
        let namespace = ["--namespace", NAMESPACE, "--kubeconfig", &kubeconfig];
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = Command::new("kubectl").args(namespace).args(arguments).output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap();
            }
            // A test may have restarted the API server.
            assert!(complaint.contains("was refused") && Instant::now() < deadline, "{complaint}");
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// Asks with the login of the tests, as a person would.
    pub(super) fn tags(repository: &str, beginnings: &[&str]) -> Vec<String> {
        let folder = std::env::var("DOCKER_CONFIG").unwrap();
        let config = std::fs::read(format!("{folder}/config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        let (host, name) = repository.split_once('/').unwrap();
        let login = config.pointer(&format!("/auths/{host}/auth")).and_then(|it| it.as_str()).unwrap();
        let url = format!("http://{host}/v2/{name}/tags/list");
        let asked = Command::new("curl").args(["-sS", "-H", &format!("Authorization: Basic {login}"), &url]).output();
        let output = asked.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        // A repository whose last tag was removed has none.
        let tags = answer.get("tags").and_then(|it| it.as_array()).into_iter().flatten().filter_map(|tag| tag.as_str());
        tags.filter(|tag| beginnings.iter().any(|it| tag.starts_with(it))).map(str::to_owned).collect()
    }

    pub(super) fn assert_nothing_left(run_id: Uuid) {
        let selector = format!("--selector=pipelens.dev/run={run_id}");
        // One that is being deleted has a time.
        let left = kubectl(&[
            "get",
            "pods",
            &selector,
            "--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.deletionTimestamp}{'\\n'}{end}",
        ]);
        let left: Vec<&str> = left.lines().filter(|line| line.split_whitespace().count() == 1).collect();
        assert_eq!(left, [""; 0], "pods of {run_id}");
    }
}
