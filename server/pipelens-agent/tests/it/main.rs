//! The agent as the first process of a small container: the tests' own, made with namespaces (needs root), and one of a Docker daemon.

#[cfg(test)]
#[cfg(target_os = "linux")]
mod commands;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod connections;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod container;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod engine;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod files;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod layers;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod registry;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod secrets;
#[cfg(test)]
#[cfg(target_os = "linux")]
#[path = "../../../../tests/skipped.rs"]
mod skipped;
