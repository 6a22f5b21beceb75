//! Locations: the project a pipeline belongs to and the user's state directory; and the run request that is built from them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use pipelens_core::arguments::wants_the_machine;
use pipelens_core::plan::{CachePolicy, Plan};
use pipelens_core::programs::FOLDERS as PROGRAM_FOLDERS;
use pipelens_engine::cache::{CacheRegistry, CacheRequest};
use pipelens_engine::clock;
use pipelens_engine::deadlines::Deadlines;
use pipelens_engine::files::MAX_FILE_BYTES;
use pipelens_engine::limits::OutputLimits;
use pipelens_engine::run::{RunRequest, STATE_DIR_VARIABLE, usable_log_dir};
use pipelens_engine::runners;
use uuid::{NoContext, Timestamp, Uuid};

use crate::consent::{self, Asked};
use crate::settings::{PROJECT_FILE, ProjectSettings, Settings};
use crate::{artifacts, dotenv};

/// Runs whose logs are kept; older ones are removed when a new run starts.
const KEPT_RUNS: usize = 50;

const MIB: u64 = 1 << 20;

/// Returns the folder whose files a run gets: the git work tree, else the nearest folder with `.pipelens.yaml` or `.hm`, else the editor's folder, else
/// the file's own.
pub(crate) fn root_of(path: &Path, folders: &[PathBuf]) -> PathBuf {
    let own = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_folder_of_programs =
        own.file_name().is_some_and(|name| PROGRAM_FOLDERS.iter().any(|folder| name == *folder));
    let own = if is_folder_of_programs { own.parent().unwrap_or(own) } else { own };
    let git = own.ancestors().find(|folder| !folder.as_os_str().is_empty() && has_repository(folder, own));
    let marked = || {
        let home = dirs::home_dir();
        own.ancestors().find(|folder| is_marked(folder, own) && (*folder == own || Some(*folder) != home.as_deref()))
    };
    let editor = folders.iter().filter(|folder| own.starts_with(folder)).max_by_key(|folder| folder.as_os_str().len());
    git.or_else(marked).or(editor.map(PathBuf::as_path)).unwrap_or(own).to_owned()
}

/// Returns the project that a file or directory belongs to; without one, that of the current directory.
pub(crate) fn root_around(place: Option<&Path>) -> anyhow::Result<PathBuf> {
    let place = place.unwrap_or(Path::new("."));
    let place = place.canonicalize().with_context(|| format!("`{}`", place.display()))?;
    // Looked for from the file's folder; a folder is one itself.
    let inside = if place.is_dir() { place.join("pipeline.yml") } else { place };
    Ok(root_of(&inside, &[]))
}

/// Whether a folder says that it is a project. The user's home is none because of a `.hm`: the Harmont tools keep settings there.
fn is_marked(folder: &Path, own: &Path) -> bool {
    !folder.as_os_str().is_empty()
        && [PROJECT_FILE].iter().chain(&PROGRAM_FOLDERS).map(|name| folder.join(name)).any(|marker| {
            marker.exists() && (folder == own || pipelens_engine::private::is_of_same_owner(&marker, own))
        })
}

/// Whether a folder is the top of a work tree that the pipeline's folder is part of. In a directory that everyone can write to, such as
/// `/tmp`, any user can create a `.git`, and so turn everything below into one project.
fn has_repository(folder: &Path, own: &Path) -> bool {
    let git = folder.join(".git");
    git.exists() && (folder == own || pipelens_engine::private::is_of_same_owner(&git, own))
}

/// Returns the stem that names a pipeline without a name: `ci.pipeline.yml` is `ci`.
pub(crate) fn stem_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split('.').find(|part| !part.is_empty()).unwrap_or("pipeline");
    stem.to_owned()
}

/// Why a run does not start.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The user has to be asked about these first.
    AsksForSecrets(Vec<Asked>),
    /// A setting of the user, by its name, allows it or gives what is missing.
    NeedsSetting {
        why: String,
        setting: &'static str,
    },
    Refused(String),
}

impl From<anyhow::Error> for NotStarted {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(format!("{error:#}"))
    }
}

impl NotStarted {
    /// Returns the message for a user who cannot be asked.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Refused(why) | Self::NeedsSetting { why, .. } => why.clone(),
            Self::AsksForSecrets(asked) => {
                let flags: Vec<_> = asked.iter().map(|asked| format!("--allow-secret {}", asked.name)).collect();
                format!(
                    "The pipeline uses secrets that this project is not allowed to use: {}. \
                     Allow them with `{}`, or with the setting `pipelens.allowSecrets`",
                    consent::listed(asked),
                    flags.join(" ")
                )
            }
        }
    }
}

