//! What the calls of a cluster and its nodes' container engines cost, without anything of ours between them.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, DeleteParams, PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::WatchEvent;
use kube::{Client, Config};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::bench::BUSYBOX;
use crate::cluster::{data, nodes, settings};

/// A cluster, as its own calls see it.
pub(crate) struct Floor {
    pods: Api<Pod>,
    registry: String,
}

impl Floor {
    pub(crate) async fn new() -> Self {
        let settings = settings().unwrap();
        let kubeconfig = Kubeconfig::read_from(settings.kubeconfig.unwrap()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let pods = Api::namespaced(Client::try_from(config).unwrap(), &settings.namespace.unwrap());
        let registry =
            settings.registry.trim_start_matches("http://").trim_end_matches("/pipelens-test/state").to_owned();
        Self { pods, registry }
    }

    /// A pod with one command on a node: created, watched until it runs, its command run, deleted.
    pub(crate) async fn pod(&self, node: &str) -> Duration {
        let began = Instant::now();
        let name = self.start(&format!("{}/{BUSYBOX}", self.registry), node).await;
        assert_eq!(self.exec(&name, "echo said").await, "said\n");
        self.delete(&name).await;
        began.elapsed()
    }

    /// The state of a container on one node, brought to another by the nodes' engines: what has changed saved as a layer, pushed, pulled,
    /// and a pod on each of two nodes started from it that runs a command. The time from the end of the change.
    pub(crate) async fn fork(&self, change: &str) -> Duration {
        let nodes = nodes();
        let (here, there) = (nodes.first().unwrap(), nodes.last().unwrap());
        let parent = format!("{}/{BUSYBOX}", self.registry);
        let image = format!("{}/pipelens-test/floor:{}", self.registry, uuid::Uuid::new_v4().simple());
        let container = docker(here, &["run", "--detach", &parent, "sleep", "1000"]);
        docker(here, &["exec", &container, "sh", "-c", change]);
        let began = Instant::now();
        docker(here, &["commit", "--pause=false", &container, &image]);
        docker(here, &["push", "--quiet", &image]);
        // As many pods as a fork has children.
        let child = async |node: &str| {
            let name = self.start(&image, node).await;
            assert_eq!(self.exec(&name, "echo said").await, "said\n");
            name
        };
        let names = tokio::join!(child(here), child(there));
        let took = began.elapsed();
        self.delete(&names.0).await;
        self.delete(&names.1).await;
        docker(here, &["rm", "--force", &container]);
        took
    }

    async fn start(&self, image: &str, node: &str) -> String {
        let name = format!("floor-{}", uuid::Uuid::new_v4().simple());
        let pod = json!({
            "metadata": { "name": name },
            "spec": {
                "nodeSelector": { "kubernetes.io/hostname": node },
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "terminationGracePeriodSeconds": 2,
                "containers": [{
                    "name": "step", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "1000"],
                }],
            },
        });
        let created = self.pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let version = created.metadata.resource_version.unwrap();
        let watch = WatchParams::default().fields(&format!("metadata.name={name}"));
        let mut events = std::pin::pin!(self.pods.watch(&watch, &version).await.unwrap());
        while let Some(event) = events.try_next().await.unwrap() {
            let WatchEvent::Modified(pod) = event else { continue };
            if pod.status.and_then(|status| status.phase).as_deref() == Some("Running") {
                return name;
            }
        }
        unreachable!("the watch ends")
    }

    async fn exec(&self, name: &str, command: &str) -> String {
        let mut process = self.pods.exec(name, ["sh", "-c", command], &AttachParams::default()).await.unwrap();
        let mut output = String::new();
        process.stdout().unwrap().read_to_string(&mut output).await.unwrap();
        output
    }

    async fn delete(&self, name: &str) {
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.pods.delete(name, &at_once).await.unwrap();
    }
}

/// Returns what the client of a node's engine prints, without the end of the line.
fn docker(node: &str, arguments: &[&str]) -> String {
    let host = format!("unix://{}", data().join(node).join("docker.sock").display());
    let output = Command::new("docker").args(["--host", &host]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
