//! The network of a step whose services would listen on one port: there, each of those has an address of its own. Made with the step's container
//! and removed with it.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkingConfig};
use uuid::Uuid;

use crate::docker::client_error::refused;
use crate::docker::reap;
use crate::error::EngineError;

/// The network of a container that may reach nothing.
const NONE: &str = "none";
/// The networks that a container has if its step names none.
const DEFAULTS: [&str; 3] = ["default", "bridge", NONE];
/// Without an address of its own in the network, the engine's machine cannot be reached.
const WITHOUT_GATEWAY: &str = "com.docker.network.bridge.inhibit_ipv4";

pub(super) struct Network {
    docker: Docker,
    pub(super) name: String,
}

impl Network {
    /// Creates a network with these labels. `of_step` is the one that the step chooses for itself.
    pub(super) async fn create(
        docker: &Docker,
        labels: HashMap<String, String>,
        of_step: Option<&str>,
    ) -> Result<Self, EngineError> {
        let name = format!("pipelens-{}", Uuid::new_v4().simple());
        // A pipeline without a network must not get out through this one.
        let is_internal = of_step == Some(NONE);
        let options = HashMap::from([(WITHOUT_GATEWAY.to_owned(), "true".to_owned())]);
        let request = NetworkCreateRequest {
            name: name.clone(),
            internal: Some(is_internal),
            options: is_internal.then_some(options),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        };
        let created = docker.create_network(request).await;
        created.map_err(|error| refused("create a network", &error))?;
        Ok(Self { docker: docker.clone(), name })
    }

    /// Returns how a container is made that has only this network, with its names in it.
    pub(super) fn only(name: &str, aliases: Vec<String>) -> NetworkingConfig {
        NetworkingConfig { endpoints_config: Some(HashMap::from([(name.to_owned(), endpoint(aliases))])) }
    }

    /// Connects a container that also has another network.
    pub(super) async fn connect(&self, container: &str, aliases: Vec<String>) -> Result<(), EngineError> {
        let request =
            NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint(aliases)) };
        let connected = self.docker.connect_network(&self.name, request).await;
        connected.map_err(|error| refused("connect the container to a network", &error))
    }

    /// Removes it. One that could not be removed is found again by its label when the run closes.
    pub(super) async fn remove(self) {
        if let Some(problem) = reap::remove_network(&self.docker, &self.name).await {
            tracing::debug!(problem, "a network stays for now");
        }
    }
}

/// Whether a step leaves the choice of its network to us.
pub(super) fn is_default(network: Option<&str>) -> bool {
    network.is_none_or(|network| DEFAULTS.contains(&network))
}

fn endpoint(aliases: Vec<String>) -> EndpointSettings {
    EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() }
}