/// Returns an id that sorts by time. `now_v7` panics if the clock is before 1970.
fn run_id() -> Uuid {
    let since = clock::since_epoch();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
}

/// Puts together what the engine needs to run a plan for a file. Secrets are looked up, the log folder is chosen, consent is checked.
pub(crate) fn run_request(
    plan: Plan,
    root: PathBuf,
    settings: &Settings,
    project: &ProjectSettings,
) -> Result<RunRequest, NotStarted> {
    check_consent(&plan, settings)?;
    let secrets = secrets(&plan, &root, settings)?;
    let artifacts_dir = match &settings.artifacts_dir {
        Some(setting) => artifacts::folder_of_setting(setting, &root, &plan).map_err(NotStarted::Refused)?,
        None => None,
    };
    let request = look_request(plan, root, settings, project)?;
    if let Some(runs) = request.log_dir.parent() {
        remove_old_runs(runs);
    }
    let log_dir = usable_log_dir(request.log_dir, request.run_id);
    Ok(RunRequest { secrets, log_dir, artifacts_dir, ..request })
}

/// Builds the request for a prediction of what a run would do. It has no secrets and needs no consent.
pub(crate) fn look_request(
    plan: Plan,
    root: PathBuf,
    settings: &Settings,
    project: &ProjectSettings,
) -> anyhow::Result<RunRequest> {
    let run_id = run_id();
    let state_dir = state_dir()?;
    let log_dir = state_dir.join("runs").join(run_id.to_string());
    let registry = settings
        .cache_registry
        .as_deref()
        .filter(|it| !it.is_empty())
        .map(|repository| cache_registry(repository, settings, &root));
    let cache = CacheRequest {
        state_dir,
        is_read: true,
        variables: cache_variables(&plan),
        budget: settings.budget(),
        shares_with_harmont: settings.allow_harmont_cache,
        registry: registry.transpose()?,
    };
    Ok(RunRequest {
        host_env: settings.host_env(),
        host_isolation: settings.host_isolation,
        run_id,
        secrets: BTreeMap::new(),
        plan,
        runner: settings.runner.0,
        source_root: root.clone(),
        sources: None,
        parallelism: project.parallelism,
        log_dir,
        artifacts_dir: None,
        cache: Some(cache),
        shared_cache_mounts: settings.shared_cache_mounts.clone(),
        docker_host: settings.docker_host.clone(),
        cluster: settings.cluster(&root),
        may_open_machine: settings.allow_machine_access,
        deadlines: Deadlines::default(),
        limits: OutputLimits {
            logs_bytes: settings.run.logs_mib.saturating_mul(MIB),
            artifacts_bytes: settings.run.artifacts_mib.saturating_mul(MIB),
            ..OutputLimits::default()
        },
    })
}

fn cache_registry(repository: &str, settings: &Settings, root: &Path) -> anyhow::Result<CacheRegistry> {
    if !is_repository(repository) {
        bail!(not_a_repository(repository));
    }
    Ok(CacheRegistry {
        repository: repository.to_owned(),
        project: pipelens_engine::walk::origin(root),
        pushes: settings.push_to_cache_registry,
        is_asked_by_user: true,
    })
}

/// Why a text is not used as `cacheRegistry`.
pub(crate) fn not_a_repository(text: &str) -> String {
    format!(
        "`{text}` cannot be used as `cacheRegistry`: it should be a registry and a repository in it, without a tag, such as \
         `registry.example.com/team/cache`"
    )
}

/// Whether this is a host, which has a dot, a port or the name `localhost`, and a path.
pub(crate) fn is_repository(text: &str) -> bool {
    let Some((host, path)) = text.split_once('/') else { return false };
    let is_host = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-".contains(&byte))
    };
    let is_part = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().last()];
        ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
    };
    is_host(host) && (host.contains(['.', ':']) || host == "localhost") && path.split('/').all(is_part)
}

