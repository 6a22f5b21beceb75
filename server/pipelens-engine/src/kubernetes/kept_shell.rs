//! The command line that opens a shell in what a failed step has left in the cluster, through the agent: it says everything that is needed, because
//! the file and the settings of that time may have changed since. Asks nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipelens_core::plan::{BootsFrom, Plan, PlanStep, Value};
use serde::{Deserialize, Serialize};

use crate::cluster_settings::ClusterSettings;

/// A shell in a kept image of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptShell {
    /// The name of the image, with its digest.
    pub image: String,
    registry: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_template: Option<serde_json::Value>,
    step: String,
    shell: Vec<String>,
    workdir: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Value>,
}

impl KeptShell {
    fn of(settings: &ClusterSettings, image: &str, step: &PlanStep) -> Self {
        Self {
            image: image.to_owned(),
            registry: settings.registry.clone(),
            kubeconfig: settings.kubeconfig.clone(),
            context: settings.context.clone(),
            namespace: settings.namespace.clone(),
            pod_template: settings.pod_template.clone(),
            step: step.key.clone(),
            shell: step.shell.clone(),
            workdir: step.workdir.clone(),
            env: step.env.as_ref().clone(),
            arguments: step.runner_args.as_ref().and_then(without_services),
        }
    }

    /// Reads what `command` has written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|error| error.to_string())?;
        serde_json::from_slice(&json).map_err(|error| error.to_string())
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Returns the cluster in which the step has run.
    pub fn cluster(&self) -> ClusterSettings {
        ClusterSettings {
            registry: self.registry.clone(),
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
            pod_template: self.pod_template.clone(),
            is_asked_by_user: true,
            ..ClusterSettings::default()
        }
    }

    /// Returns a plan with the step alone, without its services, cache mounts and secrets.
    pub fn plan(&self) -> Plan {
        let step = PlanStep {
            key: self.step.clone(),
            template: None,
            is_wanted: true,
            label: None,
            cmd: String::new(),
            shell: self.shell.clone(),
            boots_from: BootsFrom::Image(self.image.clone()),
            after: Vec::new(),
            env: Arc::new(self.env.clone()),
            timeout_seconds: None,
            workdir: self.workdir.clone(),
            cache: None,
            cache_mounts: Vec::new(),
            reuse: Default::default(),
            git: false,
            runner: None,
            runner_args: self.arguments.clone(),
            artifacts: Vec::new(),
            artifacts_when: Default::default(),
            needs_artifacts: Vec::new(),
            secrets: Vec::new(),
            soft_fail: false,
            retry: 0,
        };
        Plan { name: self.step.clone(), timeout_seconds: None, fail_fast: false, steps: vec![step] }
    }
}

/// For `serde`: a text without one of these is refused where it is used.
impl Default for KeptShell {
    fn default() -> Self {
        Self {
            image: String::new(),
            registry: String::new(),
            kubeconfig: None,
            context: None,
            namespace: None,
            pod_template: None,
            step: "step".to_owned(),
            shell: vec!["sh".to_owned()],
            workdir: "/".to_owned(),
            env: BTreeMap::new(),
            arguments: None,
        }
    }
}

/// Returns a line that every shell reads in the same way.
pub(super) fn command(settings: &ClusterSettings, image: &str, step: &PlanStep) -> String {
    format!("pipelens kept-shell {}", KeptShell::of(settings, image, step).encode())
}

fn without_services(arguments: &Value) -> Option<Value> {
    let Value::Map(entries) = arguments else { return None };
    let rest: Vec<_> = entries.iter().filter(|(name, _)| name != "services").cloned().collect();
    (!rest.is_empty()).then_some(Value::Map(rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_everything_that_the_shell_needs_and_has_no_character_that_a_shell_changes() {
        let settings = ClusterSettings {
            registry: "http://10.0.0.1:5000/state".into(),
            kubeconfig: Some("/home/me/it's mine/config".into()),
            context: Some("ci".into()),
            namespace: Some("pipelens".into()),
            pod_template: Some(json!({ "spec": { "nodeSelector": { "pool": "ci" } } })),
            is_asked_by_user: true,
            ..ClusterSettings::default()
        };
        let services = ("services".to_owned(), Value::Map(vec![("db".into(), Value::Null)]));
        let memory = ("memory".to_owned(), Value::Text("1g".into()));
        let hosts = ("extra_hosts".to_owned(), Value::List(vec![Value::List(vec![]), Value::Integer(-7)]));
        let mut step = KeptShell { step: "te st".into(), ..KeptShell::default() }.plan().steps.remove(0);
        step.env = Arc::new([("NAME".to_owned(), "it's $HOME \"ü\"".to_owned())].into());
        step.runner_args = Some(Value::Map(vec![memory.clone(), services, hosts.clone()]));
        step.secrets = vec!["TOKEN".into()];
        let line = command(&settings, "10.0.0.1:5000/state@sha256:00", &step);
        let text = line.strip_prefix("pipelens kept-shell ").unwrap();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
        let read = KeptShell::parse(text).unwrap();
        assert_eq!((read.cluster(), read.image.as_str()), (settings, "10.0.0.1:5000/state@sha256:00"));
        let expected = PlanStep {
            runner_args: Some(Value::Map(vec![memory, hosts])),
            secrets: Vec::new(),
            boots_from: BootsFrom::Image(read.image.clone()),
            ..step
        };
        assert_eq!(read.plan().steps, [expected]);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for text in ["", "!", "bm90IGpzb24", "WzFd"] {
            assert!(KeptShell::parse(text).is_err(), "{text}");
        }
    }
}
