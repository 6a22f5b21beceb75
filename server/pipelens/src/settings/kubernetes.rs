//! The cluster of the `kubernetes` runner.

use std::path::{Path, PathBuf};

use pipelens_engine::cluster_settings::ClusterSettings;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The cluster of the `kubernetes` runner.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Kubernetes {
    /// A repository in a registry that the cluster's nodes and this machine reach, such as `registry.example.com/team/pipelens`. Sources, images and results of
    /// steps are kept there. `http://` in front of it means a registry without TLS.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) registry: String,
    /// The context in the kubeconfig file. Without it, the current one.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) context: Option<String>,
    /// The namespace of the pods. Without it, the context's.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) namespace: Option<String>,
    /// The kubeconfig file. Without it, the one that `kubectl` uses.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// What is added to every pod, in the form of a pod: of `spec`, `affinity`, `imagePullSecrets`, `nodeSelector`, `priorityClassName`, `runtimeClassName`,
    /// `schedulerName`, `serviceAccountName` and `tolerations`; of `metadata`, `labels` and `annotations`.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) pod_template: Option<Map<String, Value>>,
    /// The storage class of the volumes in which `cache_mounts` are kept. Without it, they are empty in every run.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) storage_class: Option<String>,
    /// The size of each of these volumes, such as `10Gi`, which it is without this setting.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) storage_size: Option<String>,
}

impl Kubernetes {
    /// Returns the cluster for a project, or for none, if its registry is set.
    pub(super) fn settings(&self, root: Option<&Path>, pushes: bool) -> Option<ClusterSettings> {
        (!self.registry.is_empty()).then(|| ClusterSettings {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
            registry: self.registry.clone(),
            pod_template: self.pod_template.clone().map(Value::Object),
            storage_class: self.storage_class.clone().filter(|class| !class.is_empty()),
            storage_size: self.storage_size.clone(),
            project: root.and_then(pipelens_engine::walk::origin),
            pushes,
            is_asked_by_user: true,
        })
    }
}
