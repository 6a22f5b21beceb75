//! The driver: the only place that spawns.

mod steps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipelens_core::plan::{Plan, PlanStep};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cache::{self, Cache, CacheDecision, CacheRequest, eviction};
use crate::deadlines::Deadlines;
use crate::docker::DockerRunner;
use crate::error::EngineError;
use crate::event::{BuildEvent, Outcome, RunOutcome};
use crate::host::HostRunner;
use crate::limits::OutputLimits;
use crate::outbox::{self, Outbox};
use crate::private;
use crate::runner::StepRunner;
use crate::secrets::{Needles, SHORTEST_VALUE_BYTES};
use crate::sources::Sources;
use crate::store::{PastRun, Store, is_corrupt};

/// The environment variable that names the folder for what outlives a process.
pub const STATE_DIR_VARIABLE: &str = "PIPELENS_STATE_DIR";

/// What to run, on what, and where its traces go.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Version 7, so that runs sort by time.
    pub run_id: Uuid,
    pub plan: Plan,
    pub runner: RunnerKind,
    /// The project folder whose sources go to the workdir.
    pub source_root: PathBuf,
    /// How many steps at once; `None`: as many as the runner's machine can use.
    pub parallelism: Option<usize>,
    /// Values of the secrets the plan names; every one is masked in every output.
    pub secrets: BTreeMap<String, String>,
    /// One log file a step is written here; created if missing, readable by the user alone.
    pub log_dir: PathBuf,
    /// What earlier runs have left and what this one leaves; `None`: nothing outlives the run.
    pub cache: Option<CacheRequest>,
    /// The Docker endpoint, if the user set one; else found as the Docker client finds it.
    pub docker_host: Option<String>,
    /// The user allows steps to get at the engine's machine: privileged containers, mounts of its folders. Never a file's own word.
    pub may_open_machine: bool,
    /// How long the engine may take to answer.
    pub deadlines: Deadlines,
    /// How much the run may write to this machine's disk.
    pub limits: OutputLimits,
}

/// The runner of steps that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunnerKind {
    Docker,
    Host,
}

/// Runs a plan to its end and says all of it in events, `BuildEnd` last. Cancel by the token; cleanup is done when this returns.
/// Log events are dropped, counted and said when the channel is full; all others wait for room.
///
/// Dropping the future cancels the run; its cleanup goes on.
pub async fn run(request: RunRequest, events: mpsc::Sender<BuildEvent>, cancel: CancellationToken) -> RunOutcome {
    let cancel = cancel.child_token();
    let _cancel_if_dropped = cancel.clone().drop_guard();
    match tokio::spawn(drive(request, events, cancel)).await {
        Ok(outcome) => outcome,
        Err(panic) => {
            tracing::error!(%panic, "the driver of a run panicked");
            RunOutcome::Failed
        }
    }
}

