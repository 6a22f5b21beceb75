//! One step of a run, with all its attempts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cache::{Cache, Purpose};
use crate::clock;
use crate::error::EngineError;
use crate::event::{BuildEvent, LogLine, Outcome};
use crate::event_queue::EventQueue;
use crate::logs::StepLogs;
use crate::runner::{OpenRunner, StepResult, Tidy};
use crate::scheduler::Scheduler;
use crate::secrets::SecretPatterns;
use crate::snapshot::{Saved, Snapshot, SnapshotStore};
use crate::step_context::{Base, Ending, StepContext};

/// The result of a step's task.
pub(super) struct Done {
    pub(super) index: usize,
    pub(super) end: End,
    pub(super) duration: Duration,
    pub(super) tail: Vec<LogLine>,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) tidy: Vec<Tidy>,
    pub(super) digest: Option<String>,
    /// Pushes the result to a registry, alongside the next steps.
    pub(super) publishing: Option<BoxFuture<'static, ()>>,
}

/// Why a step could not be run, as the user reads it.
pub(super) struct Failure(pub(super) String);

pub(super) enum End {
    Ran(Result<Ending, Failure>),
    /// Taken from an earlier run.
    Taken,
}

/// Records the kept snapshot in the cache.
pub(super) struct Keeper {
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) run_id: Uuid,
    pub(super) events: EventQueue,
}

impl Keeper {
    /// Returns whether it is recorded.
    pub(super) async fn keep(
        &self,
        index: usize,
        purpose: Purpose,
        saved: Saved,
        snapshots: &dyn SnapshotStore,
    ) -> bool {
        let Some(cache) = &self.cache else { return false };
        let why_not = match cache.keep(index, purpose, saved, self.run_id, snapshots).await {
            Ok(None) => return true,
            Ok(Some(why_not)) => why_not,
            Err(error) => format!("The step's result could not be cached: {error}."),
        };
        self.events.notice(why_not);
        false
    }

    /// Returns what pushes a recorded result, if results are shared.
    fn publishing(
        &self,
        index: usize,
        saved: Saved,
        snapshots: &Arc<dyn SnapshotStore>,
        stop: CancellationToken,
    ) -> Option<BoxFuture<'static, ()>> {
        let (cache, events, snapshots) = (Arc::clone(self.cache.as_ref()?), self.events.clone(), Arc::clone(snapshots));
        snapshots.shared()?;
        let publish = async move {
            let said = cache.publish(index, &saved, snapshots, &stop).await;
            said.into_iter().for_each(|sentence| events.notice(sentence));
        };
        Some(publish.boxed())
    }
}

impl Done {
    pub(super) fn of(index: usize) -> Self {
        Self {
            index,
            end: End::Taken,
            duration: Duration::ZERO,
            tail: Vec::new(),
            snapshot: None,
            tidy: Vec::new(),
            digest: None,
            publishing: None,
        }
    }

    pub(super) fn outcome(&self, scheduler: &Scheduler) -> Outcome {
        let End::Ran(ending) = &self.end else { return Outcome::Cached };
        match ending {
            Ok(Ending::Exited(0)) => Outcome::Succeeded,
            Ok(Ending::Exited(code)) => Outcome::Failed(*code),
            Ok(Ending::TimedOut) => Outcome::TimedOut,
            Ok(Ending::Stopped) => scheduler.outcome_of_stopped_step(),
            Err(Failure(sentence)) => Outcome::Errored(sentence.clone()),
        }
    }
}

/// Copies the artifacts of a step that is taken from an earlier run. If they cannot be copied, the step has not been taken as a whole.
pub(super) async fn hand_back_artifacts(opened: &OpenRunner, context: &StepContext) -> Done {
    let StepResult { ending, tidy, .. } = opened.runner.hand_back_artifacts(context).await;
    let end = match ending {
        Ok(Ending::Exited(_)) => End::Taken,
        other => End::Ran(other.map_err(|error| Failure(context.patterns.mask(&error.sentence())))),
    };
    Done { end, tidy: tidy.into_iter().collect(), ..Done::of(context.index) }
}

/// One step, with all its attempts.
pub(super) struct Job {
    pub(super) index: usize,
    pub(super) log_path: Option<PathBuf>,
    pub(super) events: EventQueue,
    pub(super) patterns: SecretPatterns,
    pub(super) keeper: Keeper,
    /// Ends what is being pushed.
    pub(super) stop_publishing: CancellationToken,
}

impl Job {
    pub(super) async fn run(self, opened: OpenRunner, mut context: StepContext) -> Done {
        let log_path = self.log_path.clone().unwrap_or_default();
        let mut logs = match StepLogs::create(
            self.index,
            &log_path,
            self.events.clone(),
            &self.patterns,
            context.log_room.clone(),
        )
        .await
        {
            Ok(logs) => logs,
            Err(error) => return self.refuse(&error),
        };
        let mut tidies = Vec::new();
        let mut attempt = 1;
        let (ending, snapshot, saved, digest) = loop {
            self.report_start(opened.spec.name(), &context, attempt);
            context.is_last_attempt = attempt > context.step().retry;
            let StepResult { ending, snapshot, saved, tidy, digest } =
                opened.runner.run_step(&context, &mut logs).await;
            let may_retry = match &ending {
                Ok(Ending::Exited(code)) => *code != 0,
                Ok(Ending::TimedOut) => true,
                Ok(Ending::Stopped) => false,
                // What else keeps a step from running will do so on a second attempt too.
                Err(error) => error.is_of_its_machine(),
            };
            if !may_retry || attempt > context.step().retry || context.stop.is_cancelled() {
                tidies.extend(tidy);
                break (ending, snapshot, saved, digest);
            }
            match (tidy, &ending) {
                // Nothing of this attempt runs any more.
                (tidy, Ok(Ending::Exited(_))) => tidies.extend(tidy),
                // Something may, and uses the mounts that the next attempt waits for.
                (Some(mut tidy), _) => {
                    let kept = tokio::select! {
                        kept = &mut tidy => std::future::ready(kept).boxed(),
                        () = context.stop.cancelled() => tidy,
                    };
                    tidies.push(kept);
                }
                (None, _) => {}
            }
            if let Err(error) = &ending {
                let (key, why) = (&context.step().key, self.patterns.mask(&error.sentence()));
                context.events.notice(format!("`{key}` runs again. {why}"));
            }
            attempt += 1;
        };
        let mut publishing = None;
        if let Some(saved) = saved {
            let purpose = if context.keeping.is_cached { Purpose::Cache } else { Purpose::Rerun };
            if self.keeper.keep(self.index, purpose, saved.clone(), opened.snapshots.as_ref()).await
                && purpose == Purpose::Cache
            {
                publishing = self.keeper.publishing(self.index, saved, &opened.snapshots, self.stop_publishing.clone());
            }
        }
        Done {
            end: End::Ran(ending.map_err(|error| Failure(self.patterns.mask(&error.sentence())))),
            tail: logs.close().await,
            snapshot,
            tidy: tidies,
            digest,
            publishing,
            ..Done::of(self.index)
        }
    }

    fn report_start(&self, runner: &str, context: &StepContext, attempt: u64) {
        self.events.send(BuildEvent::StepStart {
            step: self.index,
            started_at: clock::now(),
            runner: runner.to_owned(),
            image: match &context.base {
                Base::Image(image) => Some(image.clone()),
                Base::Snapshot(..) => None,
            },
            attempt,
        });
    }

    pub(super) fn refuse(&self, error: &EngineError) -> Done {
        Done { end: End::Ran(Err(Failure(error.sentence()))), ..Done::of(self.index) }
    }
}
