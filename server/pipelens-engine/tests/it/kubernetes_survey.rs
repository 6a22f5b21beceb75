//! What a person is told about a cluster that can, or cannot, be used.

use pipelens_engine::cluster_settings::ClusterSettings;
use pipelens_engine::survey::cluster as examine;

use crate::bench::is_available;
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

#[tokio::test]
async fn a_missing_right_is_named() {
    if !is_available(cluster::runner()) {
        return;
    }
    let namespace = format!("survey-{}", uuid::Uuid::new_v4());
    kubectl(&["create", "namespace", &namespace]);
    let here = format!("--namespace={namespace}");
    kubectl(&["create", "role", "some", "--verb=create,get,list,watch,delete", "--resource=pods", &here]);
    kubectl(&["create", "rolebinding", "some", "--role=some", "--user=runner", &here]);
    let settings = ClusterSettings { namespace: Some(namespace.clone()), ..cluster::settings().unwrap() };
    let (good, trouble) = facts(&settings).await;
    kubectl(&["delete", "namespace", &namespace, "--wait=false"]);
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
