//! What is kept in a cluster's registry: what other machines get of it, and what `clean` removes. Another machine is another project folder and state
//! directory.

use std::io::BufRead as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use pipelens_core::plan::PlanStep;
use pipelens_engine::cache::CacheDecision;
use pipelens_engine::cluster_settings::ClusterSettings;
use pipelens_engine::event::{BuildEvent, Outcome};
use pipelens_engine::run::{KeptKind, KeptThing, kept, predict};

use crate::artifacts::{folder_of, listed};
use crate::bench::{Bench, Ran, StepExt as _, as_role, eventually, is_available, role, step};
use crate::cache::{Project, forever, on_change, reason};
use crate::cluster;
use crate::person::kept_shell;

/// Machines that share a repository, which no other test uses.
struct Team {
    settings: ClusterSettings,
}

impl Team {
    /// `None` where there is no cluster.
    fn new() -> Option<Self> {
        if !is_available(cluster::runner()) {
            return None;
        }
        let settings = cluster::settings().unwrap();
        let registry = format!("{}-{}", settings.registry, uuid::Uuid::new_v4());
        Some(Self {
            settings: ClusterSettings { registry, project: Some("example.com/team/project".into()), ..settings },
        })
    }

    fn repository(&self) -> &str {
        self.settings.registry.trim_start_matches("http://")
    }

    fn machine(&self) -> Project {
        let mut project = Project::new(cluster::runner());
        project.cluster = Some(self.settings.clone());
        project.file("Cargo.lock", "one\n");
        project
    }
}

/// `deps` is shared; what it writes differs each time it runs.
fn steps() -> Vec<PlanStep> {
    vec![
        on_change(step("deps", "cat /proc/sys/kernel/random/uuid > made"), "Cargo.lock"),
        step("test", "cat made").builds_in(0),
    ]
}

fn notices(ran: &Ran) -> Vec<&str> {
    ran.notices().into_iter().filter(|notice| !notice.starts_with("Sources: ")).collect()
}

/// Returns what the first step has made, and the second one has printed.
fn made(ran: &Ran) -> String {
    ran.assert_succeeded();
    cluster::assert_nothing_left(ran.run_id);
    ran.text_of("test").concat()
}

fn names(things: Vec<KeptThing>) -> Vec<KeptKind> {
    things.into_iter().map(|thing| thing.what).collect()
}