/// Returns the file that holds the whole output of a step.
///
/// A key may be any text: what is not safe in a file name is written as `%` and two digits, so that two keys never share a file.
pub fn log_file(log_dir: &Path, step_key: &str) -> PathBuf {
    let mut name = String::new();
    for byte in step_key.bytes() {
        // Upper-case letters too: `A` and `a` are one file on many disks.
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > LONGEST_FILE_NAME {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(step_key);
        name.truncate(LONGEST_FILE_NAME - 17);
        name.push('~');
        name.extend(digest.iter().take(8).map(|byte| format!("{byte:02x}")));
    }
    log_dir.join(format!("{name}.log"))
}

/// Returns the file that holds the whole output of a service, all attempts of its step together. No key's file has a second dot.
pub fn service_log_file(log_dir: &Path, step_key: &str, service: &str) -> PathBuf {
    log_file(log_dir, step_key).with_extension(format!("{service}.log"))
}

/// Returns the folder that holds what a step has handed back.
pub fn artifact_folder(log_dir: &Path, step_key: &str) -> PathBuf {
    log_dir.join("artifacts").join(log_file(Path::new(""), step_key).with_extension(""))
}

/// File systems end at 255 bytes; the extension and a service's name need room too.
const LONGEST_FILE_NAME: usize = 180;

async fn drive(request: RunRequest, events: mpsc::Sender<BuildEvent>, cancel: CancellationToken) -> RunOutcome {
    let started = Instant::now();
    let (outbox, letters) = outbox::open();
    let delivery = tokio::spawn(outbox::deliver(letters, events));
    outbox.say(BuildEvent::BuildStart {
        run_id: request.run_id,
        started_at: crate::clock::now(),
        step_count: request.plan.steps.len(),
        runner: request.runner.name().to_owned(),
    });
    let opened = tokio::select! {
        biased;
        () = cancel.cancelled() => Ok(None),
        opened = Runners::open(&request, &outbox) => opened.map(Some),
    };
    let outcome = match opened {
        Ok(Some(runners)) => {
            let began_at = cache::seconds_now();
            let (outcome, ends) = steps::run_all(&request, &runners, &outbox, &cancel).await;
            if let Some(cache) = &runners.cache {
                let run = PastRun {
                    run_id: request.run_id.to_string(),
                    pipeline: request.plan.name.clone(),
                    started_at: began_at,
                    duration_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
                    outcome: outcome.word().to_owned(),
                    steps: ends,
                };
                cache.remember(run, &outbox).await;
                cache.store.take_sayings().into_iter().for_each(|saying| outbox.notice(saying));
            }
            runners.close(&outbox, request.deadlines.closing).await;
            outcome
        }
        Ok(None) => end_without_start(
            &request.plan,
            &outbox,
            Outcome::Skipped("The run was cancelled before this step started.".into()),
            RunOutcome::Cancelled,
        ),
        Err(error) => could_not_open(&request.plan, &outbox, &error),
    };
    outbox.say(BuildEvent::BuildEnd { outcome, duration: started.elapsed() });
    drop(outbox);
    if let Err(panic) = delivery.await {
        tracing::error!(%panic, "the delivery of events panicked");
    }
    outcome
}

fn could_not_open(plan: &Plan, outbox: &Outbox, error: &EngineError) -> RunOutcome {
    match error {
        EngineError::Unreachable { .. } => {
            outbox.notice(error.sentence());
            let why = Outcome::Skipped("No container engine answered.".into());
            end_without_start(plan, outbox, why, RunOutcome::EngineUnreachable)
        }
        other => end_without_start(plan, outbox, Outcome::Errored(other.sentence()), RunOutcome::Failed),
    }
}

fn end_without_start(plan: &Plan, outbox: &Outbox, outcome: Outcome, run_outcome: RunOutcome) -> RunOutcome {
    for step in 0..plan.steps.len() {
        outbox.say(BuildEvent::StepEnd {
            step,
            outcome: outcome.clone(),
            duration: Default::default(),
            tail: Vec::new(),
        });
    }
    run_outcome
}

/// Everything a plan needs, opened before its first step.
struct Runners {
    default: RunnerKind,
    by_name: BTreeMap<&'static str, Arc<dyn StepRunner>>,
    sources: Arc<Sources>,
    cache: Option<Arc<Cache>>,
    needles: Needles,
    /// Removes what dead owners left.
    sweeping: Option<JoinHandle<()>>,
    /// Cancelled when the sweep has nothing more to wait for.
    sweep_now: CancellationToken,
}

impl Runners {
    /// May be dropped at any await: what needs closing is made last.
    async fn open(request: &RunRequest, outbox: &Outbox) -> Result<Self, EngineError> {
        let (needles, too_short) = Needles::of(&request.secrets);
        for name in too_short {
            outbox.notice(format!(
                "Secret `{name}` is shorter than {SHORTEST_VALUE_BYTES} bytes and is not masked in the output."
            ));
        }
        let docker = async {
            if !needs(request, RunnerKind::Docker) {
                return Ok(None);
            }
            let host = request.docker_host.as_deref();
            let docker = DockerRunner::open(host, request.run_id, &request.source_root, request.deadlines).await?;
            if request.cache.is_some() || !is_parallelism_known(request) {
                docker.ask_ahead();
            }
            Ok(Some(docker))
        };
        let (sources, docker) = tokio::try_join!(scan(&request.source_root), docker)?;
        outbox.notice(sources.summary());
        sources.notes.iter().for_each(|note| outbox.notice(note.clone()));
        if let Some(given) = given_secrets(request) {
            outbox.notice(given);
        }
        let mut by_name: BTreeMap<&'static str, Arc<dyn StepRunner>> = BTreeMap::new();
        let sweep_now = CancellationToken::new();
        let sweeping = docker.map(|docker| {
            let (sweep, outbox) = (docker.sweep(sweep_now.clone()), outbox.clone());
            by_name.insert(docker.name(), Arc::new(docker));
            // What others left is in nobody's way: nothing waits for it but the end.
            tokio::spawn(async move { sweep.await.into_iter().for_each(|swept| outbox.notice(swept)) })
        });
        let has_host = needs(request, RunnerKind::Host);
        if has_host {
            let state_dir = request.cache.as_ref().map(|cache| cache.state_dir.as_path());
            let host = Arc::new(HostRunner::open(request.run_id, state_dir, outbox)?);
            by_name.insert(host.name(), host);
        }
        let cache = open_cache(request, &sources, &by_name, outbox).await;
        Ok(Self { default: request.runner, by_name, sources, cache, needles, sweeping, sweep_now })
    }

    fn get(&self, name: Option<&str>) -> Option<Arc<dyn StepRunner>> {
        self.by_name.get(name.unwrap_or(self.default.name())).cloned()
    }

    /// How many steps at once: the machine that does most of the work decides.
    async fn parallelism(&self) -> usize {
        match self.by_name.values().next() {
            Some(runner) => runner.parallelism().await,
            None => 1,
        }
    }

    /// Has a budget of its own, for the cleanup runs after a cancel too.
    async fn close(self, outbox: &Outbox, closing: Duration) {
        self.sweep_now.cancel();
        if let Some(sweeping) = self.sweeping
            && let Err(panic) = sweeping.await
        {
            tracing::error!(%panic, "the sweep panicked");
        }
        for runner in self.by_name.values() {
            for problem in runner.close().await {
                outbox.notice(problem);
            }
            let Some(cache) = &self.cache else { continue };
            let tidy = async {
                cache.keep_within_budget(runner.as_ref()).await?;
                cache.remove_forgotten(runner.as_ref()).await
            };
            match tokio::time::timeout(closing, tidy).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => outbox.notice(format!("Older results could not be removed: {}.", reason_of(&error))),
                Err(_) => tracing::debug!("removing older results takes too long; the next run goes on with it"),
            }
        }
    }
}

