//! What a pod looks like to Kubernetes. Nothing in it says what a step does: commands, variables and secrets go to the agent.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::EngineError;
use crate::kubernetes::arguments::{Arguments, host_aliases};
use crate::kubernetes::image::Image;
use crate::kubernetes::names;
use crate::kubernetes::resources::fields;
use crate::kubernetes::volumes::{Mount, Volumes};
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
    pub(super) mounts: Vec<Mount>,
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
    pub(super) mounts: Vec<Mount>,
}

impl PodPlan<'_> {
    /// Returns the pod as the API server takes it.
    pub(super) fn pod(self) -> Result<Value, EngineError> {
        let (arguments, extras) = (self.arguments, self.extras);
        let mut images = self.images.iter();
        let image = images.next().map(String::as_str).unwrap_or_default();
        let mut first = self.container(names::STEP_CONTAINER, image, arguments.user, &extras.mounts);
        first.extend(self.workdir.map(|folder| ("workingDir".to_owned(), folder.into())));
        first.extend(arguments.resources().map(|resources| ("resources".to_owned(), resources)));
        let beside = images.zip(&extras.beside).enumerate().map(|(number, (image, beside))| {
            self.container(&names::container_beside(number), image, beside.user, &beside.mounts)
        });
        let containers: Vec<Map<String, Value>> = std::iter::once(first).chain(beside).collect();
        let mut spec = fields(json!({
            "containers": containers,
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "activeDeadlineSeconds": LONGEST_SECONDS,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "nodeSelector": { "kubernetes.io/arch": self.architecture },
            "hostAliases": (!extras.hosts.is_empty()).then(|| host_aliases(&extras.hosts)),
            "volumes": (!extras.volumes.is_empty()).then(|| extras.volumes.to_json()),
            "securityContext": extras.group.map(|group| json!({ "fsGroup": group })),
        }));
        let (managed_by, pipelens) = names::MANAGED_BY;
        let mut metadata = fields(json!({
            "name": self.name,
            "labels": {
                managed_by: pipelens,
                names::RUN: self.run_id.to_string(),
                names::OWNER: names::owner_label(self.owner),
            },
            "annotations": { names::OWNER: self.owner.to_string() },
        }));
        if let Some(template) = self.template {
            add_template(&mut metadata, &mut spec, template)?;
        }
        if !self.avoided_nodes.is_empty() {
            avoid(&mut spec, self.avoided_nodes)?;
        }
        Ok(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }))
    }

    fn container(
        &self,
        name: &str,
        image: &str,
        user: Option<(u64, Option<u64>)>,
        mounts: &[Mount],
    ) -> Map<String, Value> {
        fields(json!({
            "name": name,
            "image": image,
            // A digest never stands for something else.
            "imagePullPolicy": "IfNotPresent",
            "command": [names::AGENT, "serve", "--patience", self.patience_seconds.to_string()],
            "args": [],
            "volumeMounts": (!mounts.is_empty()).then(|| mounts.iter().map(Mount::to_json).collect::<Value>()),
            "securityContext": fields(json!({
                "privileged": false,
                "runAsUser": user.map(|(user, _)| user),
                "runAsGroup": user.and_then(|(_, group)| group),
                // It could read the memory of the agent.
                "capabilities": { "drop": ["SYS_PTRACE"] },
            })),
        }))
    }
}

/// Makes other nodes preferred, beside what the user's template asks for.
fn avoid(spec: &mut Map<String, Value>, nodes: Vec<String>) -> Result<(), EngineError> {
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let elsewhere = json!({ "key": "kubernetes.io/hostname", "operator": "NotIn", "values": nodes });
    let preference = json!({ "weight": 100, "preference": { "matchExpressions": [elsewhere] } });
    let of_nodes = mapping_in(mapping_in(spec, "affinity")?, "nodeAffinity")?;
    let preferred = of_nodes.entry(PREFERRED).or_insert_with(|| json!([]));
    let preferred = preferred.as_array_mut().ok_or_else(|| bad_template(&format!("`{PREFERRED}` must be a list")))?;
    preferred.push(preference);
    Ok(())
}

/// Returns a field that is a mapping, which is empty if it is not set.
fn mapping_in<'a>(of: &'a mut Map<String, Value>, name: &str) -> Result<&'a mut Map<String, Value>, EngineError> {
    let value = of.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut().ok_or_else(|| bad_template(&format!("`{name}` must be a mapping")))
}

