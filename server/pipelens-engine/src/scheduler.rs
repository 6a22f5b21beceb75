//! Decides what may start now, what is skipped and why, and when a run is over. Pure: no clock, no task, no container.

use std::collections::BTreeSet;

use pipelens_core::plan::Plan;

use crate::event::{Outcome, RunOutcome};

/// Why a run stops before its plan is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancelled,
    TimedOut,
    /// `fail_fast`, and the step with this index failed.
    FailedFast(usize),
}

/// What the driver must do next, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Start(usize),
    /// The step is ready, but all permits are taken. Reported once per step.
    Queue(usize),
    /// The step ends here without having started.
    Skip(usize, Outcome),
}

#[derive(Debug)]
pub(crate) struct Scheduler<'plan> {
    plan: &'plan Plan,
    states: Vec<State>,
    dependants: Vec<Vec<usize>>,
    /// Waiting steps whose dependencies are all done, by index, that is, in file order.
    ready: BTreeSet<usize>,
    /// Waiting steps that a finished dependency may have unblocked or blocked for good.
    touched: BTreeSet<usize>,
    /// How many steps may run at once, on all runners together.
    permits: usize,
    /// The runner of each step, by its position in `lanes`; steps that are not in it share the first lane.
    lane_of: Vec<usize>,
    lanes: Vec<Lane>,
    stop: Option<Stop>,
}

/// The steps of one runner.
#[derive(Debug, Clone, Copy)]
struct Lane {
    permits: usize,
    running: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting { is_queued: bool },
    Running,
    Done(Outcome),
}

impl<'plan> Scheduler<'plan> {
    pub(crate) fn new(plan: &'plan Plan, permits: usize) -> Self {
        let mut dependants = vec![Vec::new(); plan.steps.len()];
        for (index, step) in plan.steps.iter().enumerate() {
            for dependency in &step.after {
                if let Some(list) = dependants.get_mut(dependency.step) {
                    list.push(index);
                }
            }
        }
        Self {
            plan,
            states: vec![State::Waiting { is_queued: false }; plan.steps.len()],
            dependants,
            ready: BTreeSet::new(),
            touched: (0..plan.steps.len()).collect(),
            permits: permits.max(1),
            lane_of: Vec::new(),
            lanes: vec![Lane { permits: usize::MAX, running: 0 }],
            stop: None,
        }
    }

    /// Limits how many steps each runner may run at once: one, until [`Scheduler::allow`] changes it. `lane_of` has the position of
    /// each step's runner among `count` of them.
    pub(crate) fn with_lanes(mut self, lane_of: Vec<usize>, count: usize) -> Self {
        self.lane_of = lane_of;
        self.lanes = vec![Lane { permits: 1, running: 0 }; count.max(1)];
        self
    }

    /// Returns what has to be done now; empty if there is nothing to do but wait.
    pub(crate) fn next_actions(&mut self) -> Vec<Action> {
        let mut actions = self.settle();
        let mut free = self.permits.saturating_sub(self.lanes.iter().map(|lane| lane.running).sum());
        for index in std::mem::take(&mut self.ready) {
            if free > 0
                && let Some(lane) = self.lane_mut(index).filter(|lane| lane.running < lane.permits)
            {
                lane.running += 1;
                free -= 1;
                self.set(index, State::Running);
                actions.push(Action::Start(index));
            } else {
                self.ready.insert(index);
            }
        }
        for &index in &self.ready {
            if let Some(state @ State::Waiting { is_queued: false }) = self.states.get_mut(index) {
                *state = State::Waiting { is_queued: true };
                actions.push(Action::Queue(index));
            }
        }
        actions
    }

