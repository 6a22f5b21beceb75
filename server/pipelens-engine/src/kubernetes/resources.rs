//! The resources of Kubernetes: what the API server is asked to make, as JSON, and the few fields that are read of what it answers. The types of
//! all their fields would make the program larger by megabytes.

use std::borrow::Cow;

use kube::api::{Api, Execute, ObjectMeta, PostParams, Request};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A pod, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Pod {
    #[serde(default)]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: PodSpec,
    #[serde(default)]
    pub(super) status: PodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
    volumes: Option<Vec<PodVolume>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodVolume {
    persistent_volume_claim: Option<ClaimOfVolume>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimOfVolume {
    claim_name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    pub(super) conditions: Option<Vec<Condition>>,
    pub(super) container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(default)]
    pub(super) state: ContainerState,
}

/// At most one of these.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<Waiting>,
    pub(super) running: Option<Running>,
    pub(super) terminated: Option<Terminated>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Waiting {
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Running {}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Terminated {
    pub(super) exit_code: i32,
    pub(super) reason: Option<String>,
}

impl Pod {
    /// Whether a volume of the pod is the claim of this name.
    pub(super) fn uses_claim(&self, name: &str) -> bool {
        let volumes = self.spec.volumes.iter().flatten();
        volumes.flat_map(|volume| &volume.persistent_volume_claim).any(|claim| claim.claim_name == name)
    }
}

impl Execute for Pod {}

/// A persistent volume claim, of which nothing but its metadata is read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Claim {
    #[serde(default)]
    metadata: ObjectMeta,
}

/// Says which resource of the core API in a namespace a type stands for.
macro_rules! core_resource {
    ($type:ty, $kind:literal, $plural:literal) => {
        impl Resource for $type {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> Cow<'_, str> {
                "".into()
            }

            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

core_resource!(Pod, "Pod", "pods");
core_resource!(Claim, "PersistentVolumeClaim", "persistentvolumeclaims");

/// Returns the fields of a part of a resource, without those that are not set.
pub(super) fn fields(part: Value) -> Map<String, Value> {
    let Value::Object(mut fields) = part else { return Map::new() };
    fields.retain(|_, value| !value.is_null());
    fields
}

/// Makes a resource of a kind, and reads `K` of the answer.
pub(super) async fn create<K: Resource + Clone + DeserializeOwned>(api: &Api<K>, resource: &Value) -> kube::Result<K> {
    create_at(&api.clone().into_client(), api.resource_url(), resource).await
}

/// Makes a resource below a path of the API server, and reads `T` of its answer.
pub(super) async fn create_at<T: DeserializeOwned>(client: &Client, path: &str, resource: &Value) -> kube::Result<T> {
    let body = resource.to_string().into_bytes();
    let request = Request::new(path).create(&PostParams::default(), body).map_err(kube::Error::BuildRequest)?;
    client.request(request).await
}
