//! The persistent volume claims behind cache mounts. A claim has our labels and no lock: the locks are on this machine, and no other machine
//! uses the same claims. Knows no steps.

use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cluster_settings::ClusterSettings;
use crate::deadlines::Deadlines;
use crate::error::EngineError;
use crate::kubernetes::client::connect;
use crate::kubernetes::resources::{self, Claim};
use crate::kubernetes::{names, pods};
use crate::mounts::{Lease, Mounts};

/// The size of a claim, unless the user sets one. Most storage takes it as a limit.
const SIZE: &str = "10Gi";
/// What every storage offers. Whether it can be mounted on several nodes at once is not known beforehand.
const ACCESS: &str = "ReadWriteOnce";

/// The claims of a user in a namespace.
pub(super) struct Claims {
    settings: ClusterSettings,
    deadlines: Deadlines,
    mounts: Option<Mounts>,
    api: OnceCell<Api<Claim>>,
}

impl Claims {
    /// `mounts`: those that may be used; `None`: nothing outlives the run.
    pub(super) fn new(settings: ClusterSettings, deadlines: Deadlines, mounts: Option<Mounts>) -> Self {
        Self { settings, deadlines, mounts, api: OnceCell::new() }
    }

    pub(super) fn mounts(&self) -> Option<&Mounts> {
        self.mounts.as_ref()
    }

    pub(super) fn storage_class(&self) -> Option<&str> {
        self.settings.storage_class.as_deref()
    }

    /// Returns what tells the claims of two clusters or namespaces apart.
    pub(super) fn place(&self) -> String {
        let ClusterSettings { kubeconfig, context, namespace, storage_class, .. } = &self.settings;
        let kubeconfig = kubeconfig.as_deref().map(|path| path.display().to_string());
        let parts = [kubeconfig.as_ref(), context.as_ref(), namespace.as_ref(), storage_class.as_ref()];
        parts.map(|part| part.map_or("", String::as_str)).join("\n")
    }

    /// Connects to the cluster, once.
    async fn api(&self) -> Result<&Api<Claim>, EngineError> {
        let connecting = async {
            let (client, namespace) = connect(&self.settings).await?;
            Ok::<_, EngineError>(Api::namespaced(client, &namespace))
        };
        self.api.get_or_try_init(|| connecting).await
    }

    /// Makes the claim of a mount that is in use, unless there is one.
    pub(super) async fn make(&self, lease: &Lease) -> Result<(), EngineError> {
        const DOING: &str = "make the volume of a cache mount";
        let api = self.api().await?;
        let claim = self.claim(lease);
        match tokio::time::timeout(self.deadlines.work, resources::create(api, &claim)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(()),
            Ok(Err(error)) => Err(pods::refused(DOING, &error)),
            Err(_) => Err(pods::no_answer(DOING, self.deadlines.work)),
        }
    }

    fn claim(&self, lease: &Lease) -> Value {
        let (managed_by, pipelens) = names::MANAGED_BY;
        let cache_name = self.mounts.as_ref().map(Mounts::cache_name).unwrap_or_default();
        let size = self.settings.storage_size.as_deref().unwrap_or(SIZE);
        let metadata = json!({
            "name": names::claim(&lease.id),
            "labels": {
                managed_by: pipelens,
                names::CACHE: cache_name,
                // One that all projects share has none.
                names::WORKSPACE: lease.record.workspace,
            },
            // Too long for a label, and may have any characters.
            "annotations": { names::MOUNT: lease.record.name },
        });
        let spec = resources::fields(json!({
            "accessModes": [ACCESS],
            "resources": { "requests": { "storage": size } },
            "storageClassName": self.settings.storage_class,
        }));
        json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec })
    }

    /// Removes a mount with its claim. Returns `false` if it is in use, or cannot be removed.
    pub(super) async fn remove(&self, id: &str) -> bool {
        let Some(lease) = self.mounts.as_ref().and_then(|mounts| mounts.take(id)) else { return false };
        self.delete(&names::claim(id)).await && lease.forget().is_ok()
    }

    /// Removes the claims whose mounts are no longer recorded.
    pub(super) async fn sweep(&self) {
        let Some(mounts) = self.mounts.as_ref().filter(|_| self.storage_class().is_some()) else { return };
        let Ok(api) = self.api().await else { return };
        let own = ListParams::default().labels(&format!("{}={}", names::CACHE, mounts.cache_name()));
        let Ok(Ok(made)) = tokio::time::timeout(self.deadlines.tidying, api.list_metadata(&own)).await else { return };
        // A mount is recorded before its claim is made.
        let known: Vec<String> = mounts.kept(None, None).iter().map(|kept| names::claim(&kept.id)).collect();
        for claim in made.items.iter().map(|claim| claim.name_any()).filter(|name| !known.contains(name)) {
            self.delete(&claim).await;
        }
    }

    async fn delete(&self, name: &str) -> bool {
        let Ok(api) = self.api().await else { return false };
        let parameters = DeleteParams::default();
        match tokio::time::timeout(self.deadlines.work, api.delete(name, &parameters)).await {
            Ok(Ok(_)) => true,
            Ok(Err(kube::Error::Api(status))) => status.code == 404,
            Ok(Err(_)) | Err(_) => false,
        }
    }
}
