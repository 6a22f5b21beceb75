//! Results that machines share through a registry. Another machine is another project folder and state directory whose engine has forgotten everything.

use pipelens_core::plan::PlanStep;
use pipelens_engine::cache::{CacheDecision, CacheRegistry};
use pipelens_engine::event::{BuildEvent, Outcome};

use crate::artifacts::{folder_of, listed};
use crate::bench::{
    BUSYBOX, Ran, StepExt as _, assert_nothing_left, docker_client, docker_host, docker_runner, in_own_process,
    is_available, role, step,
};
use crate::cache::{Project, forever, on_change, reason};
use crate::registry::Registry;

/// A team with a registry and an image in it.
struct Team {
    registry: Registry,
    /// The base image, which other tests do not have.
    image: String,
}

impl Team {
    /// `None` where there is no registry or no daemon.
    async fn new() -> Option<Self> {
        if !is_available(docker_runner()) {
            return None;
        }
        let registry = Registry::start_open().await?;
        let image = format!("{}/base:tag", registry.address);
        let made = format!("echo {} > /unique", uuid::Uuid::new_v4());
        let container = docker_client(&["run", "-d", BUSYBOX, "sh", "-c", &made]);
        docker_client(&["wait", container.trim()]);
        docker_client(&["commit", container.trim(), &image]);
        docker_client(&["rm", container.trim()]);
        docker_client(&["push", "-q", &image]);
        docker_client(&["rmi", &image]);
        Some(Self { registry, image })
    }

    fn repository(&self) -> String {
        format!("{}/team/cache", self.registry.address)
    }

    fn machine(&self) -> Project {
        let registry = CacheRegistry {
            repository: self.repository(),
            project: Some("example.com/team/project".into()),
            pushes: true,
            is_asked_by_user: true,
        };
        let mut project = Project::new(docker_runner());
        project.registry = Some(registry);
        project.file("Cargo.lock", "one\n");
        project
    }

    /// `deps` is shared; what it writes differs each time it runs.
    fn steps(&self) -> Vec<PlanStep> {
        vec![
            on_change(step("deps", "cat /proc/sys/kernel/random/uuid > made").image(&self.image), "Cargo.lock"),
            step("test", "cat made").builds_in(0),
        ]
    }

    /// Ends with what the daemon has of a machine.
    async fn forget(&self, machine: &Project) {
        machine.clean().await;
        let left = docker_client(&["images", "-q", "--filter", &format!("reference={}/*/*", self.registry.address)]);
        assert_eq!(left, "", "names for the registry");
        docker_client(&["rmi", "-f", &self.image]);
    }
}

fn notices(ran: &Ran) -> Vec<&str> {
    let notices = ran.events.iter().filter_map(|event| match event {
        BuildEvent::Notice { message } if !message.starts_with("Sources: ") => Some(message.as_str()),
        _ => None,
    });
    notices.collect()
}

/// Returns what the first step has made, and the second one has printed.
fn made(ran: &Ran) -> String {
    ran.assert_succeeded();
    assert_nothing_left(ran.run_id);
    ran.text_of("test").concat()
}

#[tokio::test]
async fn what_one_machine_has_made_another_one_pulls() {
    let Some(team) = Team::new().await else { return };
    let (one, other) = (team.machine(), team.machine());
    one.file("source", "of one\n");
    one.file("only-of-one", "");
    let ran = one.run(team.steps()).await;
    let first = made(&ran);
    assert_eq!(notices(&ran), [format!("The result of `deps` is now in `{}`.", team.repository())]);
    assert_eq!(notices(&one.run(team.steps()).await), [""; 0], "it is here");
    team.forget(&one).await;

    other.file("source", "of the other\n");
    assert!(matches!(other.predict(team.steps()).await[0], CacheDecision::Hit { .. }));
    let ran = other.run(team.steps()).await;
    assert_eq!(made(&ran), first);
    assert_eq!(ran.outcome_of("deps"), &Outcome::Cached);
    assert_eq!(notices(&ran), [format!("The result of `deps` is being pulled from `{}`.", team.repository())]);
    let mut steps = team.steps();
    steps[1].cmd = "cat made source; ls".into();
    let ran = other.run(steps).await;
    assert_eq!(ran.text_of("test"), [&first, "of the other", "Cargo.lock", "made", "source"], "with its own sources");
    assert_eq!(notices(&ran), [""; 0], "it is here now");

    other.file("Cargo.lock", "two\n");
    assert!(!matches!(other.predict(team.steps()).await[0], CacheDecision::Hit { .. }));
    team.forget(&other).await;
}