/// Whether no machine has to be asked how many steps it can bear.
fn is_parallelism_known(request: &RunRequest) -> bool {
    request.parallelism.is_some() || request.plan.steps.len() == 1
}

fn needs(request: &RunRequest, runner: RunnerKind) -> bool {
    let name = |step: &PlanStep| step.runner.clone().unwrap_or_else(|| request.runner.name().to_owned());
    request.plan.steps.iter().any(|step| name(step) == runner.name())
}

/// Says which secrets the run gives away, and to whom.
fn given_secrets(request: &RunRequest) -> Option<String> {
    let steps = request.plan.steps.iter();
    let given = steps.flat_map(|step| step.secrets.iter().map(move |name| format!("`{name}` to step `{}`", step.key)));
    let given: Vec<String> = given.collect();
    (!given.is_empty()).then(|| format!("Secrets given: {}.", given.join(", ")))
}

async fn scan(root: &Path) -> Result<Arc<Sources>, EngineError> {
    let own_root = root.to_owned();
    let sources = tokio::task::spawn_blocking(move || Sources::scan(&own_root)).await;
    let sources = sources.unwrap_or_else(|panic| {
        let source = std::io::Error::other(panic.to_string());
        Err(EngineError::Sources { path: root.to_owned(), source })
    })?;
    Ok(Arc::new(sources))
}