/// Returns the decisions that an editor shows while a user types.
async fn predicted_while_typing(project: &Project, steps: Vec<PlanStep>) -> Vec<CacheDecision> {
    let mut request = project.bench(steps).request;
    request.cluster.as_mut().unwrap().is_asked_by_user = false;
    predict(&request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_machine_has_made_another_one_takes() {
    let Some(team) = Team::new() else { return };
    let (one, other) = (team.machine(), team.machine());
    one.file("source", "of one\n");
    one.file("only-of-one", "");
    let ran = one.run(steps()).await;
    let first = made(&ran);
    assert_eq!(notices(&ran), [format!("The result of `deps` is now in `{}`.", team.repository())]);
    assert_eq!(notices(&one.run(steps()).await), [""; 0], "it is here");

    other.file("source", "of the other\n");
    assert!(matches!(predicted_while_typing(&other, steps()).await[0], CacheDecision::Hit { .. }));
    assert!(matches!(other.predict(steps()).await[0], CacheDecision::Hit { .. }));
    let ran = other.run(steps()).await;
    assert_eq!(made(&ran), first);
    assert_eq!(ran.outcome_of("deps"), &Outcome::Cached);
    assert_eq!(notices(&ran), [format!("The result of `deps` is being pulled from `{}`.", team.repository())]);
    // From now on, it does not depend on what the first machine does.
    one.clean().await;
    let mut changed = steps();
    changed[1].cmd = "cat made source; ls".into();
    let ran = other.run(changed).await;
    assert_eq!(ran.text_of("test"), [&first, "of the other", "Cargo.lock", "made", "source"], "with its own sources");
    assert_eq!(notices(&ran), [""; 0], "it is here now");

    other.file("Cargo.lock", "two\n");
    assert!(!matches!(other.predict(steps()).await[0], CacheDecision::Hit { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ignores_results_replaces_the_shared_one() {
    let Some(team) = Team::new() else { return };
    let (mut one, other) = (team.machine(), team.machine());
    let first = made(&one.run(steps()).await);
    one.is_read = false;
    let ran = one.run(steps()).await;
    let second = made(&ran);
    assert_ne!(first, second);
    assert_eq!(notices(&ran), [format!("The result of `deps` is now in `{}`.", team.repository())]);
    assert_eq!(made(&other.run(steps()).await), second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_nothing_starts_from_is_not_taken_but_its_artifacts_are() {
    let Some(team) = Team::new() else { return };
    let (one, other) = (team.machine(), team.machine());
    one.run(steps()).await.assert_succeeded();
    let ran = other.run(steps()[..1].to_vec()).await;
    assert_eq!((ran.outcome_of("deps"), notices(&ran)), (&Outcome::Cached, vec![]));
    assert_eq!(other.clean().await, 0);
    let with_artifact = PlanStep { artifacts: vec!["made".into()], ..steps().remove(0) };
    let ran = other.run(vec![with_artifact]).await;
    assert_eq!((ran.outcome_of("deps"), listed(&folder_of(&ran, "deps"))), (&Outcome::Cached, vec!["made".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_project_another_command_and_who_has_no_name_get_nothing() {
    let Some(team) = Team::new() else { return };
    team.machine().run(steps()).await.assert_succeeded();
    let mut stranger = team.machine();
    stranger.cluster.as_mut().unwrap().project = Some("example.com/team/stranger".into());
    assert_eq!(reason(&stranger.predict(steps()).await[0]), "it has not run here yet");
    let mut changed = steps();
    changed[0].cmd = "echo changed > made".into();
    assert_eq!(reason(&team.machine().predict(changed).await[0]), "it has not run here yet");
    let mut nameless = team.machine();
    nameless.cluster.as_mut().unwrap().project = None;
    let ran = nameless.run(steps()).await;
    assert_eq!((ran.outcome_of("deps"), notices(&ran)), (&Outcome::Succeeded, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_with_secrets_and_what_a_reader_makes_is_not_shared() {
    let Some(team) = Team::new() else { return };
    let secret = PlanStep { secrets: vec!["TOKEN".into()], ..step("login", "echo $TOKEN > made") };
    let with_secret = || vec![forever(secret.clone())];
    let machine = team.machine();
    let mut bench = machine.bench(with_secret());
    bench.request.secrets = [("TOKEN".to_owned(), "s3cret-value".to_owned())].into();
    let ran = bench.run().await;
    ran.assert_succeeded();
    assert_eq!(
        notices(&ran).last(),
        Some(&"The result of `login` is not shared, because secrets were used to make it.")
    );
    let mut reader = team.machine();
    reader.cluster.as_mut().unwrap().pushes = false;
    let ran = reader.run(steps()).await;
    ran.assert_succeeded();
    assert_eq!(notices(&ran), [""; 0]);
    let other = team.machine();
    for steps in [with_secret(), steps()] {
        assert_eq!(reason(&other.predict(steps).await[0]), "it has not run here yet");
    }
}

/// None of these steps changes a file, so what they leave is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleaning_takes_nothing_from_other_steps_projects_and_machines() {
    let Some(mut team) = Team::new() else { return };
    team.settings.project = None;
    let (one, other) = (team.machine(), team.machine());
    let steps = || vec![forever(step("a", "true")), forever(step("b", "true")), step("c", "ls").builds_in(1)];
    one.run(steps()).await.assert_succeeded();
    other.run(steps()).await.assert_succeeded();
    let engines = one.engines();
    let root = Some(one.sources.path());
    let result = |step: &str| KeptKind::Result(step.to_owned());
    assert_eq!(names(kept(one.state(), &engines, root, None).await.unwrap()), [result("a"), result("b")]);
    assert_eq!(names(kept(one.state(), &engines, root, Some("b")).await.unwrap()), [result("b")]);

    pipelens_engine::run::clean(one.state(), &engines, root, Some("a")).await.unwrap();
    let decisions = one.predict(steps()).await;
    assert!(matches!(decisions[1], CacheDecision::Hit { .. }) && !matches!(decisions[0], CacheDecision::Hit { .. }));
    let (_, left) = pipelens_engine::run::clean_all(one.state(), &engines).await.unwrap();
    assert_eq!(left, []);
    assert_eq!(names(kept(one.state(), &engines, None, None).await.unwrap()), []);
    let ran = one.run(steps()).await;
    assert_eq!(ran.outcome_of("b"), &Outcome::Succeeded);

    let ran = other.run(steps()).await;
    ran.assert_succeeded();
    assert_eq!((ran.outcome_of("a"), ran.outcome_of("b")), (&Outcome::Cached, &Outcome::Cached));
    assert_eq!(ran.text_of("c"), ["Cargo.lock"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_makes_for_itself_and_what_is_cleaned_is_no_longer_in_the_registry() {
    let Some(mut team) = Team::new() else { return };
    team.settings.project = None;
    let machine = team.machine();
    let fork = vec![step("a", "echo a > a"), step("b", "cat a").builds_in(0), step("c", "cat a").builds_in(0)];
    let mut bench = machine.bench(fork);
    bench.request.cache = None;
    bench.run().await.assert_succeeded();
    assert_eq!(cluster::tags(team.repository(), &["snapshot-"]), [""; 0]);
    machine.run(vec![forever(step("a", "echo a > a"))]).await.assert_succeeded();
    assert_eq!(cluster::tags(team.repository(), &["snapshot-"]).len(), 1);
    assert!(machine.clean().await > 0);
    assert_eq!(cluster::tags(team.repository(), &["snapshot-"]), [""; 0]);
}

const STATE: &str = "PIPELENS_TEST_STATE";
const REPOSITORY: &str = "PIPELENS_TEST_REPOSITORY";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_to_be_killed() {
    if role().as_deref() != Some("a run that cannot record its result") {
        return;
    }
    let state = std::env::var(STATE).unwrap();
    // The other process begins to hold the store while the step runs.
    let steps = vec![forever(step("a", "echo begun; sleep 5; echo a > a"))];
    let mut bench = Bench::new(cluster::runner(), steps).caching_in(Path::new(&state));
    let registry = std::env::var(REPOSITORY).unwrap();
    bench.request.cluster = Some(ClusterSettings { registry, ..cluster::settings().unwrap() });
    let mut running = bench.start();
    running.wait_for_line("begun").await;
    println!("\nbegun");
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_a_killed_process_has_pushed_but_not_recorded_is_removed_by_the_next_run() {
    let Some(team) = Team::new() else { return };
    let machine = team.machine();
    let kept = || vec![forever(step("kept", "echo kept > kept"))];
    machine.run(kept()).await.assert_succeeded();
    let before = cluster::tags(team.repository(), &["snapshot-"]);
    assert_eq!(before.len(), 1);
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kubernetes_results::process_to_be_killed"]).stdout(std::process::Stdio::piped());
    command.env(STATE, machine.state()).env(REPOSITORY, &team.settings.registry);
    let mut child = as_role(&mut command, "a run that cannot record its result").spawn().unwrap();
    let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "begun"));
    // While this is held, nothing can be recorded.
    let store = rusqlite::Connection::open(machine.state().join("pipelens.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tags = || cluster::tags(team.repository(), &["snapshot-"]);
    eventually("the image is pushed", async || (tags().len() == 2).then_some(())).await;
    child.kill().unwrap();
    child.wait().unwrap();
    store.execute_batch("ROLLBACK").unwrap();
    assert_eq!(tags().len(), 2);
    machine.run(vec![step("next", "true")]).await.assert_succeeded();
    assert_eq!(tags(), before);
    assert!(matches!(machine.predict(kept()).await[0], CacheDecision::Hit { .. }));
    assert_eq!(std::fs::read_dir(machine.state().join("cluster-images")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prediction_does_not_wait_for_a_registry_that_does_not_answer() {
    let Some(mut team) = Team::new() else { return };
    let steps: Vec<PlanStep> = (0..20).map(|index| forever(step(&format!("step-{index}"), "true"))).collect();
    // It accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    team.settings.registry = format!("http://{}/state", silent.local_addr().unwrap());
    team.settings.is_asked_by_user = false;
    let machine = team.machine();
    let began = Instant::now();
    let failed = predict(&machine.bench(steps).request).await.unwrap_err().to_string();
    assert!(failed.starts_with("The cluster's registry could not say what it has: it did not answer"), "{failed}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_removed_is_not_forgotten() {
    let Some(team) = Team::new() else { return };
    let machine = team.machine();
    machine.run(steps()).await.assert_succeeded();
    let store = rusqlite::Connection::open(machine.state().join("pipelens.db")).unwrap();
    let move_to = |from: &str, to: &str| {
        let sql = "UPDATE snapshot SET engine = ?2, place = replace(place, ?1, ?2)";
        assert!(store.execute(sql, [from, to]).unwrap() > 0);
    };
    // Nothing listens there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let elsewhere = format!("{closed}/state");
    move_to(team.repository(), &elsewhere);
    let mut engines = machine.engines();
    engines.cluster.as_mut().unwrap().registry = format!("http://{elsewhere}");
    let root = Some(machine.sources.path());
    assert_eq!(pipelens_engine::run::clean(machine.state(), &engines, root, None).await.unwrap(), 0);
    let (_, left) = pipelens_engine::run::clean_all(machine.state(), &engines).await.unwrap();
    assert_eq!(names(left), [KeptKind::Result("deps".to_owned())]);
    move_to(&elsewhere, team.repository());
    assert!(matches!(machine.predict(steps()).await[0], CacheDecision::Hit { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_reported_with_a_command_that_opens_a_shell_in_what_is_left() {
    let Some(team) = Team::new() else { return };
    let machine = team.machine();
    let failing = step("a", "echo evidence > evidence; exit 3").env("NAME", "it's $HOME");
    let ran = machine.run(vec![PlanStep { workdir: "/elsewhere".into(), ..failing }]).await;
    let line = ran.events.iter().find_map(|event| match event {
        BuildEvent::StepKept { shell, .. } => Some(shell),
        _ => None,
    });
    let description = line.unwrap().strip_prefix("pipelens kept-shell ").unwrap();
    let typed = "cat evidence; echo \"<$NAME>\"; pwd; exit 4\n";
    let (shown, exit_code) = kept_shell(description, typed).await;
    assert_eq!(exit_code, Some(4), "{shown}");
    for expected in ["evidence\r\n", "<it's $HOME>\r\n", "/elsewhere\r\n"] {
        assert!(shown.contains(expected), "{shown:?}");
    }
}
