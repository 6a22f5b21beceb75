//! Which engine would be used, and what every place answered that was tried before.

use crate::deadlines::Deadlines;
use crate::docker::endpoint;
use crate::error::{EngineError, TriedPlace};

/// The answer to the question which engine would be used.
#[derive(Debug)]
pub struct EngineSurvey {
    /// The places that did not answer as an engine does.
    pub tried: Vec<TriedPlace>,
    pub found: Option<FoundEngine>,
}

/// An engine that answers.
#[derive(Debug)]
pub struct FoundEngine {
    /// Where the address comes from.
    pub from: String,
    pub address: String,
    pub version: Option<String>,
    pub api_version: Option<String>,
    /// `linux/amd64`
    pub platform: Option<String>,
    /// Whether it is on another machine, as far as its address tells.
    pub is_remote: bool,
    pub cpus: Option<i64>,
    pub memory_bytes: Option<i64>,
}

/// Asks for the engine as a run does.
pub async fn engine(docker_host: Option<&str>) -> EngineSurvey {
    let mut tried = Vec::new();
    let found = match endpoint::find_with(docker_host, None, Deadlines::default(), &mut tried).await {
        Ok((endpoint, from, address)) => {
            let (info, version) = futures_util::future::join(endpoint.docker.info(), endpoint.docker.version()).await;
            let (info, version) = (info.unwrap_or_default(), version.unwrap_or_default());
            let platform = version.os.zip(version.arch).map(|(system, machine)| format!("{system}/{machine}"));
            Some(FoundEngine {
                from,
                address,
                version: version.version,
                api_version: version.api_version,
                platform,
                is_remote: endpoint.is_remote,
                cpus: info.ncpu,
                memory_bytes: info.mem_total,
            })
        }
        Err(EngineError::Unreachable { tried: places }) => {
            tried = places;
            None
        }
        Err(_) => None,
    };
    EngineSurvey { tried, found }
}
