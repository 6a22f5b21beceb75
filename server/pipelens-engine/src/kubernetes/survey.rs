//! Whether a cluster can be used, for a person who looks for the reason why something does not work. Creates nothing that stays.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use kube::Client;
use serde_json::{Value, json};

use crate::cluster_settings::{ClusterFact, ClusterSettings};
use crate::error::{EngineError, with_causes};
use crate::kubernetes::image::own_architecture;
use crate::kubernetes::registry::Registry;
use crate::kubernetes::{agent_program, client, kubeconfig, resources};

/// A person waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a run does in the cluster: resources, subresources and verbs.
const RIGHTS: [(&str, &str, &[&str]); 2] =
    [("pods", "", &["create", "get", "list", "watch", "delete"]), ("pods", "exec", &["create", "get"])];
/// Where the API server is asked what the user may do.
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const HOW_TO_GET_RIGHTS: &str = "Ask the cluster's administrator for the role in docs/kubernetes.md";

/// Asks the cluster and the registry of the settings.
pub async fn examine(settings: &ClusterSettings) -> Vec<ClusterFact> {
    let (mut facts, registry) = tokio::join!(cluster(settings), registry(settings));
    facts.push(registry);
    facts.push(match agent_program::program(own_architecture()).await {
        Ok(_) => good(format!("the agent for linux/{} is there", own_architecture())),
        Err(error) => trouble(error.sentence().trim_end_matches('.').to_owned()),
    });
    facts
}

async fn cluster(settings: &ClusterSettings) -> Vec<ClusterFact> {
    let context = settings.context.clone().or_else(|| current_context(settings));
    let context = context.unwrap_or_else(|| "none".to_owned());
    let away = |why: String| {
        trouble(format!(
            "the cluster of the context `{context}` does not answer: {why}. Check `kubectl --context {context} version`, and the setting \
             `kubernetes.context`"
        ))
    };
    let (client, namespace) = match client::connect(settings).await {
        Ok(connected) => connected,
        Err(error) => return vec![trouble(error.sentence().trim_end_matches('.').to_owned())],
    };
    let version = match tokio::time::timeout(PATIENCE, client.apiserver_version()).await {
        Ok(Ok(version)) => version.git_version,
        Ok(Err(error)) => return vec![away(with_causes(&error))],
        Err(_) => return vec![away(format!("it said nothing for {} s", PATIENCE.as_secs()))],
    };
    let mut facts = vec![good(format!("context `{context}`, namespace `{namespace}`: Kubernetes {version}"))];
    for (resource, subresource, verbs) in RIGHTS {
        let answers = join_all(verbs.iter().map(|verb| may(&client, &namespace, resource, subresource, verb)));
        let name = [resource, subresource].join("/");
        let name = name.trim_end_matches('/');
        let mut granted = Vec::new();
        for (verb, answer) in verbs.iter().zip(answers.await) {
            match answer {
                Ok(true) => granted.push(*verb),
                Ok(false) => facts.push(trouble(format!(
                    "you may not `{verb}` `{name}` in the namespace `{namespace}`. {HOW_TO_GET_RIGHTS}"
                ))),
                Err(why) => facts.push(trouble(format!(
                    "whether you may `{verb}` `{name}` in the namespace `{namespace}` is not known: {why}. {HOW_TO_GET_RIGHTS}"
                ))),
            }
        }
        if !granted.is_empty() {
            facts.push(good(format!("you may {} `{name}`", granted.join(", "))));
        }
    }
    facts
}

fn current_context(settings: &ClusterSettings) -> Option<String> {
    kubeconfig::read(settings.kubeconfig.as_deref()).ok()?.current_context
}

/// Whether the user has a right in a namespace; the error is a reason without a full stop.
async fn may(client: &Client, namespace: &str, resource: &str, subresource: &str, verb: &str) -> Result<bool, String> {
    let attributes = json!({ "namespace": namespace, "resource": resource, "subresource": subresource, "verb": verb });
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": attributes },
    });
    match tokio::time::timeout(PATIENCE, resources::create_at::<Value>(client, REVIEWS, &review)).await {
        Ok(Ok(review)) => Ok(review.pointer("/status/allowed") == Some(&Value::Bool(true))),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(_) => Err(format!("there was no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn registry(settings: &ClusterSettings) -> ClusterFact {
    let name = settings.registry.trim_start_matches("http://").trim_start_matches("https://");
    let host = name.split('/').next().unwrap_or_default();
    let asked = async {
        let registry =
            Registry::new(&settings.registry, own_architecture(), PathBuf::new(), settings.is_asked_by_user)?;
        tokio::time::timeout(PATIENCE, registry.try_upload()).await.unwrap_or_else(|_| {
            let reason = format!("it said nothing for {} s", PATIENCE.as_secs());
            Err(EngineError::Registry { doing: "begin an upload".to_owned(), reason, is_away: true })
        })
    };
    match asked.await {
        Ok(()) => good(format!("registry `{name}`: you may push to it")),
        Err(EngineError::Registry { reason, is_away: true, .. }) => {
            trouble(format!("registry `{name}` cannot be reached: {reason}. Check the setting `kubernetes.registry`"))
        }
        Err(EngineError::Registry { reason, .. }) => trouble(format!(
            "registry `{name}`: it does not accept what is pushed: {reason}. Check the setting `kubernetes.registry`, and your login \
             (`docker login {host}`)"
        )),
        Err(error) => trouble(error.sentence().trim_end_matches('.').to_owned()),
    }
}

fn good(text: String) -> ClusterFact {
    ClusterFact { is_good: true, text }
}

fn trouble(text: String) -> ClusterFact {
    ClusterFact { is_good: false, text }
}