#[tokio::test]
async fn a_run_that_ignores_results_replaces_the_shared_one() {
    let Some(team) = Team::new().await else { return };
    let (mut one, other) = (team.machine(), team.machine());
    let first = made(&one.run(team.steps()).await);
    one.is_read = false;
    let ran = one.run(team.steps()).await;
    let second = made(&ran);
    assert_ne!(first, second);
    assert_eq!(notices(&ran), [format!("The result of `deps` is now in `{}`.", team.repository())]);
    team.forget(&one).await;
    assert_eq!(made(&other.run(team.steps()).await), second);
    team.forget(&other).await;
}

#[tokio::test]
async fn a_result_that_nothing_starts_from_is_not_pulled() {
    let Some(team) = Team::new().await else { return };
    let (one, other) = (team.machine(), team.machine());
    one.run(team.steps()).await.assert_succeeded();
    team.forget(&one).await;
    let ran = other.run(team.steps()[..1].to_vec()).await;
    assert_eq!((ran.outcome_of("deps"), notices(&ran)), (&Outcome::Cached, vec![]));
    assert_eq!(other.clean().await, 0);
    // But its artifacts are copied.
    let with_artifact = |steps: Vec<PlanStep>| vec![PlanStep { artifacts: vec!["made".into()], ..steps[0].clone() }];
    let ran = other.run(with_artifact(team.steps())).await;
    assert_eq!((ran.outcome_of("deps"), listed(&folder_of(&ran, "deps"))), (&Outcome::Cached, vec!["made".to_owned()]));
    team.forget(&other).await;
}

#[tokio::test]
async fn another_project_and_another_command_get_nothing() {
    let Some(team) = Team::new().await else { return };
    let one = team.machine();
    one.run(team.steps()).await.assert_succeeded();
    team.forget(&one).await;
    let mut stranger = team.machine();
    let registry = stranger.registry.as_mut().unwrap();
    registry.project = Some("example.com/team/stranger".into());
    assert_eq!(reason(&stranger.predict(team.steps()).await[0]), "its image has not been pulled yet");
    let mut changed = team.steps();
    changed[0].cmd = "echo changed > made".into();
    assert_eq!(reason(&team.machine().predict(changed).await[0]), "its image has not been pulled yet");
    let mut nameless = team.machine();
    nameless.registry.as_mut().unwrap().project = None;
    let ran = nameless.run(team.steps()).await;
    assert_eq!(ran.outcome_of("deps"), &Outcome::Succeeded);
    assert!(notices(&ran)[0].starts_with("Nothing is shared through"), "{:?}", notices(&ran));
    team.forget(&nameless).await;
}

#[tokio::test]
async fn what_was_made_with_secrets_is_not_pushed() {
    let Some(team) = Team::new().await else { return };
    let machine = team.machine();
    let secret = PlanStep { secrets: vec!["TOKEN".into()], ..step("login", "echo $TOKEN > made").image(&team.image) };
    let steps = vec![forever(secret), forever(step("test", "cat made").builds_in(0))];
    let mut bench = machine.bench(steps.clone());
    bench.request.secrets = [("TOKEN".to_owned(), "s3cret-value".to_owned())].into();
    let ran = bench.run().await;
    ran.assert_succeeded();
    let is_not_shared = |step| format!("The result of `{step}` is not shared, because secrets were used to make it.");
    assert_eq!(
        notices(&ran).into_iter().filter(|it| it.contains("shared")).collect::<Vec<_>>(),
        [is_not_shared("login"), is_not_shared("test")]
    );
    let repository = team.registry.folder.path().join("data/docker/registry/v2/repositories/team");
    assert!(!repository.exists());
    team.forget(&machine).await;
}

#[tokio::test]
async fn who_only_reads_pushes_nothing() {
    let Some(team) = Team::new().await else { return };
    let mut machine = team.machine();
    machine.registry.as_mut().unwrap().pushes = false;
    let ran = machine.run(team.steps()).await;
    ran.assert_succeeded();
    assert_eq!(notices(&ran), [""; 0]);
    team.forget(&machine).await;
    assert!(!matches!(machine.predict(team.steps()).await[0], CacheDecision::Hit { .. }));
}

