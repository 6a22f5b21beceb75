//! What a run was and how each of its steps ended, on disk beside its logs. Written line by line as the run goes on, so that another process knows it
//! even if this one is killed.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use pipelens_core::plan::{ArtifactsWhen, BootsFrom, DEFAULT_WORKDIR, Plan, PlanStep, Reuse, Target};
use pipelens_engine::event::{BuildEvent, LogLine, Outcome, RunOutcome, StdStream};
use pipelens_engine::private;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ran::fingerprints;
use crate::{present, project};

/// Its name in the folder of a run. The log of a step ends with `.log`.
const NAME: &str = "run.jsonl";
/// A record of another version is not read.
const VERSION: u32 = 1;
/// Lines of output that are kept of a failure.
const TAIL_LINES: usize = 20;
/// A longer line of output is cut.
const LONGEST_LINE: usize = 1000;
/// More is not read: a record of ten thousand steps has a few MiB.
const MAX_BYTES: u64 = 64 << 20;

/// The first line of a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    version: u32,
    /// The pipeline file, through all links.
    pub(crate) file: PathBuf,
    pub(crate) pipeline: usize,
    pub(crate) name: String,
    /// As people see it: the name, and what was chosen of the pipeline.
    pub(crate) title: String,
    /// Whether the whole pipeline was to run.
    pub(crate) is_whole: bool,
    pub(crate) steps: Vec<RecordedStep>,
}

/// A step of a run, as far as its result needs it to be understood.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordedStep {
    pub(crate) key: String,
    pub(crate) template: Option<String>,
    pub(crate) cmd: String,
    pub(crate) shell: Vec<String>,
    /// Where it ran; records of earlier versions do not say so.
    #[serde(default = "usual_workdir")]
    pub(crate) workdir: String,
    pub(crate) soft_fail: bool,
    /// The fingerprint of what it was to run.
    pub(crate) ran: u64,
}

fn usual_workdir() -> String {
    DEFAULT_WORKDIR.to_owned()
}

impl Head {
    /// Returns a plan of steps with nothing but what the record has of them.
    pub(crate) fn plan(&self) -> Plan {
        let steps = self.steps.iter().map(|step| PlanStep {
            key: step.key.clone(),
            template: step.template.clone(),
            is_wanted: true,
            label: None,
            cmd: step.cmd.clone(),
            shell: step.shell.clone(),
            boots_from: BootsFrom::Image(String::new()),
            after: Vec::new(),
            env: Arc::default(),
            timeout_seconds: None,
            workdir: step.workdir.clone(),
            cache: None,
            cache_mounts: Vec::new(),
            reuse: Reuse::default(),
            git: false,
            runner: None,
            runner_args: None,
            artifacts: Vec::new(),
            artifacts_when: ArtifactsWhen::default(),
            needs_artifacts: Vec::new(),
            secrets: Vec::new(),
            soft_fail: step.soft_fail,
            retry: 0,
        });
        Plan { name: self.name.clone(), timeout_seconds: None, fail_fast: false, steps: steps.collect() }
    }
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Line {
    StepEnd { step: usize, outcome: String, detail: Detail, duration_ms: u64, tail: Vec<(bool, String)> },
    StepKept { step: usize, shell: String },
    StepArtifacts { step: usize, folder: PathBuf, files: u64 },
    RunEnd { outcome: String, duration_ms: u64 },
}

/// What an outcome says besides its name.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(untagged)]
enum Detail {
    #[default]
    None,
    Code(i64),
    Why(String),
}

/// Writes the record of a run. While it exists, the record is locked. A record that cannot be written is left out: the run matters more.
#[derive(Debug)]
pub(crate) struct Recorder(Option<File>);

impl Recorder {
    /// Begins the record of a run of a pipeline file.
    pub(crate) fn begin(log_dir: &Path, file: &Path, pipeline: usize, target: &Target, plan: &Plan) -> Self {
        let steps = plan.steps.iter().zip(fingerprints(plan)).map(|(step, ran)| RecordedStep {
            key: step.key.clone(),
            template: step.template.clone(),
            cmd: step.cmd.clone(),
            shell: step.shell.clone(),
            workdir: step.workdir.clone(),
            soft_fail: step.soft_fail,
            ran,
        });
        let head = Head {
            version: VERSION,
            file: file.canonicalize().unwrap_or_else(|_| file.to_owned()),
            pipeline,
            name: plan.name.clone(),
            title: present::run_title(&plan.name, target),
            is_whole: *target == Target::Pipeline,
            steps: steps.collect(),
        };
        let path = log_dir.join(NAME);
        let open = || {
            private::write(&path, b"")?;
            let file = OpenOptions::new().append(true).open(&path)?;
            // Before the first line, so that whoever reads that line knows whether the run still goes on.
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        };
        let file = open().inspect_err(|error| tracing::debug!("`{}` is not written: {error}", path.display()));
        let mut recorder = Self(file.ok());
        recorder.write(&head);
        recorder
    }