/// Returns the values of the variables that cache policies name, as far as they have one.
fn cache_variables(plan: &Plan) -> BTreeMap<String, String> {
    let policies = plan.steps.iter().filter_map(|step| step.cache.as_ref()).map(|cache| &cache.policy);
    let names: Vec<&str> = policies.flat_map(named_variables).collect();
    names.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

fn named_variables(policy: &CachePolicy) -> Vec<&str> {
    match policy {
        CachePolicy::None | CachePolicy::OnChange { .. } => Vec::new(),
        CachePolicy::Forever { env_keys } | CachePolicy::Ttl { env_keys, .. } => {
            env_keys.iter().map(String::as_str).collect()
        }
        CachePolicy::Compose { sub_policies } => sub_policies.iter().flat_map(named_variables).collect(),
    }
}

/// Returns the user's directory for state: `PIPELENS_STATE_DIR`, or the system's default.
pub(crate) fn state_dir() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os(STATE_DIR_VARIABLE).filter(|folder| !folder.is_empty()) {
        return Ok(PathBuf::from(folder));
    }
    let base = dirs::state_dir()
        .or_else(dirs::data_local_dir)
        .context("This user has no home directory for logs; set PIPELENS_STATE_DIR to a directory")?;
    Ok(base.join("pipelens"))
}

/// Returns the option of the command line that stands for a setting: `allow-host-runner` for `allowHostRunner`.
fn option_of(setting: &str) -> String {
    let mut option = String::new();
    for character in setting.chars() {
        if character.is_ascii_uppercase() {
            option.push('-');
        }
        option.push(character.to_ascii_lowercase());
    }
    option
}

/// A file can never grant access to a machine: the host runner, privileged containers, mounts of directories.
fn check_consent(plan: &Plan, settings: &Settings) -> Result<(), NotStarted> {
    let runners_of_steps = plan.steps.iter().filter_map(|step| Some((step, runners::find(step.runner.as_deref()?)?)));
    for (step, runner) in runners_of_steps {
        if !runner.needs_consent() || runner == settings.runner.0 {
            continue;
        }
        let (is_allowed, setting, where_to) = match runner.is_on_this_machine() {
            true => (settings.allow_host_runner, "allowHostRunner", "directly on this machine"),
            false => (settings.allows_cluster(), "allowKubernetesRunner", "in your cluster"),
        };
        if !is_allowed {
            let why = format!(
                "Step `{}` asks for the runner `{}`, which runs its command {where_to}. \
                 Allow it with the setting `pipelens.{setting}`, or `--{}` on the command line",
                step.key,
                runner.name(),
                option_of(setting)
            );
            return Err(NotStarted::NeedsSetting { why, setting });
        }
    }
    let asks = plan.steps.iter().find_map(|step| Some((step, wants_the_machine(step.runner_args.as_ref()?)?)));
    if let Some((step, argument)) = asks
        && !settings.allow_machine_access
    {
        let why = format!(
            "Step `{}` asks for `{argument}`, which gives its command access to the container engine's machine. \
             Allow it with the setting `pipelens.allowMachineAccess`, or `--allow-machine-access` on the command line",
            step.key
        );
        return Err(NotStarted::NeedsSetting { why, setting: "allowMachineAccess" });
    }
    Ok(())
}

fn secrets(plan: &Plan, root: &Path, settings: &Settings) -> Result<BTreeMap<String, String>, NotStarted> {
    let wanted: BTreeSet<&str> = plan.steps.iter().flat_map(|step| step.all_secrets()).collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let from_file = match &settings.secrets_file {
        Some(path) => read_secrets(path)?,
        None => BTreeMap::new(),
    };
    let variable = |name: &str| std::env::var(name).ok();
    let given = consent::given(&state_dir()?, root);
    let asked = consent::missing(plan, |name| {
        let is_meant =
            settings.is_secrets_file_for_this_run && from_file.contains_key(name) && variable(name).is_none();
        is_meant || given.contains(name) || settings.allow_secrets.iter().any(|allowed| allowed == name)
    });
    // A secret without a value cannot be used, whatever the user answers: this is checked first.
    for name in &wanted {
        if variable(name).is_none() && !from_file.contains_key(*name) {
            let why = format!(
                "The secret `{name}` has no value. Set it in the environment, or in a file of `NAME=value` lines that \
                 the setting `pipelens.secretsFile` or `--secrets-file` names"
            );
            return Err(NotStarted::NeedsSetting { why, setting: "secretsFile" });
        }
    }
    if !asked.is_empty() {
        return Err(NotStarted::AsksForSecrets(asked));
    }
    let value = |name: &str| variable(name).or_else(|| from_file.get(name).cloned());
    Ok(wanted.into_iter().filter_map(|name| Some((name.to_owned(), value(name)?))).collect())
}