/// Its description is there, but not the image that it names.
#[tokio::test]
async fn a_result_that_cannot_be_pulled_is_made_here() {
    let Some(team) = Team::new().await else { return };
    let (one, other) = (team.machine(), team.machine());
    let first = made(&one.run(team.steps()).await);
    team.forget(&one).await;
    let revisions =
        team.registry.folder.path().join("data/docker/registry/v2/repositories/team/cache/_manifests/revisions/sha256");
    let tags = team.registry.folder.path().join("data/docker/registry/v2/repositories/team/cache/_manifests/tags");
    for tag in std::fs::read_dir(&tags).unwrap().map(|tag| tag.unwrap()) {
        if tag.file_name().to_string_lossy().starts_with("result-") {
            let link = std::fs::read_to_string(tag.path().join("current/link")).unwrap();
            std::fs::remove_dir_all(revisions.join(link.trim_start_matches("sha256:"))).unwrap();
        }
    }
    let ran = other.run(team.steps()).await;
    assert_ne!(made(&ran), first);
    let said = notices(&ran);
    assert!(said[1].starts_with("The result of `deps` could not be pulled, so the step runs here: "), "{said:?}");
    team.forget(&other).await;
}

/// The registry no longer answers once the first step has started.
#[tokio::test]
async fn a_run_that_is_cancelled_while_it_pushes_ends_at_once() {
    let Some(team) = Team::new().await else { return };
    let machine = team.machine();
    docker_client(&["pull", "-q", &team.image]);
    let mut running = machine.bench(team.steps()).start();
    running.wait_for(|event| matches!(event, BuildEvent::StepStart { .. })).await;
    team.registry.pause();
    running.wait_for(|event| matches!(event, BuildEvent::StepEnd { step: 1, .. })).await;
    running.cancel.cancel();
    let ran = running.finish().await;
    ran.assert_succeeded();
    assert_nothing_left(ran.run_id);
    let was_not_pushed =
        format!("The result of `deps` was not pushed to `{}`: the run was cancelled.", team.repository());
    assert_eq!(notices(&ran), [was_not_pushed]);
    team.forget(&machine).await;
}

const MEMBER: &str = "cache_registry::process_that_shares";

/// Not a test by itself: what the next one starts. The engine's client reads the user's login from the environment.
#[tokio::test]
async fn process_that_shares() {
    let Some(role) = role() else { return };
    let repository = std::env::var("REPOSITORY").unwrap();
    let mut project = Project::new(docker_runner());
    let settings = |is_asked_by_user| CacheRegistry {
        repository: repository.clone(),
        project: Some("example.com/team/project".into()),
        pushes: true,
        is_asked_by_user,
    };
    project.registry = Some(settings(true));
    let steps = || vec![forever(step("deps", "echo made > made"))];
    let ran = project.run(steps()).await;
    ran.assert_succeeded();
    project.clean().await;
    let said = notices(&ran);
    match role.as_str() {
        "member" => {
            assert_eq!(said, [format!("The result of `deps` is now in `{repository}`.")]);
            project.registry = Some(settings(false));
            assert!(matches!(project.predict(steps()).await[0], CacheDecision::Hit { .. }));
        }
        "stranger" => {
            assert!(said[0].starts_with("The cache registry `") && said[1].contains("was not pushed"), "{said:?}");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_users_login_is_used() {
    if !is_available(docker_runner()) {
        return;
    }
    let Some(registry) = Registry::start().await else { return };
    let (repository, host) = (format!("{}/team/cache", registry.address), docker_host().unwrap());
    for (role, password) in [("stranger", "wrong"), ("member", "secret-word")] {
        let login = registry.login(&registry.address, password).display().to_string();
        let environment = [("REPOSITORY", repository.as_str()), ("DOCKER_CONFIG", &login), ("DOCKER_HOST", &host)];
        in_own_process(MEMBER, role, &environment).await;
    }
}

#[tokio::test]
async fn without_the_registry_every_step_runs_here() {
    let Some(mut team) = Team::new().await else { return };
    let machine = team.machine();
    docker_client(&["pull", "-q", &team.image]);
    team.registry.stop();
    let ran = machine.run(team.steps()).await;
    made(&ran);
    let said = notices(&ran);
    assert!(
        said[0].starts_with(&format!("The cache registry `{}` does not say what it has: ", team.repository())),
        "{said:?}"
    );
    assert!(said[1].starts_with("The result of `deps` was not pushed to "), "{said:?}");
    assert_eq!(said.len(), 2, "{said:?}");
    team.forget(&machine).await;
}
