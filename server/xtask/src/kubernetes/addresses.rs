//! Where everything is on the cluster's network, which exists in the sandbox only.

/// The interface that connects the nodes with each other and with the tests.
pub(crate) const BRIDGE: &str = "cluster0";
/// The address of the API server, of the registry, and of the tests.
pub(crate) const HOST: &str = "10.213.7.254";
pub(crate) const NETWORK: &str = "10.213.7.0/24";
pub(crate) const SERVICES: &str = "10.96.0.0/24";
pub(crate) const MAXIMUM_NODES: u8 = 9;

pub(crate) const API_PORT: u16 = 6443;
pub(crate) const REGISTRY_PORT: u16 = 5000;

pub(crate) fn node(number: u8) -> String {
    format!("10.213.7.{number}")
}

/// The addresses of a node's pods.
pub(crate) fn pods(number: u8) -> String {
    format!("10.88.{number}.0/24")
}

/// The address of a node among its pods.
pub(crate) fn docker_bridge(number: u8) -> String {
    format!("10.88.{number}.1/24")
}

pub(crate) fn api() -> String {
    format!("https://{HOST}:{API_PORT}")
}

pub(crate) fn registry() -> String {
    format!("{HOST}:{REGISTRY_PORT}")
}