    /// Adds what an event changes.
    pub(crate) fn see(&mut self, event: &BuildEvent) {
        let line = match event {
            BuildEvent::StepEnd { step, outcome, duration, tail } => Line::StepEnd {
                step: *step,
                outcome: outcome.word().to_owned(),
                detail: match outcome {
                    Outcome::Failed(code) => Detail::Code(*code),
                    Outcome::Skipped(why) | Outcome::Errored(why) => Detail::Why(why.clone()),
                    Outcome::Succeeded | Outcome::Cached | Outcome::TimedOut | Outcome::Cancelled => Detail::None,
                },
                duration_ms: present::millis(*duration),
                tail: match outcome {
                    Outcome::Failed(_) | Outcome::TimedOut | Outcome::Errored(_) => shortened(tail),
                    Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => Vec::new(),
                },
            },
            BuildEvent::StepKept { step, shell } => Line::StepKept { step: *step, shell: shell.clone() },
            BuildEvent::StepArtifacts { step, folder, files, .. } => {
                Line::StepArtifacts { step: *step, folder: folder.clone(), files: *files }
            }
            BuildEvent::BuildEnd { outcome, duration } => {
                Line::RunEnd { outcome: outcome.word().to_owned(), duration_ms: present::millis(*duration) }
            }
            BuildEvent::BuildStart { .. }
            | BuildEvent::Notice { .. }
            | BuildEvent::StepQueued { .. }
            | BuildEvent::StepStart { .. }
            | BuildEvent::ImageResolved { .. }
            | BuildEvent::StepPhase { .. }
            | BuildEvent::StepLog { .. }
            | BuildEvent::StepLogSkipped { .. }
            | BuildEvent::StepCacheHit { .. } => return,
        };
        self.write(&line);
    }

    fn write(&mut self, line: &impl Serialize) {
        let Some(file) = &mut self.0 else { return };
        // One call of the system: a line is there or not.
        let written = serde_json::to_vec(line).map_err(Into::into).and_then(|mut bytes| {
            bytes.push(b'\n');
            file.write_all(&bytes)
        });
        if let Err(error) = written {
            tracing::debug!("the record of a run ends here: {error}");
            self.0 = None;
        }
    }
}

fn shortened(tail: &[LogLine]) -> Vec<(bool, String)> {
    let lines = tail.iter().skip(tail.len().saturating_sub(TAIL_LINES));
    lines.map(|line| (line.stream == StdStream::Stderr, line.text.chars().take(LONGEST_LINE).collect())).collect()
}

/// What is known of a run that another process has recorded, or this one before it was started again.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) id: Uuid,
    pub(crate) log_dir: PathBuf,
    pub(crate) head: Head,
    /// How each step ended; `None` if it had not ended when the process did.
    pub(crate) ends: Vec<Option<RecordedEnd>>,
    pub(crate) shells: Vec<(usize, String)>,
    pub(crate) artifacts: Vec<(usize, PathBuf, u64)>,
    /// A run whose process was killed is cancelled.
    pub(crate) outcome: RunOutcome,
    pub(crate) took: Duration,
}

/// How a step ended.
#[derive(Debug, Clone)]
pub(crate) struct RecordedEnd {
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    pub(crate) tail: Vec<LogLine>,
}

/// Returns the runs whose logs are kept, newest first, with their folders.
pub(crate) fn kept() -> Vec<(Uuid, PathBuf)> {
    let Ok(state_dir) = project::state_dir() else { return Vec::new() };
    let entries = std::fs::read_dir(folder_of_runs(&state_dir)).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    let mut runs: Vec<(Uuid, PathBuf)> = named.collect();
    runs.sort_unstable_by(|one, other| other.cmp(one));
    runs
}

/// Returns the folder that has a folder for each run whose logs are kept.
pub(crate) fn folder_of_runs(state_dir: &Path) -> PathBuf {
    state_dir.join("runs")
}

