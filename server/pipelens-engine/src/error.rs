//! Why the engine could not do what it was asked: one variant per cause. A failing command is an outcome, not an error.

use std::path::PathBuf;

use pipelens_core::runners;
use thiserror::Error;

use crate::files::Unreadable;
use crate::store::store_error::StoreError;
use crate::walk::WalkError;

/// Why the engine could not do what it was asked.
#[derive(Debug, Error)]
pub enum EngineError {
    #[error("No container engine answered.{}", list(tried))]
    Unreachable { tried: Vec<TriedPlace> },
    #[error("The connection to the container engine was lost: {reason}.")]
    Lost { reason: String },
    #[error("Image `{image}` was not found: {reason}.")]
    ImageNotFound { image: String, reason: String },
    #[error("The registry denied access to `{image}`: {reason}.")]
    RegistryRefused { image: String, reason: String },
    #[error("Image `{image}` could not be pulled: {reason}.")]
    PullFailed { image: String, reason: String },
    #[error(
        "Image `{image}` declares {}, whose files are lost between steps, and the engine has no way to use it without: {reason}.",
        volumes_of(volumes)
    )]
    Volumes { image: String, volumes: Vec<String>, reason: String },
    #[error("Image `{image}` has no shell: {reason}.")]
    NoShell { image: String, reason: String },
    #[error("The container engine could not {doing}: {reason}.")]
    Refused { doing: &'static str, reason: String },
    #[error("The snapshot of the step could not be saved: {reason}.")]
    SnapshotRefused { reason: String },
    #[error("It is unknown how the command ended: {reason}.")]
    NoReport { reason: String },
    #[error("The step's container ran out of memory and was killed.")]
    OutOfMemory,
    #[error("The engine did not report how the command ended: {reason}.")]
    UnknownExitCode { reason: String },
    #[error("The sources could not be read: `{}`: {source}.", path.display())]
    Sources { path: PathBuf, source: std::io::Error },
    /// Without the rules, it is unknown which files must not be sent.
    #[error("The ignore rules in `{}` cannot be used: {reason}.", path.display())]
    IgnoreRules { path: PathBuf, reason: Unreadable },
    #[error("Secret `{name}` has no value.")]
    MissingSecret { name: String },
    #[error("The variable `{name}` cannot be passed to a step: {reason}.")]
    BadVariable { name: String, reason: &'static str },
    #[error("Unknown runner `{name}`; expected {}.", runners::listed())]
    UnknownRunner { name: String },
    #[error("The step builds in `{parent}`, which left nothing that this runner can start from.")]
    NoSnapshot { parent: String },
    #[error("The working directory `{workdir}` is outside `/workspace`.")]
    WorkdirOutside { workdir: String },
    #[error("The step has `services`, which are containers, but it runs on the host.")]
    ServicesOnHost,
    #[error("Service `{name}`: {error}")]
    Service { name: String, error: Box<EngineError> },
    #[error("Service `{name}` needs a shell for its `{key}`, but its image `{image}` has no `sh`.")]
    ServiceWithoutShell { name: String, key: &'static str, image: String },
    #[error("Service `{name}` has nothing to run: its image `{image}` has no command.")]
    ServiceWithoutCommand { name: String, image: String },
    #[error("Service `{name}` {ended} before it was ready{question}.{said}")]
    ServiceEnded { name: String, ended: String, question: String, said: ServiceOutput },
    #[error("Service `{name}` was not ready within {seconds} s: {answer}.{said}")]
    ServiceNotReady { name: String, seconds: u64, answer: String, said: ServiceOutput },
    #[error("The project directory `{}` cannot be opened: {source}.", path.display())]
    Project { path: PathBuf, source: std::io::Error },
    #[error("The store of earlier results cannot be used: {0}.")]
    Store(#[from] StoreError),
    #[error("The `kubernetes` runner is not set up: {reason}.")]
    ClusterSettings { reason: String },
    #[error("Logging in to the cluster failed: {reason}.")]
    ClusterLogin { reason: String },
    #[error("The cluster could not {doing}: {reason}.")]
    Cluster { doing: &'static str, reason: String },
    #[error("The cluster's registry could not {doing}: {reason}.")]
    Registry {
        doing: String,
        reason: String,
        /// It did not answer, which may pass.
        is_away: bool,
    },
    #[error("The step's pod ended before its command did: {reason}.")]
    PodEnded { reason: String },
    #[error("The connection to the step's pod was lost: {reason}.")]
    PodLost { reason: String },
    #[error("The step's pod did not start within {seconds} s: {reason}.")]
    PodNotStarted { seconds: u64, reason: String },
    #[error("This pipelens has no agent for `{architecture}` machines.")]
    NoAgent { architecture: String },
    #[error("The `host` runner does not support this operating system.")]
    HostUnsupported,
    #[error("The artifacts of `{step}` could not be read: `{}`: {source}.", path.display())]
    Artifacts { step: String, path: PathBuf, source: std::io::Error },
    #[error("The artifacts of `{step}` are not complete, because some did not fit, and this step needs them.")]
    ArtifactsIncomplete { step: String },
    #[error("{doing} failed: `{}`: {source}.", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("The cache mount `{path}` cannot be used: {source}.")]
    CacheMount { path: String, source: std::io::Error },
    #[error("The shell could not be started: {source}.")]
    Spawn { source: std::io::Error },
    #[error("The terminal cannot be used: {source}.")]
    Terminal { source: std::io::Error },
    #[error("What `{step}` left when it failed is not kept.")]
    NoFailure { step: String },
}

impl From<WalkError> for EngineError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Rules { path, reason } => Self::IgnoreRules { path, reason },
            WalkError::Entry { path, source } => Self::Sources { path, source },
        }
    }
}

/// A place where an engine might have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedPlace {
    /// Where the address comes from: `DOCKER_HOST`, a context, the name of a product.
    pub from: String,
    pub address: String,
    /// The answer.
    pub answer: String,
}

