//! Which cluster a user runs steps on, and how. Knows nothing about Kubernetes.

use std::path::PathBuf;

use serde_json::Value;

/// The settings of the `kubernetes` runner.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterSettings {
    /// The file with the clusters and the user's credentials; `None`: where `kubectl` finds it.
    pub kubeconfig: Option<PathBuf>,
    /// `None`: the current one of the file.
    pub context: Option<String>,
    /// `None`: the context's.
    pub namespace: Option<String>,
    /// A repository, such as `registry.example.com/team/pipelens`; `http://` in front of it means a registry without TLS.
    pub registry: String,
    /// What is added to the specification of each pod, such as `nodeSelector` and `tolerations`.
    pub pod_template: Option<Value>,
    /// The class of the volumes for cache mounts; `None`: they are not kept.
    pub storage_class: Option<String>,
    /// The size of each, such as `10Gi`; `None`: that one.
    pub storage_size: Option<String>,
    /// What tells projects apart in the registry, the same on every machine; `None`: results are not shared.
    pub project: Option<String>,
    /// Whether new results are shared.
    pub pushes: bool,
    /// Whether a user asks: then, credential helpers may be started. A prediction while the user types starts none.
    pub is_asked_by_user: bool,
}

/// One thing that is right or wrong with a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFact {
    pub is_good: bool,
    /// Without a full stop; with what to do if it is not good.
    pub text: String,
}
