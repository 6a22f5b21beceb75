//! What a run takes from earlier runs, and that it takes nothing it should not.

use std::path::Path;

use pipelens_core::plan::{Cache, CachePolicy, PlanStep};
use pipelens_engine::cache::{Budget, CacheDecision, CacheRegistry, CacheRequest};
use pipelens_engine::cluster_settings::ClusterSettings;
use pipelens_engine::event::{BuildEvent, Outcome, RunOutcome};
use pipelens_engine::run::{Engines, clean, history, predict};
use tempfile::TempDir;

use crate::bench::{
    BUSYBOX, Bench, Ran, Runner, StepExt as _, docker_client, docker_host, docker_runner, has_containerd_store,
    host_runner, step,
};
use crate::cluster::engines;
use crate::docker::needs_docker;
use crate::person::kept_shell;
use crate::runners::for_each_runner;

/// A project that is run more than once.
pub(crate) struct Project {
    runner: Runner,
    pub(crate) sources: TempDir,
    pub(crate) state: TempDir,
    budget: Budget,
    pub(crate) is_read: bool,
    shares_with_harmont: bool,
    pub(crate) registry: Option<CacheRegistry>,
    /// `None`: that of all tests, if it runs there.
    pub(crate) cluster: Option<ClusterSettings>,
}