fn bad_template(reason: &str) -> EngineError {
    EngineError::ClusterSettings { reason: format!("the pod template is not valid: {reason}") }
}

/// What a field takes, and how that is called.
type Kind = (fn(&Value) -> bool, &'static str);

const TEXT: Kind = (Value::is_string, "a text");
const LIST: Kind = (Value::is_array, "a list");
const MAPPING: Kind = (Value::is_object, "a mapping");

/// The fields of a pod's specification that a template may set. With any other one, a pod could get rights that a step must not have.
const TEMPLATE_FIELDS: [(&str, Kind); 8] = [
    ("affinity", MAPPING),
    ("imagePullSecrets", LIST),
    ("nodeSelector", MAPPING),
    ("priorityClassName", TEXT),
    ("runtimeClassName", TEXT),
    ("schedulerName", TEXT),
    ("serviceAccountName", TEXT),
    ("tolerations", LIST),
];
const TEMPLATE_METADATA: [(&str, Kind); 2] = [("labels", MAPPING), ("annotations", MAPPING)];

/// Adds what the user's template sets, which is a pod's `metadata` (labels and annotations) and `spec`. What is inside a field is for the API
/// server to check.
fn add_template(
    metadata: &mut Map<String, Value>,
    spec: &mut Map<String, Value>,
    template: &Value,
) -> Result<(), EngineError> {
    let parts = template.as_object().ok_or_else(|| bad_template("it must be a mapping"))?;
    for (part, value) in parts {
        let given = value.as_object().ok_or_else(|| bad_template(&format!("`{part}` must be a mapping")))?;
        let (allowed, own) = match part.as_str() {
            "spec" => (TEMPLATE_FIELDS.as_slice(), &mut *spec),
            "metadata" => (TEMPLATE_METADATA.as_slice(), &mut *metadata),
            _ => (&[] as &[_], &mut *metadata),
        };
        for (name, value) in given {
            let Some((_, (is_right, wanted))) = allowed.iter().find(|(field, _)| field == name) else {
                let allowed = TEMPLATE_FIELDS.map(|(field, _)| format!("`spec.{field}`")).join(", ");
                return Err(bad_template(&format!(
                    "it sets `{part}.{name}`; it may set {allowed}, `metadata.labels` and `metadata.annotations`"
                )));
            };
            // A field without a value is not set.
            if value.is_null() {
                continue;
            }
            if !is_right(value) {
                return Err(bad_template(&format!("`{part}.{name}` must be {wanted}")));
            }
            let place = own.entry(name).or_insert(Value::Null);
            match (place.as_object_mut(), value.as_object()) {
                // What pipelens sets stays.
                (Some(ours), Some(theirs)) => {
                    for (key, value) in theirs {
                        ours.entry(key).or_insert_with(|| value.clone());
                    }
                }
                _ => *place = value.clone(),
            }
        }
    }
    Ok(())
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
        plan.pod().map_err(|error| error.to_string())
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
            "spec": {
                "nodeSelector": { "disk": "ssd", "kubernetes.io/arch": "arm64" },
                "tolerations": [{ "key": "ci" }],
                "affinity": null,
            },
        });
        let pod = pod(Some(&template)).unwrap();
        assert_eq!(pod["metadata"]["labels"]["team"], "a");
        assert_eq!(pod["metadata"]["labels"]["pipelens.dev/run"], Uuid::nil().to_string());
        assert_eq!(pod["spec"]["nodeSelector"], json!({ "disk": "ssd", "kubernetes.io/arch": "amd64" }));
        assert_eq!(pod["spec"]["tolerations"][0]["key"], "ci");
        assert!(pod["spec"]["affinity"]["nodeAffinity"].is_object());
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
        for (field, value, wanted) in [
            ("tolerations", json!(1), "a list"),
            ("affinity", json!([]), "a mapping"),
            ("schedulerName", json!({}), "a text"),
        ] {
            let refused = pod(Some(&json!({ "spec": { field: value } }))).unwrap_err();
            assert!(refused.contains(&format!("not valid: `spec.{field}` must be {wanted}")), "{refused}");
        }
        let affinity = json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": 7 } });
        assert!(pod(Some(&json!({ "spec": { "affinity": affinity } }))).unwrap_err().contains("must be a list"));
    }
}
