//! The command line that opens a shell in a kept image in the cluster. It needs `kubectl`, and the rights that a run needs. Asks nothing.

use pipelens_core::plan::PlanStep;
use pipelens_core::shell::is_name;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cluster_settings::ClusterSettings;
use crate::error::EngineError;
use crate::fingerprint::short_name;
use crate::kubernetes::arguments::Arguments;
use crate::kubernetes::image::own_architecture;
use crate::kubernetes::names;
use crate::kubernetes::pod::{Extras, PodPlan};
use crate::owner::Owner;
use crate::snapshot::shell_word;

/// A pod that a person has forgotten ends by itself.
const LONGEST_SECONDS: u32 = 4 * 60 * 60;
/// How long a node may take to pull the image.
const START_SECONDS: u32 = 5 * 60;

/// Returns a line for a person's shell. The variables are given to the shell in the pod, and are no part of the pod.
pub(super) fn command(settings: &ClusterSettings, image: &str, step: &PlanStep) -> String {
    let name = format!("pipelens-shell-{}", short_name(Uuid::new_v4().as_bytes()));
    let pod = match pod(settings, &name, image, step) {
        Ok(pod) => pod,
        Err(error) => return format!("echo {}", shell_word(&error.to_string())),
    };
    let pod = shell_word(&pod.to_string());
    let kubectl = kubectl(settings);
    let script = shell_word(&script(step));
    format!(
        "{kubectl} run {name} --image={image} --restart=Never --overrides={pod} >/dev/null \
         && {kubectl} wait --for=condition=Ready --timeout={START_SECONDS}s pod/{name} >/dev/null \
         && {kubectl} exec -it {name} -- sh -c {script}; {kubectl} delete pod {name} --now --wait=false >/dev/null"
    )
}

fn kubectl(settings: &ClusterSettings) -> String {
    let file = settings.kubeconfig.as_ref().map(|file| file.to_string_lossy());
    let options = [
        ("kubeconfig", file.as_deref()),
        ("context", settings.context.as_deref()),
        ("namespace", settings.namespace.as_deref()),
    ];
    let given = options.iter().filter_map(|(name, value)| Some(format!(" --{name}={}", shell_word((*value)?))));
    format!("kubectl{}", given.collect::<String>())
}

/// Returns a pod like that of the step, which waits instead of serving. It belongs to no run and no process, so no sweep removes it.
fn pod(settings: &ClusterSettings, name: &str, image: &str, step: &PlanStep) -> Result<Value, EngineError> {
    let arguments = Arguments::of(step.runner_args.as_ref())?;
    let owner = Owner::this_process();
    let plan = PodPlan {
        name: name.to_owned(),
        run_id: Uuid::nil(),
        owner: &owner,
        images: vec![image.to_owned()],
        architecture: arguments.architecture.as_deref().unwrap_or(own_architecture()),
        workdir: Some(&step.workdir),
        arguments: &arguments,
        extras: &Extras::default(),
        patience_seconds: 0,
        avoided_nodes: Vec::new(),
        template: settings.pod_template.as_ref(),
    };
    let mut pod = plan.pod()?;
    for marks in ["/metadata/labels", "/metadata/annotations"] {
        if let Some(Value::Object(marks)) = pod.pointer_mut(marks) {
            marks.retain(|name, _| ![names::RUN, names::OWNER].contains(&name.as_str()));
        }
    }
    if let Some(command) = pod.pointer_mut("/spec/containers/0/command") {
        *command = json!(["sh", "-c", format!("sleep {LONGEST_SECONDS}")]);
    }
    Ok(pod)
}

/// Returns what the shell in the pod does before it is a person's.
fn script(step: &PlanStep) -> String {
    // A shell can set no others.
    let variables = step.env.iter().filter(|(name, _)| is_name(name));
    let exports = variables.map(|(name, value)| format!("export {name}={}; ", shell_word(value)));
    format!("cd {}; {}exec sh", shell_word(&step.workdir), exports.collect::<String>())
}
