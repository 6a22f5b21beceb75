//! What a user can set, from an editor's settings or the project's `.pipelens.yaml`. One definition feeds both, and the schema.

#[cfg(feature = "kubernetes")]
mod kubernetes;
pub(crate) mod matchers;
mod programs;
mod project;
mod user;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipelens_engine::cache::Budget;
use pipelens_engine::cluster_settings::ClusterSettings;
use pipelens_engine::run::Engines;
use pipelens_engine::runners::{self, RUNNERS, RunnerSpec};
pub(crate) use programs::{Programs, Render};
pub(crate) use project::{PROJECT_FILE, ProjectSettings, globs};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::json;

/// Settings of the editor (`pipelens.*`) and the command line. Those with the scope `machine` decide what runs where: in VS Code, a workspace
/// cannot set them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Settings {
    /// The runner for steps that do not name one.
    #[schemars(extend("scope" = "machine", "default" = runners::default().name()))]
    pub(crate) runner: Runner,
    /// Lets steps that say `runner: host` run directly on this machine.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) allow_host_runner: bool,
    /// Lets steps that say `runner: kubernetes` run in the cluster of `kubernetes`.
    #[cfg(feature = "kubernetes")]
    #[schemars(extend("scope" = "machine"))]
    pub(crate) allow_kubernetes_runner: bool,
    /// The cluster of the `kubernetes` runner.
    #[cfg(feature = "kubernetes")]
    pub(crate) kubernetes: kubernetes::Kubernetes,
    /// Lets steps have privileged containers and mount folders of the container engine's machine (`runner_args`: `privileged`, `mounts`).
    #[schemars(extend("scope" = "machine"))]
    pub(crate) allow_machine_access: bool,
    /// Names of variables of your environment that steps on the `host` runner get, besides `PATH`, `HOME`, `TERM` and `LANG`. The default is those by which
    /// toolchains, version managers and proxies are found.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) host_env: Vec<String>,
    /// Gives each step on the `host` runner its own view of the file system and of the processes, where the kernel allows it, so that it cannot end
    /// your other processes. Steps that call `sudo` need this switched off. Then steps that build in the same step run one after another.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) host_isolation: bool,
    /// Shares cached results with the Harmont tools if a plan contains their cache key: their images are used, and new results get the names they
    /// look for.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) allow_harmont_cache: bool,
    /// A repository in a registry, such as `registry.example.com/team/cache`, through which machines share the results of steps with a `cache` policy: what
    /// one of them has made, the others pull. Everyone who may push to it decides what your steps start from. Needs Docker, and a git remote `origin`.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) cache_registry: Option<String>,
    /// Whether new results are pushed for others, to `cacheRegistry` or to the registry of your cluster; otherwise they are only pulled.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) push_to_cache_registry: bool,
    /// Names of cache mounts (`cache_mounts`) that all your projects share, such as `~/.cargo/registry`; without a `name`, a mount has its path as its name. All
    /// others belong to one project each.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) shared_cache_mounts: Vec<String>,
    /// The container engine's address, in the form of `DOCKER_HOST`. Without it, the engine is found the way the Docker client finds it.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) docker_host: Option<String>,
    /// A file of `NAME=value` lines with the secrets that pipelines use, by the rules of `.env` files: `#` begins a comment, and a value in quotes may
    /// have several lines. A `$` is just a character. The environment takes precedence.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) secrets_file: Option<PathBuf>,
    /// The folder for the artifacts of runs, with a folder of its own for each step; a relative path is a folder inside the project.
    /// Files of the same name are replaced. Without it, they are in a folder of the run, and are removed with its logs.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) artifacts_dir: Option<PathBuf>,
    /// The size limit for what is kept of one project for later runs (cached results, cache mounts, states of failed steps), in GB. What was not used for
    /// the longest time is removed first.
    #[schemars(extend("scope" = "machine"), range(min = 1))]
    pub(crate) cache_gb: u64,
    /// After how many days without use it is removed.
    #[schemars(extend("scope" = "machine"), range(min = 1))]
    pub(crate) cache_days: u64,
    /// Names of secrets that every project may use. For any other secret, the first run that uses it in a project asks you.
    #[schemars(extend("scope" = "machine"))]
    pub(crate) allow_secrets: Vec<String>,
    /// The user passed the secrets file for this run, so the run may use every secret in it.
    #[serde(skip)]
    pub(crate) is_secrets_file_for_this_run: bool,
    /// How programs that make pipelines (`.hm/*.py`, `.hm/*.ts`) are executed.
    pub(crate) programs: Programs,
    /// Which code lenses are shown.
    pub(crate) lenses: Lenses,
    /// How a run is reported, and how much it may write.
    pub(crate) run: RunSettings,
    /// Settings that a project may also have in its own file.
    #[serde(flatten)]
    pub(crate) project: ProjectSettings,
}