/// A store that cannot be read costs time, not the run.
async fn open_cache(
    request: &RunRequest,
    sources: &Arc<Sources>,
    runners: &BTreeMap<&'static str, Arc<dyn StepRunner>>,
    outbox: &Outbox,
) -> Option<Arc<Cache>> {
    let cache = request.cache.as_ref()?;
    let opened = match open_store(&cache.state_dir).await {
        Ok(store) => {
            let opened = read_cache(request, cache, &store, sources, runners).await;
            store.take_sayings().into_iter().for_each(|saying| outbox.notice(saying));
            opened
        }
        Err(error) => Err(error),
    };
    match opened {
        Ok(cache) => {
            cache.warnings().into_iter().for_each(|warning| outbox.notice(warning));
            Some(Arc::new(cache))
        }
        Err(error) => {
            let log_dir = &request.log_dir;
            let logs = match log_dir.starts_with(&cache.state_dir) {
                true => String::new(),
                false => format!(" Its logs are in `{}`.", log_dir.display()),
            };
            outbox.notice(format!(
                "This run neither uses earlier results nor is it remembered: {}.{logs} Set `{STATE_DIR_VARIABLE}` to a folder that \
                 you can write to.",
                reason_of(&error)
            ));
            None
        }
    }
}

async fn open_store(state_dir: &Path) -> Result<Arc<Store>, rusqlite::Error> {
    let state_dir = state_dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || Store::open(&state_dir)).await;
    opened.unwrap_or(Err(rusqlite::Error::InvalidQuery)).map(Arc::new)
}

/// Corruption that shows only when the store is read has it set aside, and the new one is read instead.
async fn read_cache(
    request: &RunRequest,
    cache: &CacheRequest,
    store: &Arc<Store>,
    sources: &Arc<Sources>,
    runners: &BTreeMap<&'static str, Arc<dyn StepRunner>>,
) -> Result<Cache, rusqlite::Error> {
    let plan = Arc::new(request.plan.clone());
    let open = || {
        let (store, plan, sources) = (Arc::clone(store), Arc::clone(&plan), Arc::clone(sources));
        Cache::open(cache, store, plan, sources, runners, request.runner.name())
    };
    match open().await {
        Err(error) if is_corrupt(&error) => open().await,
        opened => opened,
    }
}

/// What SQLite says, without what it calls that.
fn reason_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(reason)) => reason.clone(),
        other => other.to_string(),
    }
}

/// Says what a run would take from earlier runs, and why it would not take the rest. Starts and creates nothing.
pub async fn predict(request: &RunRequest) -> Result<Vec<CacheDecision>, String> {
    let sentence = |error: EngineError| error.sentence();
    let mut runners: BTreeMap<&'static str, Arc<dyn StepRunner>> = BTreeMap::new();
    if needs(request, RunnerKind::Docker) {
        let host = request.docker_host.as_deref();
        let docker = DockerRunner::open(host, request.run_id, &request.source_root, request.deadlines)
            .await
            .map_err(sentence)?;
        docker.ask_ahead();
        runners.insert(RunnerKind::Docker.name(), Arc::new(docker));
    }
    let sources = scan(&request.source_root).await.map_err(sentence)?;
    let Some(cache) = &request.cache else {
        return Ok(vec![CacheDecision::MissNoCommit { reason: None }; request.plan.steps.len()]);
    };
    if needs(request, RunnerKind::Host) {
        runners.insert(RunnerKind::Host.name(), Arc::new(HostRunner::for_looking(&cache.state_dir)));
    }
    let unreadable = |error: rusqlite::Error| format!("The store cannot be read: {}.", reason_of(&error));
    let store = open_store(&cache.state_dir).await.map_err(unreadable)?;
    let cache = read_cache(request, cache, &store, &sources, &runners).await;
    cache.map(|cache| cache.decisions().to_vec()).map_err(unreadable)
}