    /// Sets how many steps a runner may run at once from now on.
    pub(crate) fn allow(&mut self, lane: usize, permits: usize) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.permits = permits.max(1);
        }
    }

    /// Records the outcome of a step that was started.
    pub(crate) fn finished(&mut self, index: usize, outcome: Outcome) {
        if self.states.get(index) != Some(&State::Running) {
            return;
        }
        if let Some(lane) = self.lane_mut(index) {
            lane.running = lane.running.saturating_sub(1);
        }
        let fails_the_run = self.fails_the_run(index, &outcome);
        self.end(index, outcome);
        if fails_the_run && self.plan.fail_fast {
            self.stop(Stop::FailedFast(index));
        }
    }

    /// Starts nothing from now on. A reason of higher precedence replaces a lower one: timed out, cancelled, failed.
    pub(crate) fn stop(&mut self, stop: Stop) {
        let replaces = match (&self.stop, &stop) {
            (None, _) => true,
            (Some(Stop::FailedFast(_)), Stop::Cancelled | Stop::TimedOut) => true,
            (Some(Stop::Cancelled), Stop::TimedOut) => true,
            (Some(Stop::TimedOut | Stop::Cancelled | Stop::FailedFast(_)), _) => false,
        };
        if replaces {
            self.stop = Some(stop);
        }
        self.ready.clear();
        self.touched = (0..self.states.len()).collect();
    }

    pub(crate) fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Returns the outcome of a running step that ended because the run stopped.
    pub(crate) fn outcome_of_stopped_step(&self) -> Outcome {
        match self.stop {
            Some(Stop::TimedOut) => Outcome::TimedOut,
            Some(Stop::Cancelled | Stop::FailedFast(_)) | None => Outcome::Cancelled,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.states.iter().all(|state| matches!(state, State::Done(_)))
    }

    /// Returns how each step ended, in file order, once the run is over.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.states.iter().filter_map(|state| match state {
            State::Done(outcome) => Some(outcome),
            State::Waiting { .. } | State::Running => None,
        })
    }

    /// Returns the run's outcome, once it is over.
    pub(crate) fn outcome(&self) -> RunOutcome {
        let failures: Vec<&Outcome> = self
            .states
            .iter()
            .enumerate()
            .filter_map(|(index, state)| match state {
                State::Done(outcome) if self.fails_the_run(index, outcome) => Some(outcome),
                State::Done(_) | State::Waiting { .. } | State::Running => None,
            })
            .collect();
        if self.stop == Some(Stop::TimedOut) || failures.contains(&&Outcome::TimedOut) {
            RunOutcome::TimedOut
        } else if self.stop == Some(Stop::Cancelled) {
            RunOutcome::Cancelled
        } else if failures.is_empty() {
            RunOutcome::Succeeded
        } else {
            RunOutcome::Failed
        }
    }

    /// Ends every step that can no longer start and finds those that can, until nothing changes any more.
    fn settle(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(index) = self.touched.pop_first() {
            if !matches!(self.states.get(index), Some(State::Waiting { .. })) {
                continue;
            }
            match self.verdict(index) {
                Verdict::Wait => {}
                Verdict::Ready => {
                    self.ready.insert(index);
                }
                Verdict::Skip(why) => {
                    let outcome = Outcome::Skipped(why);
                    self.end(index, outcome.clone());
                    actions.push(Action::Skip(index, outcome));
                }
            }
        }
        actions
    }

    fn verdict(&self, index: usize) -> Verdict {
        if let Some(stop) = &self.stop {
            return Verdict::Skip(self.why_stopped(stop));
        }
        let Some(step) = self.plan.steps.get(index) else { return Verdict::Wait };
        let mut verdict = Verdict::Ready;
        for dependency in &step.after {
            match self.states.get(dependency.step) {
                Some(State::Done(outcome)) if dependency.must_succeed && self.blocks(dependency.step, outcome) => {
                    return Verdict::Skip(format!(
                        "Needs `{}`, which {}.",
                        self.key(dependency.step),
                        account(outcome)
                    ));
                }
                Some(State::Done(_)) => {}
                Some(State::Waiting { .. } | State::Running) => verdict = Verdict::Wait,
                None => {
                    return Verdict::Skip(format!("Needs step {}, which is not in the plan.", dependency.step));
                }
            }
        }
        verdict
    }

    fn why_stopped(&self, stop: &Stop) -> String {
        match stop {
            Stop::Cancelled => "The run was cancelled before this step started.".into(),
            Stop::TimedOut => "The run timed out before this step started.".into(),
            Stop::FailedFast(failed) => {
                format!("`{}` did not succeed, and the pipeline is set to `fail_fast`.", self.key(*failed))
            }
        }
    }

    fn end(&mut self, index: usize, outcome: Outcome) {
        self.set(index, State::Done(outcome));
        self.ready.remove(&index);
        if let Some(dependants) = self.dependants.get(index) {
            self.touched.extend(dependants);
        }
    }

    fn set(&mut self, index: usize, state: State) {
        if let Some(slot) = self.states.get_mut(index) {
            *slot = state;
        }
    }

    fn lane_mut(&mut self, step: usize) -> Option<&mut Lane> {
        let lane = self.lane_of.get(step).copied().unwrap_or(0);
        self.lanes.get_mut(lane)
    }

    fn key(&self, index: usize) -> &str {
        self.plan.steps.get(index).map_or("?", |step| step.key.as_str())
    }

    /// Whether this outcome keeps dependants from starting.
    fn blocks(&self, index: usize, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Succeeded | Outcome::Cached => false,
            Outcome::Failed(_) | Outcome::TimedOut => !self.is_soft(index),
            Outcome::Cancelled | Outcome::Skipped(_) | Outcome::Errored(_) => true,
        }
    }

    /// Whether this outcome, by itself, makes the run fail. If a step was skipped or cut short, the cause is elsewhere.
    fn fails_the_run(&self, index: usize, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Succeeded | Outcome::Cached | Outcome::Skipped(_) | Outcome::Cancelled => false,
            Outcome::Failed(_) | Outcome::TimedOut => !self.is_soft(index),
            Outcome::Errored(_) => true,
        }
    }

    fn is_soft(&self, index: usize) -> bool {
        self.plan.steps.get(index).is_some_and(|step| step.soft_fail)
    }
}

enum Verdict {
    Wait,
    Ready,
    Skip(String),
}

/// Returns how an outcome reads after "which".
fn account(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded | Outcome::Cached => "succeeded".into(),
        Outcome::Failed(code) => format!("failed with exit code {code}"),
        Outcome::TimedOut => "timed out".into(),
        Outcome::Cancelled => "was cancelled".into(),
        Outcome::Errored(_) => "could not be run".into(),
        // A skipped step's sentence names the step that blocked it, so the original cause is shown.
        Outcome::Skipped(why) => match why.strip_prefix("Needs ").and_then(|why| why.strip_suffix('.')) {
            Some(cause) => format!("was skipped (it needs {cause})"),
            None => "was skipped".into(),
        },
    }
}

#[cfg(test)]
mod tests;
