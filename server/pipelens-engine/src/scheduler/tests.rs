use pipelens_core::plan::{BootsFrom, Dependency, PlanStep};
use proptest::prelude::*;

use super::*;

fn step(key: &str, after: &[(usize, bool)]) -> PlanStep {
    PlanStep {
        shell: vec!["sh".to_owned()],
        key: key.into(),
        template: None,
        is_wanted: true,
        label: None,
        cmd: "true".into(),
        boots_from: BootsFrom::Image("a".into()),
        after: after.iter().map(|&(step, must_succeed)| Dependency { step, must_succeed }).collect(),
        env: Default::default(),
        timeout_seconds: None,
        workdir: "/workspace".into(),
        cache: None,
        cache_mounts: Vec::new(),
        reuse: Default::default(),
        git: false,
        runner: None,
        runner_args: None,
        artifacts: Vec::new(),
        artifacts_when: Default::default(),
        needs_artifacts: Vec::new(),
        secrets: Vec::new(),
        soft_fail: false,
        retry: 0,
    }
}

fn plan(steps: Vec<PlanStep>) -> Plan {
    Plan { name: "test".into(), timeout_seconds: None, fail_fast: false, steps }
}

/// Two roots, a step that needs both, and one that needs the third.
fn diamond() -> Plan {
    plan(vec![step("a", &[]), step("b", &[]), step("c", &[(0, true), (1, true)]), step("d", &[(2, true)])])
}

#[test]
fn steps_start_in_file_order_as_permits_allow() {
    let plan = diamond();
    let mut scheduler = Scheduler::new(&plan, 1);
    assert_eq!(scheduler.next_actions(), [Action::Start(0), Action::Queue(1)]);
    assert_eq!(scheduler.next_actions(), []);
    scheduler.finished(0, Outcome::Succeeded);
    assert_eq!(scheduler.next_actions(), [Action::Start(1)]);
    scheduler.finished(1, Outcome::Succeeded);
    assert_eq!(scheduler.next_actions(), [Action::Start(2)]);
}

#[test]
fn a_skipped_step_names_what_blocked_it() {
    let plan = diamond();
    let mut scheduler = Scheduler::new(&plan, 2);
    scheduler.next_actions();
    scheduler.finished(1, Outcome::Failed(2));
    let skip = |index, why: &str| Action::Skip(index, Outcome::Skipped(why.into()));
    assert_eq!(
        scheduler.next_actions(),
        [
            skip(2, "Needs `b`, which failed with exit code 2."),
            skip(3, "Needs `c`, which was skipped (it needs `b`, which failed with exit code 2)."),
        ]
    );
    assert!(!scheduler.is_over());
    scheduler.finished(0, Outcome::Succeeded);
    assert!(scheduler.is_over());
    assert_eq!(scheduler.outcome(), RunOutcome::Failed);
}

#[test]
fn a_soft_failure_neither_blocks_nor_fails() {
    let mut plan = plan(vec![step("a", &[]), step("b", &[(0, true)])]);
    plan.steps[0].soft_fail = true;
    let mut scheduler = Scheduler::new(&plan, 2);
    scheduler.next_actions();
    scheduler.finished(0, Outcome::Failed(1));
    assert_eq!(scheduler.next_actions(), [Action::Start(1)]);
    scheduler.finished(1, Outcome::Succeeded);
    assert_eq!(scheduler.outcome(), RunOutcome::Succeeded);
}

#[test]
fn after_a_wait_with_continue_on_failure_any_outcome_will_do() {
    let plan = plan(vec![step("a", &[]), step("b", &[(0, true)]), step("c", &[(0, false), (1, false)])]);
    let mut scheduler = Scheduler::new(&plan, 2);
    scheduler.next_actions();
    scheduler.finished(0, Outcome::Errored("no".into()));
    assert!(scheduler.next_actions().contains(&Action::Start(2)));
}

#[test]
fn fail_fast_stops_the_rest_and_the_run_has_failed() {
    let mut plan = plan(vec![step("a", &[]), step("b", &[]), step("c", &[(1, true)])]);
    plan.fail_fast = true;
    let mut scheduler = Scheduler::new(&plan, 2);
    scheduler.next_actions();
    scheduler.finished(0, Outcome::Failed(1));
    assert_eq!(scheduler.stopped(), Some(&Stop::FailedFast(0)));
    assert_eq!(scheduler.outcome_of_stopped_step(), Outcome::Cancelled);
    scheduler.finished(1, Outcome::Cancelled);
    let why = "`a` did not succeed, and the pipeline is set to `fail_fast`.";
    assert_eq!(scheduler.next_actions(), [Action::Skip(2, Outcome::Skipped(why.into()))]);
    assert_eq!(scheduler.outcome(), RunOutcome::Failed);
}

#[test]
fn a_cancelled_run_does_not_succeed_even_if_its_last_step_did() {
    let plan = plan(vec![step("a", &[])]);
    let mut scheduler = Scheduler::new(&plan, 2);
    scheduler.next_actions();
    scheduler.stop(Stop::Cancelled);
    scheduler.finished(0, Outcome::Succeeded);
    assert_eq!(scheduler.outcome(), RunOutcome::Cancelled);
}