/// Removes what earlier runs have kept, of one project or of all, of one step or of all, on this machine and in the engine. Returns the bytes that freed.
pub async fn clean(
    state_dir: &Path,
    docker_host: Option<&str>,
    project: Option<&Path>,
    step: Option<&str>,
) -> Result<u64, String> {
    let unreadable = |error: rusqlite::Error| format!("The store cannot be read: {}.", reason_of(&error));
    let store = Arc::new(Store::open(state_dir).map_err(unreadable)?);
    let workspace = match project {
        Some(root) => {
            let root = root.canonicalize().map_err(|error| format!("`{}`: {error}.", root.display()))?;
            Some(cache::workspace_id(&root))
        }
        None => None,
    };
    let mut runners: Vec<Arc<dyn StepRunner>> = vec![Arc::new(HostRunner::for_looking(state_dir))];
    // Without an engine there is nothing of its to remove now; the rows stay, and so do its snapshots.
    if let Ok(docker) = DockerRunner::open(docker_host, Uuid::nil(), state_dir, Deadlines::default()).await {
        runners.push(Arc::new(docker));
    }
    let mut freed = 0;
    for runner in &runners {
        let (engine, workspace) = (runner.engine().await.to_owned(), workspace.clone());
        let kept = store.with(move |store| store.snapshots(&engine, workspace.as_deref())).await.map_err(unreadable)?;
        let kept = kept.into_iter().filter(|kept| step.is_none_or(|step| kept.step == step)).collect();
        freed += eviction::remove(&store, runner.as_ref(), kept).await.map_err(unreadable)?;
    }
    Ok(freed)
}

/// Returns the remembered runs of a project, newest first.
pub fn history(state_dir: &Path, project: &Path) -> Result<Vec<PastRun>, String> {
    let root = project.canonicalize().map_err(|error| format!("`{}`: {error}.", project.display()))?;
    Store::open(state_dir)
        .and_then(|store| store.runs(&cache::workspace_id(&root)))
        .map_err(|error| format!("The store cannot be read: {}.", reason_of(&error)))
}

/// Returns where the logs of a run can be written: where they should be or, if nothing can be written there, a new temporary folder.
pub fn usable_log_dir(wanted: PathBuf, run_id: Uuid) -> PathBuf {
    if private::create_folder(&wanted).is_ok() {
        return wanted;
    }
    let temporary = std::env::temp_dir().join(format!("pipelens-logs-{run_id}"));
    match private::create_new_folder(&temporary) {
        Ok(()) => temporary,
        Err(_) => wanted,
    }
}

impl RunnerKind {
    fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Host => "host",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_never_share_a_log_file() {
        let folder = Path::new("/logs");
        assert_eq!(log_file(folder, "unit-tests"), Path::new("/logs/unit-tests.log"));
        assert_eq!(log_file(folder, "../a.b"), Path::new("/logs/%2e%2e%2fa%2eb.log"));
        assert_ne!(log_file(folder, "A"), log_file(folder, "a"));
        let (long, longer) = ("x".repeat(300), "x".repeat(301));
        assert_ne!(log_file(folder, &long), log_file(folder, &longer));
        assert!(log_file(folder, &long).file_name().unwrap().len() < 255);
        let of_service = service_log_file(folder, "a", "db");
        assert_eq!(of_service, Path::new("/logs/a.db.log"));
        assert_ne!(of_service, log_file(folder, "a.db"));
        assert!(service_log_file(folder, &long, &"s".repeat(63)).file_name().unwrap().len() < 255);
    }
}
