//! What is asked about a container while a command runs in it, and its network.

use serde::{Deserialize, Serialize};

/// A short program that says something about the container. It is killed when the request is cancelled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskRequest {
    pub command: Vec<String>,
    /// Set over the container's own environment.
    pub variables: Vec<(String, String)>,
}

impl std::fmt::Debug for AskRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AskRequest").finish_non_exhaustive()
    }
}

/// What a program that was asked has said.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// 128 + the signal that killed it.
    pub exit_code: i32,
    /// The end of what it wrote, to either stream.
    pub said: String,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("exit_code", &self.exit_code).finish_non_exhaustive()
    }
}

/// A line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub address: String,
    pub name: String,
}
