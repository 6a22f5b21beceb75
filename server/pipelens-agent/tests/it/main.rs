//! The agent as the first process of a small container: the tests' own, made with namespaces (needs root), and one of a Docker daemon.

#[cfg(target_os = "linux")]
mod commands;
#[cfg(target_os = "linux")]
mod connections;
#[cfg(target_os = "linux")]
mod container;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod layers;
#[cfg(target_os = "linux")]
mod registry;
#[cfg(target_os = "linux")]
mod secrets;
#[cfg(target_os = "linux")]
#[path = "../../../../tests/skipped.rs"]
mod skipped;
