//! What a pod looks like to Kubernetes. Nothing in it says what a step does: commands, variables and secrets go to the agent.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSecurityContext, PodSpec,
    PreferredSchedulingTerm, SecurityContext, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use uuid::Uuid;

use crate::error::EngineError;
use crate::kubernetes::arguments::{Arguments, host_aliases};
use crate::kubernetes::image::Image;
use crate::kubernetes::names;
use crate::kubernetes::volumes::Volumes;
use crate::owner::Owner;

/// The longest time that a pod may exist, whatever happens to the process that made it.
const LONGEST_SECONDS: i64 = 24 * 60 * 60;
/// The agent ends at once: it has already ended what a step started.
const GRACE_SECONDS: i64 = 2;

/// What a pod is made from.
pub(super) struct PodPlan<'a> {
    pub(super) name: String,
    pub(super) run_id: Uuid,
    pub(super) owner: &'a Owner,
    /// The names of the images with the agent, for the first container and those beside it.
    pub(super) images: Vec<String>,
    pub(super) architecture: &'a str,
    /// Where the commands of the first container run; `None`: where its image says.
    pub(super) workdir: Option<&'a str>,
    pub(super) arguments: &'a Arguments,
    pub(super) extras: &'a Extras,
    /// How long the agent waits for a connection.
    pub(super) patience_seconds: u64,
    /// Nodes that it should not be on, unless there is no other.
    pub(super) avoided_nodes: Vec<String>,
    /// The user's template.
    pub(super) template: Option<&'a Value>,
}

/// What a pod has besides its first container and that one's image.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// What its first container mounts.
    pub(super) mounts: Vec<VolumeMount>,
    pub(super) beside: Vec<Beside>,
    pub(super) volumes: Volumes,
    /// Names and addresses for `/etc/hosts`.
    pub(super) hosts: Vec<(String, String)>,
    /// The group that volumes are given to, where they can be.
    pub(super) group: Option<u64>,
}

/// A container beside the first one.
#[derive(Debug)]
pub(super) struct Beside {
    /// Without the agent; `None`: that of the first container.
    pub(super) image: Option<Image>,
    pub(super) user: Option<(u64, Option<u64>)>,
    pub(super) mounts: Vec<VolumeMount>,
}

