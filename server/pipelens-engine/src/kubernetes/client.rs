//! The connection to the API server.

use kube::config::KubeConfigOptions;
use kube::{Client, Config};

use crate::cluster_settings::ClusterSettings;
use crate::error::{EngineError, with_causes};
use crate::kubernetes::kubeconfig;

/// Returns a client for the cluster that the user has chosen, and the namespace.
pub(super) async fn connect(settings: &ClusterSettings) -> Result<(Client, String), EngineError> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let failed = |error: &dyn std::error::Error| EngineError::ClusterSettings { reason: with_causes(error) };
    let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
    let read = kubeconfig::read(settings.kubeconfig.as_deref());
    let read = read.map_err(|reason| EngineError::ClusterSettings { reason })?;
    let mut config = Config::from_custom_kubeconfig(read, &options).await.map_err(|error| failed(&error))?;
    // An exec lasts as long as its step.
    config.read_timeout = None;
    config.write_timeout = None;
    let namespace = settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).map_err(|error| failed(&error))?;
    Ok((client, namespace))
}