fn read_secrets(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let name = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("Cannot read the secrets file `{name}`"))?;
    // It may be a pipe, which is what a shell passes for `<(…)`.
    let mut text = String::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    read.with_context(|| format!("Cannot read the secrets file `{name}`"))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        bail!("The secrets file `{name}` is longer than 1 MiB; it should have one line `NAME=value` for each secret");
    }
    dotenv::parse(&text).map_err(|error| anyhow::anyhow!("The secrets file `{name}` cannot be used: {error}"))
}

/// Removes all logs except those of the newest runs. Anything that cannot be removed now is removed later.
fn remove_old_runs(runs: &Path) {
    let Ok(entries) = std::fs::read_dir(runs) else { return };
    // Run ids are UUIDs of version 7: their names sort by time.
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort_unstable();
    let excess = names.len().saturating_sub(KEPT_RUNS - 1);
    for old in names.iter().take(excess) {
        if let Err(error) = std::fs::remove_dir_all(old) {
            tracing::debug!("cannot remove {}: {error}", old.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_registry_is_a_repository_with_a_host_and_without_a_tag() {
        for good in ["ghcr.io/team/cache", "localhost:5000/a", "localhost/a_b-c.d", "127.0.0.1:5000/x/y/z"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in [
            "",
            "cache",
            "team/cache",
            "ghcr.io",
            "ghcr.io/",
            "ghcr.io/a:b",
            "ghcr.io/A",
            "ghcr.io/a//b",
            "https://ghcr.io/a",
            "a.b/c@sha256:0",
        ] {
            assert!(!is_repository(bad), "{bad}");
        }
    }

    #[test]
    fn the_name_of_a_pipeline_is_the_part_before_the_first_dot() {
        assert_eq!(stem_of(Path::new("/x/ci.pipeline.yml")), "ci");
        assert_eq!(stem_of(Path::new("pipeline.json")), "pipeline");
        assert_eq!(stem_of(Path::new(".pipeline.json")), "pipeline");
    }

    #[cfg(unix)]
    #[test]
    fn a_repository_of_another_user_above_the_project_is_ignored() {
        let shared = tempfile::tempdir().unwrap();
        let project = shared.path().join("project");
        std::fs::create_dir_all(shared.path().join(".git")).unwrap();
        std::fs::create_dir(&project).unwrap();
        let file = project.join("pipeline.yml");
        assert_eq!(root_of(&file, &[]), shared.path());
        // Only root can give a folder away.
        if std::os::unix::fs::chown(shared.path().join(".git"), Some(65_534), None).is_ok() {
            assert_eq!(root_of(&file, &[]), project);
        }
    }

    #[test]
    fn sources_are_the_work_tree_the_editors_folder_or_the_files_own() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let file = deep.join("pipeline.yml");
        assert_eq!(root_of(&file, &[]), deep);
        assert_eq!(root_of(&file, &[folder.path().to_owned()]), folder.path());
        std::fs::create_dir(folder.path().join("a/.git")).unwrap();
        assert_eq!(root_of(&file, &[folder.path().to_owned()]), folder.path().join("a"));
    }

    #[test]
    fn outside_git_a_project_begins_where_its_settings_or_programs_are() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        let file = project.join("ci/deep/pipeline.yml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        assert_eq!(root_of(&file, &[]), project.join("ci/deep"));
        std::fs::create_dir(project.join(".hm")).unwrap();
        assert_eq!(root_of(&file, &[]), project);
        assert_eq!(root_of(&project.join(".hm/pipeline.yml"), &[]), project);
        std::fs::write(project.join("ci/.pipelens.yaml"), "").unwrap();
        assert_eq!(root_of(&file, &[]), project.join("ci"));
        // What the editor has open may be a part of the project, or several projects.
        assert_eq!(root_of(&file, &[folder.path().to_owned(), project.join("ci/deep")]), project.join("ci"));
    }

    #[test]
    fn the_oldest_logs_are_removed_first() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..KEPT_RUNS + 3 {
            std::fs::create_dir(folder.path().join(format!("{number:03}"))).unwrap();
        }
        remove_old_runs(folder.path());
        assert!(!folder.path().join("003").exists());
        assert!(folder.path().join("004").exists());
    }
}
