//! What a person is told about a cluster that can, or cannot, be used.

use futures_util::future::join_all;
use pipelens_engine::cluster_settings::ClusterSettings;
use pipelens_engine::survey::cluster as examine;
use serde_json::json;

use crate::bench::{Bench, is_available, step};
use crate::cluster::{self, kubectl};

async fn facts(settings: &ClusterSettings) -> (Vec<String>, Vec<String>) {
    let facts = examine(settings).await;
    let (good, trouble): (Vec<_>, Vec<_>) = facts.into_iter().partition(|fact| fact.is_good);
    let texts =
        |facts: Vec<pipelens_engine::cluster_settings::ClusterFact>| facts.into_iter().map(|it| it.text).collect();
    (texts(good), texts(trouble))
}

#[tokio::test]
async fn a_cluster_that_can_be_used_is_described_in_a_line_for_each_thing() {
    if !is_available(cluster::runner()) {
        return;
    }
    let settings = cluster::settings().unwrap();
    let (good, trouble) = facts(&settings).await;
    assert_eq!(trouble, [""; 0]);
    assert!(good[0].starts_with("context `cluster`, namespace `pipelens`: Kubernetes v"), "{good:?}");
    assert_eq!(good[1..3], ["you may create, get, list, watch, delete `pods`", "you may create, get `pods/exec`"]);
    assert_eq!(good[3], format!("registry `{}`: you may push to it", settings.registry.trim_start_matches("http://")));
    assert_eq!(good.len(), 5, "{good:?}");
}

/// The secret with which pods pull images.
const PULL_SECRET: &str = "registry";

/// A namespace in which the user has only some rights, and pods may pull.
struct Place {
    namespace: String,
}

impl Place {
    /// Takes resources, each with verbs.
    fn new(rights: &[(&str, &str)]) -> Self {
        let namespace = format!("survey-{}", uuid::Uuid::new_v4());
        kubectl(&["create", "namespace", &namespace]);
        let here = format!("--namespace={namespace}");
        for (number, (resource, verbs)) in rights.iter().enumerate() {
            let name = format!("role-{number}");
            let (verbs, resource) = (format!("--verb={verbs}"), format!("--resource={resource}"));
            kubectl(&["create", "role", &name, &verbs, &resource, &here]);
            kubectl(&["create", "rolebinding", &name, &format!("--role={name}"), "--user=runner", &here]);
        }
        let login = r#"--template={{index .data ".dockerconfigjson" | base64decode}}"#;
        let login = kubectl(&["get", "secret", PULL_SECRET, login]);
        let (kind, login) =
            ("--type=kubernetes.io/dockerconfigjson", format!("--from-literal=.dockerconfigjson={login}"));
        kubectl(&["create", "secret", "generic", PULL_SECRET, kind, &login, &here]);
        Self { namespace }
    }

    fn settings(&self) -> ClusterSettings {
        let pulling = json!({ "imagePullSecrets": [{ "name": PULL_SECRET }] });
        ClusterSettings { namespace: Some(self.namespace.clone()), ..cluster::with_pod_spec(&pulling) }
    }

    /// Runs a step here that cannot be run, and returns why.
    async fn error(&self) -> String {
        let mut bench = Bench::new(cluster::runner(), vec![step("step", "echo said")]);
        bench.request.cluster = Some(self.settings());
        bench.run().await.error_of("step").to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_misses_a_right_ends_with_the_name_of_the_right() {
    if !is_available(cluster::runner()) {
        return;
    }
    let exec = ("pods/exec", "create,get");
    let cases = [
        (vec![("pods", "get,list,watch,delete"), exec], "create a pod", "cannot create resource \"pods\""),
        (vec![("pods", "create,get,list,delete"), exec], "watch the pods of the run", "cannot watch resource \"pods\""),
        (vec![("pods", "create,get,watch,delete"), exec], "watch the pods of the run", "cannot list resource \"pods\""),
        (vec![("pods", "create,get,list,watch,delete")], "connect to a pod", "`pods/exec` is forbidden"),
    ];
    let errors = join_all(cases.iter().map(async |(rights, ..)| Place::new(rights).error().await)).await;
    for ((_, doing, missing), error) in cases.iter().zip(errors) {
        assert!(error.starts_with(&format!("The cluster could not {doing}: ")), "{error}");
        assert!(error.contains(missing), "{error}");
        let hint = "`pipelens doctor` shows which rights are missing; docs/kubernetes.md has the role.";
        assert!(error.ends_with(hint), "{error}");
    }
}

#[tokio::test]
async fn a_missing_right_is_named() {
    if !is_available(cluster::runner()) {
        return;
    }
    let place = Place::new(&[("pods", "create,get,list,watch,delete")]);
    let (good, trouble) = facts(&place.settings()).await;
    let namespace = &place.namespace;
    let missing = |verb: &str| {
        format!(
            "you may not `{verb}` `pods/exec` in the namespace `{namespace}`. Ask the cluster's administrator for the role in docs/kubernetes.md"
        )
    };
    assert_eq!(trouble, [missing("create"), missing("get")]);
    assert_eq!(good[1], "you may create, get, list, watch, delete `pods`");
}

#[tokio::test]
async fn what_does_not_answer_or_refuses_is_named_with_what_to_do() {
    if !is_available(cluster::runner()) {
        return;
    }
    let working = cluster::settings().unwrap();
    // Nothing listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_, trouble) = facts(&ClusterSettings { registry: format!("http://{closed}/state"), ..working.clone() }).await;
    assert_eq!(trouble.len(), 1, "{trouble:?}");
    assert!(trouble[0].starts_with(&format!("registry `{closed}/state` cannot be reached: ")), "{trouble:?}");
    assert!(trouble[0].ends_with("Check the setting `kubernetes.registry`"), "{trouble:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let kubeconfig = std::fs::read_to_string(working.kubeconfig.as_ref().unwrap()).unwrap();
    let server = kubeconfig.split("server: \"").nth(1).unwrap().split('"').next().unwrap();
    std::fs::write(&file, kubeconfig.replace(server, &format!("https://{closed}"))).unwrap();
    let (_, trouble) = facts(&ClusterSettings { kubeconfig: Some(file), ..working }).await;
    assert_eq!(trouble.len(), 1, "{trouble:?}");
    assert!(trouble[0].starts_with("the cluster of the context `cluster` does not answer: "), "{trouble:?}");
}