impl Project {
    pub(crate) fn new(runner: Runner) -> Self {
        let (sources, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Self {
            runner,
            sources,
            state,
            budget: Budget::default(),
            is_read: true,
            shares_with_harmont: false,
            registry: None,
            cluster: None,
        }
    }

    pub(crate) fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.sources.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn bench(&self, steps: Vec<PlanStep>) -> Bench {
        let mut bench = Bench::new(self.runner, steps);
        bench.request.source_root = self.sources.path().to_owned();
        bench.request.cache = Some(CacheRequest {
            state_dir: self.state.path().to_owned(),
            is_read: self.is_read,
            variables: Default::default(),
            budget: self.budget,
            shares_with_harmont: self.shares_with_harmont,
            registry: self.registry.clone(),
        });
        bench.request.cluster = self.cluster.clone();
        crate::cluster::adapt(&mut bench.request);
        bench
    }

    pub(crate) async fn run(&self, steps: Vec<PlanStep>) -> Ran {
        self.bench(steps).run().await
    }

    pub(crate) async fn predict(&self, steps: Vec<PlanStep>) -> Vec<CacheDecision> {
        predict(&self.bench(steps).request).await.unwrap()
    }

    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn engines(&self) -> Engines {
        let engines = engines();
        Engines { cluster: self.cluster.clone().or(engines.cluster), ..engines }
    }

    pub(crate) async fn clean(&self) -> u64 {
        clean(self.state(), &self.engines(), Some(self.sources.path()), None).await.unwrap()
    }
}

pub(crate) fn forever(step: PlanStep) -> PlanStep {
    PlanStep { cache: Some(Cache { policy: CachePolicy::Forever { env_keys: vec![] }, key: None }), ..step }
}

pub(crate) fn on_change(step: PlanStep, path: &str) -> PlanStep {
    let policy = CachePolicy::OnChange { paths: vec![path.to_owned()] };
    PlanStep { cache: Some(Cache { policy, key: None }), ..step }
}

pub(crate) fn reason(decision: &CacheDecision) -> &str {
    match decision {
        CacheDecision::MissBuildAs { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

for_each_runner! {
    async fn a_failure_that_is_forgiven_is_no_cached_result(runner: Runner) {
        let project = Project::new(runner);
        let forever = Cache { policy: CachePolicy::Forever { env_keys: Vec::new() }, key: None };
        let soft = PlanStep { soft_fail: true, cache: Some(forever), ..step("a", "echo x > file; exit 1") };
        let steps = vec![soft, step("b", "cat file").builds_in(0), step("c", "cat file").builds_in(0)];
        for _ in 0..2 {
            let ran = project.run(steps.clone()).await;
            assert_eq!(*ran.outcome_of("a"), Outcome::Failed(1));
            assert_eq!(ran.text_of("c"), ["x"]);
        }
    }

    async fn an_unchanged_step_is_taken_from_the_run_before(runner: Runner) {
        let project = Project::new(runner);
        let steps = || vec![forever(step("build", "echo made > /workspace/made 2>/dev/null || echo made > made")), step("test", "cat made").builds_in(0)];
        project.run(steps()).await.assert_succeeded();
        let again = project.run(steps()).await;
        again.assert_succeeded();
        assert_eq!(*again.outcome_of("build"), Outcome::Cached);
        assert_eq!(again.text_of("test"), ["made"]);
        project.clean().await;
        assert_eq!(*project.run(steps()).await.outcome_of("build"), Outcome::Succeeded);
        project.clean().await;
    }

    async fn what_changed_is_named_before_the_run(runner: Runner) {
        let project = Project::new(runner);
        project.file("Cargo.lock", "1");
        let steps = |cmd: &str| vec![on_change(step("build", cmd), "Cargo.lock")];
        assert_eq!(reason(&project.predict(steps("true")).await[0]), "it has not run here yet");
        project.run(steps("true")).await.assert_succeeded();
        assert!(matches!(project.predict(steps("true")).await[0], CacheDecision::Hit { .. }));
        assert_eq!(reason(&project.predict(steps("echo other")).await[0]), "the command changed");
        project.file("other", "does not matter");
        assert!(matches!(project.predict(steps("true")).await[0], CacheDecision::Hit { .. }));
        project.file("Cargo.lock", "2");
        assert_eq!(reason(&project.predict(steps("true")).await[0]), "`Cargo.lock` changed");
        project.clean().await;
    }

    async fn a_policy_that_matches_nothing_is_said_and_never_a_hit(runner: Runner) {
        let project = Project::new(runner);
        let steps = || vec![on_change(step("build", "true"), "no/such/file")];
        for _ in 0..2 {
            let ran = project.run(steps()).await;
            assert_eq!(*ran.outcome_of("build"), Outcome::Succeeded);
            let notice = "The result of `build` is not cached: `no/such/file` matches no file of the project.";
            assert!(ran.notices().contains(&notice), "{:?}", ran.notices());
        }
    }

    async fn a_snapshot_gets_todays_sources(runner: Runner) {
        let project = Project::new(runner);
        for (path, text) in [("same", "same\n"), ("changed", "old\n"), ("gone/deep/file", "gone\n"), ("shared/project", "p\n")] {
            project.file(path, text);
        }
        let steps = || vec![
            forever(step("build", "echo made > made; echo kept > shared/step; cat changed")),
            step("look", "cat same changed made; find . -type f | sort").builds_in(0),
        ];
        project.run(steps()).await.assert_succeeded();
        project.file("changed", "newer\n");
        project.file("new/it's new", "new\n");
        std::fs::remove_dir_all(project.sources.path().join("gone")).unwrap();
        std::fs::remove_dir_all(project.sources.path().join("shared")).unwrap();
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert_eq!(*ran.outcome_of("build"), Outcome::Cached);
        assert_eq!(ran.text_of("look"), ["same", "newer", "made", "./changed", "./made", "./new/it's new", "./same", "./shared/step"]);
        project.clean().await;
    }

    async fn a_single_step_starts_where_its_parents_left_off(runner: Runner) {
        let project = Project::new(runner);
        let line = |asked: bool| {
            let of = |step: PlanStep| PlanStep { is_wanted: asked, ..step };
            vec![
                of(step("a", "echo a > list")),
                of(forever(step("b", "echo b >> list")).builds_in(0)),
                step("c", "cat list").builds_in(1),
            ]
        };
        project.run(line(true)).await.assert_succeeded();
        let ran = project.run(line(false)).await;
        ran.assert_succeeded();
        assert_eq!((ran.outcome_of("a"), ran.outcome_of("b")), (&Outcome::Cached, &Outcome::Cached));
        assert_eq!(ran.text_of("c"), ["a", "b"]);
        // A step that is not cached by its policy fits only as long as the sources do, and here was never saved.
        assert!(matches!(project.predict(line(false)).await[0], CacheDecision::NotNeeded));
        project.clean().await;
    }

    async fn a_failed_step_leaves_a_state_to_look_into(runner: Runner) {
        let project = Project::new(runner);
        let ran = project.run(vec![step("a", "echo evidence > evidence; exit 3").env("NAME", "it's")]).await;
        assert_eq!(ran.outcome, RunOutcome::Failed);
        let shells = ran.events.iter().filter_map(|event| match event {
            BuildEvent::StepKept { shell, .. } => Some(shell.clone()),
            _ => None,
        });
        let shells: Vec<String> = shells.collect();
        if let Some(description) = shells[0].strip_prefix("pipelens kept-shell ") {
            let (shown, exit_code) = kept_shell(description, "cat evidence; echo \"<$NAME>\"; exit 4\n").await;
            assert!(shown.contains("evidence\r\n") && shown.contains("<it's>\r\n"), "{shown:?}");
            assert_eq!(exit_code, Some(4));
            project.clean().await;
            return;
        }
        // As a person would, but not at a terminal.
        let shell = shells[0].replace(" -it", " -i");
        let mut command = std::process::Command::new("sh");
        if let Some(host) = docker_host() {
            command.env("DOCKER_HOST", host);
        }
        let output = command.args(["-c", &format!("echo 'cat evidence; echo $NAME' | ({shell})")]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "evidence\nit's\n", "{shell}: {output:?}");
        project.clean().await;
    }

    async fn one_project_never_evicts_anothers_results(runner: Runner) {
        let (mut small, other) = (Project::new(runner), Project::new(runner));
        small.budget = Budget { bytes: 0, ..Budget::default() };
        let steps = || vec![forever(step("build", "echo made > made"))];
        other.run(steps()).await.assert_succeeded();
        small.run(steps()).await.assert_succeeded();
        small.run(steps()).await.assert_succeeded();
        assert!(matches!(other.predict(steps()).await[0], CacheDecision::Hit { .. }));
        assert_eq!(reason(&small.predict(steps()).await[0]), "its snapshot no longer exists");
        other.clean().await;
    }

    async fn a_cache_that_is_not_read_is_written(runner: Runner) {
        let mut project = Project::new(runner);
        let steps = || vec![forever(step("build", "echo made > made"))];
        project.run(steps()).await.assert_succeeded();
        project.is_read = false;
        assert_eq!(*project.run(steps()).await.outcome_of("build"), Outcome::Succeeded);
        project.is_read = true;
        assert_eq!(*project.run(steps()).await.outcome_of("build"), Outcome::Cached);
        project.clean().await;
    }

    async fn a_lost_store_loses_time_and_nothing_else(runner: Runner) {
        let project = Project::new(runner);
        std::fs::write(project.state().join("pipelens.db"), "this is no database, whatever its name says").unwrap();
        let ran = project.run(vec![forever(step("build", "true"))]).await;
        ran.assert_succeeded();
        assert!(ran.notices().iter().any(|notice| notice.contains("was corrupt (file is not a database)")), "{:?}", ran.notices());
    }

    async fn runs_are_remembered(runner: Runner) {
        let project = Project::new(runner);
        project.run(vec![step("a", "true"), step("b", "exit 1").after(&[0]), step("c", "true").after(&[1])]).await;
        let runs = history(project.state(), project.sources.path()).unwrap();
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].outcome, "failed");
        let steps: Vec<_> = runs[0].steps.iter().map(|step| (step.key.as_str(), step.outcome.as_str())).collect();
        assert_eq!(steps, [("a", "succeeded"), ("b", "failed"), ("c", "skipped")]);
        let has_digest: Vec<_> = runs[0].steps.iter().map(|step| step.digest.is_some()).collect();
        let has_images = runner != host_runner();
        assert_eq!(has_digest, [has_images, has_images, false]);
        project.clean().await;
    }
}

#[tokio::test]
async fn a_snapshot_that_was_used_after_those_built_on_it_goes_too() {
    needs_docker!();
    let project = Project::new(docker_runner());
    let key = uuid::Uuid::new_v4().to_string();
    let steps = || vec![forever(step(&key, "echo a > a")), step("b", "echo b > b; exit 1").builds_in(0)];
    // The second time `b` boots from what is kept of the first step, and so does what is kept of its failure.
    for _ in 0..2 {
        assert_eq!(project.run(steps()).await.outcome, RunOutcome::Failed);
    }
    // As if a later run had begun with it.
    let store = rusqlite::Connection::open(project.state().join("pipelens.db")).unwrap();
    let later = store.execute("UPDATE snapshot SET used_at = used_at + 1 WHERE step = ?1", [&key]).unwrap();
    assert_eq!(later, 2);
    project.clean().await;
    let kept: u32 = store.query_row("SELECT count(*) FROM snapshot", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
    assert_eq!(docker_client(&["images", "-aq", "--filter", &format!("label=dev.pipelens.step={key}")]), "");
}

#[tokio::test]
async fn a_replaced_snapshot_that_something_is_built_on_goes_with_it() {
    needs_docker!();
    let mut project = Project::new(docker_runner());
    let key = uuid::Uuid::new_v4().to_string();
    let kept = forever(step(&key, "echo a > a"));
    let failing = || vec![kept.clone(), step("b", "echo b > b; exit 1").builds_in(0)];
    for _ in 0..2 {
        assert_eq!(project.run(failing()).await.outcome, RunOutcome::Failed);
    }
    project.is_read = false;
    project.run(vec![kept.clone()]).await.assert_succeeded();
    let images = || docker_client(&["images", "-aq", "--filter", &format!("label=dev.pipelens.step={key}")]);
    // The failure is built on the first. Docker's own store keeps that until the failure goes, containerd's keeps the layers alone.
    let count = images().lines().count();
    assert!(count == 2 || has_containerd_store() && count == 1, "{}", images());
    project.clean().await;
    assert_eq!(images(), "");
}

/// A step with the key of a plan, which says nothing of whose result it is.
fn ready_made(key: &str, cmd: &str) -> Vec<PlanStep> {
    let cache = Cache { policy: CachePolicy::Forever { env_keys: vec![] }, key: Some(key.to_owned()) };
    vec![PlanStep { cache: Some(cache), ..step("Build.All", cmd) }]
}

#[tokio::test]
async fn a_precomputed_key_is_shared_with_the_harmont_tools_if_the_user_allows_it() {
    needs_docker!();
    let mut project = Project::new(docker_runner());
    let key = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("harmont-cache/build-all:{}", &key[..16]);
    project.run(ready_made(&key, "echo made > made")).await.assert_succeeded();
    assert_eq!(docker_client(&["images", "-q", &name]), "", "the user did not allow it");
    project.clean().await;

    project.shares_with_harmont = true;
    project.run(ready_made(&key, "echo made > made")).await.assert_succeeded();
    assert!(docker_client(&["images", "-q", &name]).trim().len() > 5);
    // The key wins, whatever the command is; a store that has lost its memory finds the image by its name.
    let mut forgetful = Project::new(docker_runner());
    forgetful.shares_with_harmont = true;
    std::mem::swap(&mut forgetful.sources, &mut project.sources);
    assert_eq!(*forgetful.run(ready_made(&key, "exit 1")).await.outcome_of("Build.All"), Outcome::Cached);
    std::mem::swap(&mut forgetful.sources, &mut project.sources);
    project.clean().await;
    assert_eq!(docker_client(&["images", "-q", &name]), "");

    // An image of the Harmont tools has no labels of ours.
    docker_client(&["tag", BUSYBOX, &name]);
    assert_eq!(*project.run(ready_made(&key, "exit 1")).await.outcome_of("Build.All"), Outcome::Cached);
    project.shares_with_harmont = false;
    assert_eq!(*project.run(ready_made(&key, "exit 1")).await.outcome_of("Build.All"), Outcome::Failed(1));
    docker_client(&["rmi", &name]);
    project.clean().await;
}

#[tokio::test]
async fn one_project_cannot_plant_anothers_hit() {
    needs_docker!();
    let (mut one, mut other) = (Project::new(docker_runner()), Project::new(docker_runner()));
    let key = uuid::Uuid::new_v4().simple().to_string();
    one.shares_with_harmont = true;
    one.run(ready_made(&key, "echo planted > made")).await.assert_succeeded();
    for shares_with_harmont in [false, true] {
        other.shares_with_harmont = shares_with_harmont;
        let decisions = other.predict(ready_made(&key, "exit 1")).await;
        assert!(matches!(decisions[0], CacheDecision::MissBuildAs { .. }), "{decisions:?}");
        assert_eq!(*other.run(ready_made(&key, "exit 1")).await.outcome_of("Build.All"), Outcome::Failed(1));
    }
    // What is saved from an image that claims to be the other's is still its maker's.
    let id = docker_client(&["images", "-q", &format!("harmont-cache/build-all:{}", &key[..16])]);
    let label = "{{index .Config.Labels \"dev.pipelens.workspace\"}}";
    let workspace = docker_client(&["inspect", "-f", label, id.trim()]);
    let claims = format!("pipelens-claims/{key}");
    let container = docker_client(&["create", BUSYBOX, "true"]);
    let change = format!("LABEL dev.pipelens.workspace={} dev.pipelens.kept={}", workspace.trim(), workspace.trim());
    docker_client(&["commit", "-c", &change, container.trim(), &claims]);
    docker_client(&["rm", container.trim()]);
    let steps = ready_made(&key, "echo planted > made").into_iter().map(|step| step.image(&claims)).collect();
    assert_eq!(*other.run(steps).await.outcome_of("Build.All"), Outcome::Succeeded);
    let label = docker_client(&["inspect", "-f", label, &format!("harmont-cache/build-all:{}", &key[..16])]);
    assert_ne!(label, workspace);
    assert!(!label.trim().is_empty());
    one.clean().await;
    other.clean().await;
    docker_client(&["rmi", "-f", &claims]);
}

#[tokio::test]
async fn a_failed_steps_state_is_not_shared_as_its_result() {
    needs_docker!();
    let mut project = Project::new(docker_runner());
    project.shares_with_harmont = true;
    let key = uuid::Uuid::new_v4().simple().to_string();
    for _ in 0..2 {
        assert_eq!(*project.run(ready_made(&key, "exit 3")).await.outcome_of("Build.All"), Outcome::Failed(3));
    }
    assert_eq!(docker_client(&["images", "-q", &format!("harmont-cache/build-all:{}", &key[..16])]), "");
    project.clean().await;
}

#[tokio::test]
async fn a_key_that_is_not_a_valid_tag_is_not_an_error() {
    needs_docker!();
    let mut project = Project::new(docker_runner());
    project.shares_with_harmont = true;
    for key in ["a/b:c", "-x", "latest@sha256:0", "\u{fc}"] {
        project.run(ready_made(key, "true")).await.assert_succeeded();
        assert_eq!(*project.run(ready_made(key, "exit 1")).await.outcome_of("Build.All"), Outcome::Cached, "{key}");
    }
    project.clean().await;
}

#[tokio::test]
async fn another_image_with_the_same_name_is_not_a_hit() {
    needs_docker!();
    let project = Project::new(docker_runner());
    let name = format!("pipelens-moving/{}", uuid::Uuid::new_v4().simple());
    docker_client(&["tag", BUSYBOX, &name]);
    let steps = || vec![forever(step("build", "true").image(&name))];
    project.run(steps()).await.assert_succeeded();
    docker_client(&["tag", "pipelens-test/user", &name]);
    assert_eq!(reason(&project.predict(steps()).await[0]), "the image changed");
    docker_client(&["rmi", &name]);
    project.clean().await;
}

#[tokio::test]
async fn a_chain_beyond_the_layer_limit_continues() {
    needs_docker!();
    // Each parent has a second child, so each is saved: more layers than an engine stacks.
    let mut steps = vec![step("0", "echo 0 > list").env("SET", "1").image("pipelens-test/username")];
    for index in 1..130 {
        steps.push(step(&index.to_string(), &format!("echo {index} >> list")).builds_in(index - 1));
    }
    for step in &mut steps {
        step.retry = 1;
    }
    let last = steps.len() - 1;
    steps.push(step("look", "wc -l < list; id -un; id -gn").builds_in(last));
    let ran = crate::docker::run(steps).await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("look"), ["130", "app", "other"]);
}