/// The variables by which toolchains, version managers and proxies are found. The URL of a proxy may contain a
/// password: then it is only lent if the user names it.
const HOST_ENV: &[&str] = &[
    "RUSTUP_HOME",
    "CARGO_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOROOT",
    "GOPATH",
    "GOPROXY",
    "JAVA_HOME",
    "MAVEN_HOME",
    "GRADLE_HOME",
    "SDKMAN_DIR",
    "ANDROID_HOME",
    "NVM_DIR",
    "NODE_EXTRA_CA_CERTS",
    "VOLTA_HOME",
    "PNPM_HOME",
    "BUN_INSTALL",
    "DENO_DIR",
    "PYENV_ROOT",
    "CONDA_PREFIX",
    "RBENV_ROOT",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "MISE_DATA_DIR",
    "DOTNET_ROOT",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "LC_ALL",
    "TZ",
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            runner: Runner::default(),
            allow_host_runner: false,
            #[cfg(feature = "kubernetes")]
            allow_kubernetes_runner: false,
            #[cfg(feature = "kubernetes")]
            kubernetes: kubernetes::Kubernetes::default(),
            allow_machine_access: false,
            host_env: HOST_ENV.iter().map(|name| (*name).to_owned()).collect(),
            host_isolation: true,
            allow_harmont_cache: false,
            cache_registry: None,
            push_to_cache_registry: true,
            shared_cache_mounts: Vec::new(),
            docker_host: None,
            secrets_file: None,
            artifacts_dir: None,
            cache_gb: 20,
            cache_days: 30,
            allow_secrets: Vec::new(),
            is_secrets_file_for_this_run: false,
            programs: Programs::default(),
            lenses: Lenses::default(),
            run: RunSettings::default(),
            project: ProjectSettings::default(),
        }
    }
}

impl Settings {
    /// Returns how much may be kept of one project, and for how long.
    pub(crate) fn budget(&self) -> Budget {
        let days = Duration::from_secs(24 * 60 * 60).saturating_mul(u32::try_from(self.cache_days).unwrap_or(u32::MAX));
        Budget { bytes: self.cache_gb.saturating_mul(1_000_000_000), age: days }
    }

    /// Whether a step may choose the user's cluster.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn allows_cluster(&self) -> bool {
        self.allow_kubernetes_runner
    }

    #[cfg(not(feature = "kubernetes"))]
    #[expect(clippy::unused_self, reason = "with the feature, it is a setting")]
    pub(crate) fn allows_cluster(&self) -> bool {
        false
    }

    /// Returns the user's cluster, if one is set.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn cluster(&self, root: &Path) -> Option<ClusterSettings> {
        self.kubernetes.settings(Some(root), self.push_to_cache_registry)
    }

    #[cfg(not(feature = "kubernetes"))]
    #[expect(clippy::unused_self, reason = "with the feature, it is a setting")]
    pub(crate) fn cluster(&self, _root: &Path) -> Option<ClusterSettings> {
        None
    }

    /// Returns where what outlives runs is kept.
    pub(crate) fn engines(&self) -> Engines {
        Engines {
            docker_host: self.docker_host.clone(),
            #[cfg(feature = "kubernetes")]
            cluster: self.kubernetes.settings(None, false),
            #[cfg(not(feature = "kubernetes"))]
            cluster: None,
        }
    }

    /// Returns the names of the variables that steps on the host get.
    pub(crate) fn host_env(&self) -> Vec<String> {
        let is_default = self.host_env == HOST_ENV;
        let is_lent = |name: &&String| !(is_default && std::env::var(name).is_ok_and(|value| has_password(&value)));
        self.host_env.iter().filter(is_lent).cloned().collect()
    }
}