#[derive(Debug, Clone)]
struct World {
    plan: Plan,
    permits: usize,
    /// Taken in turn for the steps that end.
    outcomes: Vec<Outcome>,
    stop_after: Option<(usize, Stop)>,
}

fn worlds() -> impl Strategy<Value = World> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Succeeded),
        1 => Just(Outcome::Failed(1)),
        1 => Just(Outcome::TimedOut),
        1 => Just(Outcome::Errored("no".into())),
    ];
    let stop = prop_oneof![Just(Stop::Cancelled), Just(Stop::TimedOut)];
    let edges = proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..3);
    let steps = proptest::collection::vec((edges, any::<bool>()), 1..14);
    let stops = proptest::option::of((0usize..10, stop));
    (steps, 1usize..5, proptest::collection::vec(outcome, 14), stops, any::<bool>()).prop_map(
        |(steps, permits, outcomes, stop_after, fail_fast)| {
            let steps = steps.into_iter().enumerate().map(|(index, (edges, soft_fail))| {
                let after = edges.iter().filter(|_| index > 0).map(|(edge, must)| (edge.index(index.max(1)), *must));
                PlanStep { soft_fail, ..step(&index.to_string(), &after.collect::<Vec<_>>()) }
            });
            World { plan: Plan { fail_fast, ..plan(steps.collect()) }, permits, outcomes, stop_after }
        },
    )
}

proptest! {
    #[test]
    fn any_graph_runs_to_its_end(world in worlds()) {
        let steps = world.plan.steps.len();
        let mut scheduler = Scheduler::new(&world.plan, world.permits);
        let mut ended: Vec<Option<Outcome>> = vec![None; steps];
        let mut running: Vec<usize> = Vec::new();
        let mut finished = 0;
        while !scheduler.is_over() {
            for action in scheduler.next_actions() {
                match action {
                    Action::Start(index) => {
                        prop_assert!(scheduler.stopped().is_none(), "started {index} after a stop");
                        for dependency in &world.plan.steps[index].after {
                            prop_assert!(ended[dependency.step].is_some(), "{index} before {}", dependency.step);
                        }
                        running.push(index);
                        prop_assert!(running.len() <= world.permits);
                    }
                    Action::Queue(index) => prop_assert!(ended[index].is_none() && !running.contains(&index)),
                    Action::Skip(index, outcome) => {
                        prop_assert!(ended[index].is_none() && !running.contains(&index), "{index} ended twice");
                        ended[index] = Some(outcome);
                    }
                }
            }
            if scheduler.is_over() {
                break;
            }
            prop_assert!(!running.is_empty(), "nothing runs and nothing ends");
            if let Some((_, stop)) = world.stop_after.as_ref().filter(|(after, _)| *after == finished) {
                scheduler.stop(stop.clone());
            }
            let index = running.remove(finished % running.len());
            let outcome = world.outcomes[finished % world.outcomes.len()].clone();
            prop_assert!(ended[index].is_none());
            ended[index] = Some(outcome.clone());
            scheduler.finished(index, outcome);
            finished += 1;
        }
        prop_assert!(running.is_empty());
        prop_assert!(ended.iter().all(Option::is_some));
        if matches!(scheduler.stopped(), Some(Stop::Cancelled | Stop::TimedOut)) {
            prop_assert_ne!(scheduler.outcome(), RunOutcome::Succeeded);
        }
        if scheduler.outcome() == RunOutcome::Succeeded {
            let hard = |index: usize| !world.plan.steps[index].soft_fail;
            for (index, outcome) in ended.iter().enumerate() {
                prop_assert!(!matches!(outcome, Some(Outcome::Failed(_) | Outcome::TimedOut)) || !hard(index));
                prop_assert!(!matches!(outcome, Some(Outcome::Errored(_))));
            }
        }
    }
}

#[test]
fn each_runner_has_its_own_permits() {
    let plan = plan(vec![step("a", &[]), step("b", &[]), step("c", &[]), step("d", &[])]);
    // `a` and `c` on one runner, `b` and `d` on the other.
    let mut scheduler = Scheduler::new(&plan, usize::MAX).with_lanes(vec![0, 1, 0, 1], 2);
    assert_eq!(
        scheduler.next_actions(),
        [Action::Start(0), Action::Start(1), Action::Queue(2), Action::Queue(3)],
        "one each until it is known how many"
    );
    scheduler.allow(1, 2);
    assert_eq!(scheduler.next_actions(), [Action::Start(3)]);
    scheduler.finished(1, Outcome::Succeeded);
    assert_eq!(scheduler.next_actions(), [], "what one runner has free is no use to the other");
    scheduler.finished(0, Outcome::Succeeded);
    assert_eq!(scheduler.next_actions(), [Action::Start(2)]);
}

#[test]
fn a_limit_of_the_run_counts_all_runners_together() {
    let plan = plan(vec![step("a", &[]), step("b", &[]), step("c", &[])]);
    let mut scheduler = Scheduler::new(&plan, 2).with_lanes(vec![0, 1, 1], 2);
    scheduler.allow(0, usize::MAX);
    scheduler.allow(1, usize::MAX);
    assert_eq!(scheduler.next_actions(), [Action::Start(0), Action::Start(1), Action::Queue(2)]);
}