impl PodPlan<'_> {
    pub(super) fn pod(self) -> Result<Pod, EngineError> {
        let (arguments, extras) = (self.arguments, self.extras);
        let mut images = self.images.iter();
        let image = images.next().cloned().unwrap_or_default();
        let mut first = self.container(names::STEP_CONTAINER.to_owned(), image, arguments.user, &extras.mounts);
        first.working_dir = self.workdir.map(str::to_owned);
        first.resources = arguments.resources();
        let beside = images.zip(&extras.beside).enumerate().map(|(number, (image, beside))| {
            self.container(names::container_beside(number), image.clone(), beside.user, &beside.mounts)
        });
        let containers: Vec<Container> = std::iter::once(first).chain(beside).collect();
        let aliases = host_aliases(&extras.hosts);
        let volumes = extras.volumes.clone().into_inner();
        let group = extras.group.and_then(|group| i64::try_from(group).ok());
        let (managed_by, pipelens) = names::MANAGED_BY;
        let own = Pod {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(BTreeMap::from([
                    (managed_by.to_owned(), pipelens.to_owned()),
                    (names::RUN.to_owned(), self.run_id.to_string()),
                    (names::OWNER.to_owned(), names::owner_label(self.owner)),
                ])),
                annotations: Some(BTreeMap::from([(names::OWNER.to_owned(), self.owner.to_string())])),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec {
                containers,
                restart_policy: Some("Never".to_owned()),
                automount_service_account_token: Some(false),
                enable_service_links: Some(false),
                active_deadline_seconds: Some(LONGEST_SECONDS),
                termination_grace_period_seconds: Some(GRACE_SECONDS),
                node_selector: Some(BTreeMap::from([("kubernetes.io/arch".to_owned(), self.architecture.to_owned())])),
                host_aliases: (!aliases.is_empty()).then_some(aliases),
                volumes: (!volumes.is_empty()).then_some(volumes),
                security_context: group
                    .map(|group| PodSecurityContext { fs_group: Some(group), ..PodSecurityContext::default() }),
                ..PodSpec::default()
            }),
            status: None,
        };
        let mut pod = match self.template {
            Some(template) => with_template(&own, template)?,
            None => own,
        };
        if let (Some(spec), false) = (&mut pod.spec, self.avoided_nodes.is_empty()) {
            avoid(spec, self.avoided_nodes);
        }
        Ok(pod)
    }

    fn container(
        &self,
        name: String,
        image: String,
        user: Option<(u64, Option<u64>)>,
        mounts: &[VolumeMount],
    ) -> Container {
        Container {
            name,
            image: Some(image),
            // A digest never stands for something else.
            image_pull_policy: Some("IfNotPresent".to_owned()),
            command: Some(vec![
                names::AGENT.to_owned(),
                "serve".to_owned(),
                "--patience".to_owned(),
                self.patience_seconds.to_string(),
            ]),
            args: Some(Vec::new()),
            volume_mounts: (!mounts.is_empty()).then(|| mounts.to_vec()),
            security_context: Some(SecurityContext {
                privileged: Some(false),
                run_as_user: user.and_then(|(user, _)| i64::try_from(user).ok()),
                run_as_group: user.and_then(|(_, group)| i64::try_from(group?).ok()),
                // It could read the memory of the agent.
                capabilities: Some(Capabilities {
                    drop: Some(vec!["SYS_PTRACE".to_owned()]),
                    ..Capabilities::default()
                }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }
    }
}

/// Makes other nodes preferred, beside what the user's template asks for.
fn avoid(spec: &mut PodSpec, nodes: Vec<String>) {
    let elsewhere = NodeSelectorRequirement {
        key: "kubernetes.io/hostname".to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(nodes),
    };
    let preference = NodeSelectorTerm { match_expressions: Some(vec![elsewhere]), match_fields: None };
    let of_nodes = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    let preferred = of_nodes.preferred_during_scheduling_ignored_during_execution.get_or_insert_default();
    preferred.push(PreferredSchedulingTerm { preference, weight: 100 });
}

/// The fields of a pod's specification that a template may set. With any other one, a pod could get rights that a step must not have.
const TEMPLATE_FIELDS: [&str; 8] = [
    "affinity",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "serviceAccountName",
    "tolerations",
];

/// Adds what the user's template sets, which is a pod's `metadata` (labels and annotations) and `spec`.
fn with_template(own: &Pod, template: &Value) -> Result<Pod, EngineError> {
    let bad =
        |reason: String| EngineError::ClusterSettings { reason: format!("the pod template is not valid: {reason}") };
    let fields = template.as_object().ok_or_else(|| bad("it must be a mapping".to_owned()))?;
    let mut pod = serde_json::to_value(own).map_err(|error| bad(error.to_string()))?;
    for (part, value) in fields {
        let values = value.as_object().ok_or_else(|| bad(format!("`{part}` must be a mapping")))?;
        for (name, value) in values {
            let is_allowed = match part.as_str() {
                "spec" => TEMPLATE_FIELDS.contains(&name.as_str()),
                "metadata" => matches!(name.as_str(), "labels" | "annotations"),
                _ => false,
            };
            if !is_allowed {
                let allowed = TEMPLATE_FIELDS.map(|field| format!("`spec.{field}`")).join(", ");
                return Err(bad(format!(
                    "it sets `{part}.{name}`; it may set {allowed}, `metadata.labels` and `metadata.annotations`"
                )));
            }
            let place = pod.get_mut(part).and_then(Value::as_object_mut);
            let Some(place) = place else { return Err(bad(format!("`{part}` is not part of a pod"))) };
            match (place.get_mut(name).and_then(Value::as_object_mut), value.as_object()) {
                // What pipelens sets stays.
                (Some(ours), Some(theirs)) => {
                    for (key, value) in theirs {
                        ours.entry(key).or_insert_with(|| value.clone());
                    }
                }
                _ => drop(place.insert(name.clone(), value.clone())),
            }
        }
    }
    serde_json::from_value(pod).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(template: Option<&Value>) -> Result<Value, String> {
        let mut arguments = Arguments::default();
        arguments.user = Some((7, None));
        let plan = PodPlan {
            name: "pipelens-a-1".into(),
            run_id: Uuid::nil(),
            owner: &Owner::this_process(),
            images: vec!["registry/a@sha256:1".into()],
            architecture: "amd64",
            workdir: Some("/workspace"),
            arguments: &arguments,
            extras: &Extras::default(),
            patience_seconds: 15,
            avoided_nodes: vec!["node2".to_owned()],
            template,
        };
        plan.pod().map(|pod| serde_json::to_value(pod).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pod_has_no_rights_and_ends_for_good() {
        let pod = pod(None).unwrap();
        let spec = &pod["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["restartPolicy"], "Never");
        assert_eq!(spec["activeDeadlineSeconds"], LONGEST_SECONDS);
        assert_eq!(spec["hostNetwork"], Value::Null);
        assert_eq!(spec["containers"][0]["securityContext"]["privileged"], false);
        assert_eq!(spec["containers"][0]["securityContext"]["runAsUser"], 7);
    }

    #[test]
    fn a_template_adds_to_a_pod_and_takes_nothing_away() {
        let template = json!({
            "metadata": { "labels": { "team": "a", "pipelens.dev/run": "another" } },
            "spec": { "nodeSelector": { "disk": "ssd", "kubernetes.io/arch": "arm64" }, "tolerations": [{ "key": "ci" }] },
        });
        let pod = pod(Some(&template)).unwrap();
        assert_eq!(pod["metadata"]["labels"]["team"], "a");
        assert_eq!(pod["metadata"]["labels"]["pipelens.dev/run"], Uuid::nil().to_string());
        assert_eq!(pod["spec"]["nodeSelector"], json!({ "disk": "ssd", "kubernetes.io/arch": "amd64" }));
        assert_eq!(pod["spec"]["tolerations"][0]["key"], "ci");
    }

    #[test]
    fn nodes_that_were_lost_are_avoided_beside_what_a_template_prefers() {
        let required = json!({ "nodeSelectorTerms": [{ "matchFields": [] }] });
        let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } });
        let pod = pod(Some(&json!({ "spec": { "affinity": affinity } }))).unwrap();
        let of_nodes = &pod["spec"]["affinity"]["nodeAffinity"];
        assert!(of_nodes["requiredDuringSchedulingIgnoredDuringExecution"].is_object());
        let preferred = &of_nodes["preferredDuringSchedulingIgnoredDuringExecution"][0]["preference"];
        let expected = json!([{ "key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["node2"] }]);
        assert_eq!(preferred["matchExpressions"], expected);
    }

    #[test]
    fn a_template_gives_no_rights() {
        for (template, field) in [
            (json!({ "spec": { "hostNetwork": true } }), "`spec.hostNetwork`"),
            (json!({ "spec": { "volumes": [] } }), "`spec.volumes`"),
            (json!({ "spec": { "containers": [] } }), "`spec.containers`"),
            (json!({ "metadata": { "name": "a" } }), "`metadata.name`"),
        ] {
            assert!(pod(Some(&template)).unwrap_err().contains(&format!("it sets {field}")), "{field}");
        }
        assert!(pod(Some(&json!({ "spec": { "tolerations": 1 } }))).unwrap_err().contains("not valid"));
    }
}