/// The longest line shown, in characters; the file has the rest.
const LONGEST_SHOWN_LINE: usize = 400;

/// A service's last output, as an error shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOutput {
    /// Masked.
    pub last_lines: Vec<String>,
    pub file: PathBuf,
}

impl std::fmt::Display for ServiceOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.last_lines.is_empty() {
            return f.write_str(" It wrote no output.");
        }
        write!(f, " Its last lines (the full output is in `{}`):", self.file.display())?;
        self.last_lines.iter().try_for_each(|line| {
            let end = line.char_indices().nth(LONGEST_SHOWN_LINE).map_or(line.len(), |(end, _)| end);
            let (shown, rest) = line.split_at(end);
            write!(f, "\n  {shown}{}", if rest.is_empty() { "" } else { "…" })
        })
    }
}

impl EngineError {
    /// Whether a step had no result because of the machine on which it ran or was to run: on another one it may have one.
    pub(crate) fn is_of_its_machine(&self) -> bool {
        matches!(self, Self::PodEnded { .. } | Self::PodLost { .. } | Self::PodNotStarted { .. })
    }

    /// Returns what to do about it, if there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => {
                Some("Start Docker (or a compatible engine), or set `DOCKER_HOST` to its address.")
            }
            Self::Lost { .. } => Some("Check that it is running, then run again."),
            Self::NoReport { .. } => Some("The step counts as neither passed nor failed. Run it again."),
            Self::OutOfMemory => Some("Raise its `memory` in `runner_args`, or give the engine more memory."),
            Self::ImageNotFound { .. } => Some("Check the name and the tag; a private image needs `docker login`."),
            Self::RegistryRefused { .. } => {
                Some("Log in with `docker login`, and check that you have access to the image.")
            }
            Self::PullFailed { .. } => Some("Check the network, then run again."),
            Self::NoShell { .. } => Some("Steps are run by `sh -c`. Use an image that has `sh`."),
            Self::SnapshotRefused { reason } if reason.contains("max depth") => {
                Some("The chain of saved steps is too long for the engine. Shorten the chain of `builds_in`.")
            }
            Self::Volumes { .. } => Some("Use an image without `VOLUME`."),
            Self::SnapshotRefused { .. } => Some("Check the engine's free disk space."),
            Self::IgnoreRules { .. } => Some(
                "Make it a text file of at most a few hundred lines, or remove it. It decides which files a step gets.",
            ),
            Self::MissingSecret { .. } => Some("Set it in the environment or in the secrets file."),
            Self::NoSnapshot { .. } => Some("A step and the step it builds in must use the same runner."),
            Self::WorkdirOutside { .. } => Some("On the host, use `/workspace` or a directory in it."),
            Self::ClusterSettings { .. } => Some(
                "Set `pipelens.kubernetes` in your editor, or `kubernetes` in your settings file: see docs/kubernetes.md.",
            ),
            Self::ClusterLogin { .. } => Some("Log in as you do for `kubectl`, then run again."),
            // As an API server says that a right is missing.
            Self::Cluster { reason, .. } if reason.contains("is forbidden") && reason.contains(" cannot ") => {
                Some("`pipelens doctor` shows which rights are missing; docs/kubernetes.md has the role.")
            }
            Self::Registry { .. } => Some("Check its address and your login (`docker login`)."),
            Self::PodEnded { .. } | Self::PodLost { .. } => {
                Some("The step counts as neither passed nor failed. Run it again.")
            }
            Self::PodNotStarted { .. } => {
                Some("Check the cluster's free capacity, and the step's `memory` and `cpus`.")
            }
            Self::NoAgent { .. } => Some(
                "Use a released pipelens, or build the agent with `cargo xtask agent` and name its folder in `PIPELENS_AGENTS`.",
            ),
            Self::HostUnsupported => Some("Use the `docker` runner."),
            Self::NoFailure { .. } => {
                Some("Run the step first; `pipelens clean` and the limits of the cache remove what failed steps left.")
            }
            Self::ServicesOnHost => Some("Use the `docker` runner for it, or remove `services`."),
            Self::Service { error, .. } => error.hint(),
            Self::ServiceWithoutShell { .. } => {
                Some("Remove the key, give `ready` the number of a port, or use an image that has `sh`.")
            }
            Self::ServiceWithoutCommand { .. } => Some("Give it a `cmd`."),
            Self::ServiceEnded { .. } => Some("Check its `image`, `env` and `cmd`."),
            Self::ServiceNotReady { .. } => {
                Some("Check its `ready`, or give it more time with `ready_within_seconds`.")
            }
            Self::Cluster { .. }
            | Self::Refused { .. }
            | Self::UnknownExitCode { .. }
            | Self::Sources { .. }
            | Self::BadVariable { .. }
            | Self::UnknownRunner { .. }
            | Self::Artifacts { .. }
            | Self::ArtifactsIncomplete { .. }
            | Self::File { .. }
            | Self::CacheMount { .. }
            | Self::Spawn { .. }
            | Self::Terminal { .. }
            | Self::Project { .. }
            | Self::Store(_) => None,
        }
    }

    /// Returns the sentence to show: what happened, why, and what to do.
    pub fn sentence(&self) -> String {
        match self.hint() {
            // After a list, the hint is on a line of its own.
            Some(hint) => {
                let text = self.to_string();
                let space = if text.contains('\n') { '\n' } else { ' ' };
                format!("{text}{space}{hint}")
            }
            None => self.to_string(),
        }
    }
}

/// Returns volumes with their noun: "the volume `/data`".
fn volumes_of(volumes: &[String]) -> String {
    let names: Vec<String> = volumes.iter().map(|volume| format!("`{volume}`")).collect();
    format!("the volume{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}

fn list(tried: &[TriedPlace]) -> String {
    tried.iter().map(|place| format!("\n  {} ({}): {}", place.address, place.from, place.answer)).collect()
}

/// Returns an error with all its causes, outermost first, without a final full stop.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text.trim_end_matches('.').to_owned()
}

/// Returns a number with its noun: `1 folder`, `2 folders`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
