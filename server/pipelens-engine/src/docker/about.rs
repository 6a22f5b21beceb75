//! An engine's information about itself. The answer takes a while, so it is requested once, and in advance if it will be needed soon.

use std::sync::{Arc, OnceLock};

use bollard::Docker;
use tokio::sync::OnceCell;
use tokio_util::task::AbortOnDropHandle;

use crate::docker::commit::CommitSettings;

/// Starting and ending a step is the engine's work, most of which is waiting for the kernel. With as many steps as CPUs, the CPUs idle for a
/// tenth of the time; with two more, twenty concurrent steps take as long as the engine's own calls (`cargo bench -- floor`).
const STEPS_ABOVE_CPUS: usize = 2;

/// One engine's answer, once it has been requested.
pub(super) struct About {
    docker: Docker,
    facts: Arc<OnceCell<Facts>>,
    /// Aborted when its owner is dropped, answered or not.
    asking: OnceLock<AbortOnDropHandle<()>>,
}

/// An engine's information about itself.
#[derive(Debug)]
pub(super) struct Facts {
    /// The engine's id.
    pub(super) name: String,
    /// How many steps it can run at once.
    pub(super) capacity: usize,
    pub(super) commit_settings: CommitSettings,
}

impl About {
    pub(super) fn new(docker: Docker) -> Self {
        Self { docker, facts: Arc::default(), asking: OnceLock::new() }
    }

    /// Asks in the background, before the answer is needed.
    pub(super) fn ask_ahead(&self) {
        let (docker, facts) = (self.docker.clone(), Arc::clone(&self.facts));
        self.asking.get_or_init(|| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                facts.get_or_init(|| ask(&docker)).await;
            }))
        });
    }

    pub(super) async fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| ask(&self.docker)).await
    }
}

/// An engine that does not answer is noticed by the first step.
async fn ask(docker: &Docker) -> Facts {
    let (info, version) = futures_util::future::join(docker.info(), docker.version()).await;
    let (info, version) = (info.unwrap_or_default(), version.unwrap_or_default());
    let is_podman =
        version.components.iter().flatten().any(|component| component.name.to_lowercase().contains("podman"));
    let cpus = info.ncpu.and_then(|cpus| usize::try_from(cpus).ok());
    Facts {
        name: if is_podman {
            // Podman returns a new id every time.
            format!("podman {} {}", info.name.unwrap_or_default(), info.docker_root_dir.unwrap_or_default())
        } else {
            info.id.unwrap_or_default()
        },
        capacity: cpus.unwrap_or(1).max(1) + STEPS_ABOVE_CPUS,
        commit_settings: if is_podman { CommitSettings::AsChanges } else { CommitSettings::InBody },
    }
}
