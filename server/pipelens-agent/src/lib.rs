//! The pod agent: the first process of a step's container in a cluster, which carries out one command after another, and the client that
//! talks to it over any byte stream. Knows neither Kubernetes nor plans.
//!
//! - [`protocol`]: what both sides say. A connection may break at any byte and be made again; nothing is lost or said twice.
//! - [`client`] (feature `client`): the engine's side, for tokio.
//! - `agent` (feature `agent`, Linux): the container's side, with threads instead of an async runtime, so that the program stays small.

#[cfg(all(feature = "agent", target_os = "linux"))]
pub mod agent;
#[cfg(feature = "client")]
pub mod client;
pub mod protocol;