/// Reads the record of a run; `None` if there is none, or none yet because the run goes on.
pub(crate) fn read(id: Uuid, log_dir: &Path) -> Option<Recorded> {
    let file = File::open(log_dir.join(NAME)).ok()?;
    file.try_lock_shared().ok()?;
    let mut lines = BufReader::new(file.take(MAX_BYTES)).lines();
    let head: Head = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    if head.version != VERSION {
        return None;
    }
    let mut recorded = Recorded {
        id,
        log_dir: log_dir.to_owned(),
        ends: vec![None; head.steps.len()],
        head,
        shells: Vec::new(),
        artifacts: Vec::new(),
        outcome: RunOutcome::Cancelled,
        took: Duration::ZERO,
    };
    // The last line may be incomplete.
    for line in lines.map_while(Result::ok).map_while(|line| serde_json::from_str(&line).ok()) {
        recorded.add(line);
    }
    Some(recorded)
}

impl Recorded {
    fn add(&mut self, line: Line) {
        match line {
            Line::StepEnd { step, outcome, detail, duration_ms, tail } => {
                let took = Duration::from_millis(duration_ms);
                let end =
                    step_outcome(&outcome, detail).map(|outcome| RecordedEnd { outcome, took, tail: lines(tail) });
                if let Some(place) = self.ends.get_mut(step) {
                    *place = end;
                }
            }
            Line::StepKept { step, shell } => self.shells.push((step, shell)),
            Line::StepArtifacts { step, folder, files } => self.artifacts.push((step, folder, files)),
            Line::RunEnd { outcome, duration_ms } => {
                self.outcome = run_outcome(&outcome).unwrap_or(self.outcome);
                self.took = Duration::from_millis(duration_ms);
            }
        }
    }
}

fn lines(tail: Vec<(bool, String)>) -> Vec<LogLine> {
    let line = |(is_error, text): (bool, String)| LogLine {
        stream: if is_error { StdStream::Stderr } else { StdStream::Stdout },
        time: DateTime::UNIX_EPOCH,
        text: Arc::from(text),
    };
    tail.into_iter().map(line).collect()
}

fn step_outcome(word: &str, detail: Detail) -> Option<Outcome> {
    let known = [Outcome::Succeeded, Outcome::Cached, Outcome::TimedOut, Outcome::Cancelled];
    match detail {
        Detail::None => known.into_iter().find(|outcome| outcome.word() == word),
        Detail::Code(code) => Some(Outcome::Failed(code)).filter(|outcome| outcome.word() == word),
        Detail::Why(why) => {
            let known = [Outcome::Skipped(why.clone()), Outcome::Errored(why)];
            known.into_iter().find(|outcome| outcome.word() == word)
        }
    }
}

fn run_outcome(word: &str) -> Option<RunOutcome> {
    let known = [
        RunOutcome::Succeeded,
        RunOutcome::Failed,
        RunOutcome::Cancelled,
        RunOutcome::TimedOut,
        RunOutcome::EngineUnreachable,
    ];
    known.into_iter().find(|outcome| outcome.word() == word)
}

#[cfg(test)]
mod tests {
    use pipelens_core::{Format, analyze, plan::plan};

    use super::*;

    #[test]
    fn a_record_is_read_as_far_as_it_was_written_once_its_writer_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let analysis = analyze("steps:\n  - {key: a, cmd: make}\n  - {key: b, cmd: make}\n", Format::Yaml);
        let plan = plan(&analysis, 0, &Target::Pipeline, "ci").unwrap();
        let mut recorder =
            Recorder::begin(folder.path(), Path::new("/nowhere/ci.yml"), 0, &Target::Step("a".to_owned()), &plan);
        let tail = vec![LogLine { stream: StdStream::Stderr, time: DateTime::UNIX_EPOCH, text: "oh".into() }];
        let duration = Duration::from_millis(3200);
        recorder.see(&BuildEvent::StepEnd { step: 0, outcome: Outcome::Failed(2), duration, tail: tail.clone() });
        recorder.see(&BuildEvent::StepKept { step: 0, shell: "sh".to_owned() });
        let id = Uuid::from_u128(1);
        assert!(read(id, folder.path()).is_none(), "the run goes on");
        drop(recorder);
        let mut file = OpenOptions::new().append(true).open(folder.path().join(NAME)).unwrap();
        file.write_all(br#"{"kind":"stepEnd","st"#).unwrap();
        let read = read(id, folder.path()).unwrap();
        assert_eq!(
            (read.head.title.as_str(), read.head.is_whole, read.outcome),
            ("ci · a", false, RunOutcome::Cancelled)
        );
        let first = read.ends[0].clone().unwrap();
        assert_eq!((first.outcome, first.took, first.tail), (Outcome::Failed(2), duration, tail));
        assert!(read.ends[1].is_none());
        assert_eq!(read.shells, [(0, "sh".to_owned())]);
    }
}