/// Whether a value is a URL with a user in it.
fn has_password(value: &str) -> bool {
    let authority = value.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    authority.is_some_and(|authority| authority.contains('@'))
}

/// One of the engine's runners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Runner(pub(crate) &'static RunnerSpec);

impl Default for Runner {
    fn default() -> Self {
        Self(runners::default())
    }
}

impl TryFrom<String> for Runner {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let names = pipelens_core::runners::listed();
        runners::find(&name).map(Self).ok_or_else(|| format!("unknown runner `{name}`, expected {names}"))
    }
}

impl JsonSchema for Runner {
    fn schema_name() -> Cow<'static, str> {
        "Runner".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let runner = |runner: &&RunnerSpec| json!({ "const": runner.name(), "description": runner.doc() });
        json_schema!({ "type": "string", "oneOf": RUNNERS.iter().map(runner).collect::<Vec<_>>() })
    }
}

/// Which code lenses are shown.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Lenses {
    /// Shows lenses on the pipeline's first line.
    pub(crate) pipeline: bool,
    /// Shows lenses on every step.
    pub(crate) step: bool,
    /// Shows `Run from here` on every step that other steps depend on.
    pub(crate) from: bool,
    /// Shows `Watch step` and `Watch pipeline`, which run again whenever a file of the project changes.
    pub(crate) watch: bool,
    /// Shows next to the buttons what a run would take from the cache.
    pub(crate) cache: bool,
}

impl Default for Lenses {
    fn default() -> Self {
        Self { pipeline: true, step: true, from: true, watch: true, cache: true }
    }
}

/// How a run is reported, and how much it may write.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RunSettings {
    /// Sends every line of output as `window/logMessage`. A client that shows run events itself can turn it off.
    pub(crate) log_messages: bool,
    /// Shows a message with the outcome at the end of a run.
    pub(crate) end_message: bool,
    /// The size limit for the log files of one run, in MiB. Output beyond it is dropped, and the log files say so.
    pub(crate) logs_mib: u64,
    /// The size limit for the artifacts of one run, in MiB, not counting holes. Files that do not fit are left out, and the run says so.
    pub(crate) artifacts_mib: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { log_messages: true, end_message: true, logs_mib: 2 * 1024, artifacts_mib: 20 * 1024 }
    }
}

/// Returns the JSON Schema of the editor's settings, as `schemas/settings.schema.json` has it.
pub(crate) fn schema() -> String {
    let schema = schemars::schema_for!(Settings);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_with_a_password_is_recognised() {
        assert!(has_password("http://user:secret@proxy:3128/") && has_password("https://token@goproxy.example/x"));
        assert!(!has_password("http://proxy:3128") && !has_password("https://proxy/a@b") && !has_password("/opt/rust"));
    }

    #[test]
    fn the_default_budget_is_the_engines() {
        let (ours, engines) = (Settings::default().budget(), Budget::default());
        assert_eq!((ours.bytes, ours.age), (engines.bytes, engines.age));
    }

    #[test]
    fn the_extension_offers_every_runner() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../editors/vscode/package.json");
        let manifest: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let setting = &manifest["contributes"]["configuration"]["properties"]["pipelens.runner"];
        assert_eq!(setting["enum"], json!(RUNNERS.iter().map(|runner| runner.name()).collect::<Vec<_>>()));
        assert_eq!(setting["default"], runners::default().name());
    }

    #[test]
    fn the_schema_in_the_repository_is_up_to_date() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/settings.schema.json");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&file, schema()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), schema(), "run `cargo xtask codegen`");
    }
}
