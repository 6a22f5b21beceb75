//! Pulls, from a registry of our own that asks for a password. The engine reads the user's credentials from the environment, so
//! each pull runs in a process of its own. Between the daemon and the registry there is a proxy, which has bad days.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipelens_core::plan::{PlanStep, Value};
use pipelens_engine::deadlines::Deadlines;
use pipelens_engine::event::{BuildEvent, Outcome, Phase, RunOutcome};

use crate::bench::{
    BUSYBOX, Bench, Ran, Running, StepExt as _, assert_nothing_left, docker_client, docker_host, docker_runner,
    eventually, has_containerd_store, in_own_process, is_available, role, step, try_docker_client,
};
use crate::engines::{skip, write_program};
use crate::proxy::{Flow, Proxy};

const MEMBER: &str = "registry::process_that_pulls";
const IMAGE: &str = "PIPELENS_TEST_IMAGE";
/// Where the registry really is, for a process that has its own proxy before it.
const REGISTRY: &str = "PIPELENS_TEST_REGISTRY";
/// `someone` with `secret-word`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "someone:$2b$04$WNStINO06C6itITHd9IBEuChYkW4iMpwq./OFB9Y3mFLAkCoWCK9K\n";
/// What cannot be packed in the image's own layer.
const RANDOM_KIB: u64 = 4_096;
/// Where a slow pull is held. The image store of containerd reports a whole MiB at a time.
const HELD_AFTER: u64 = 1_300_000;

pub(crate) struct Registry {
    process: Child,
    pub(crate) address: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Registry {
    /// `None` where there is no registry to start.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(true).await
    }

    /// One that asks for no password.
    pub(crate) async fn start_open() -> Option<Self> {
        Self::start_with(false).await
    }

    async fn start_with(asks_for_password: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("passwords"), PASSWORDS).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            r"version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {}}}}}
http: {{addr: '{address}'}}
{}
",
            path("data"),
            if asks_for_password {
                format!("auth: {{htpasswd: {{realm: test, path: {}}}}}", path("passwords"))
            } else {
                String::new()
            },
        );
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = process else {
            skip("there is no docker-registry");
            return None;
        };
        let listens = async || std::net::TcpStream::connect(&address).ok().map(drop);
        eventually("the registry listens", listens).await;
        Some(Self { process, address, folder })
    }

    /// Returns a folder with this client configuration.
    fn configuration(&self, name: &str, config: &serde_json::Value) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        folder
    }

    /// From now on, it accepts connections and answers nothing.
    pub(crate) fn pause(&self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    }

    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Returns a folder with a client configuration that holds this password for an address.
    pub(crate) fn login(&self, address: &str, password: &str) -> PathBuf {
        let auth = STANDARD.encode(format!("someone:{password}"));
        let config = serde_json::json!({ "auths": { address: { "auth": auth } } });
        self.configuration(&format!("{address} {password}"), &config)
    }

    /// Puts an image with a layer of its own in the registry and takes it from the daemon.
    fn push(&self) -> String {
        let image = format!("{}/some/image:tag", self.address);
        let login = self.login(&self.address, "secret-word");
        let count = format!("count={RANDOM_KIB}");
        let container =
            docker_client(&["run", "-d", BUSYBOX, "dd", "if=/dev/urandom", "of=/random", "bs=1024", &count]);
        docker_client(&["wait", container.trim()]);
        docker_client(&["commit", container.trim(), &image]);
        docker_client(&["rm", container.trim()]);
        docker_client(&["--config", &login.display().to_string(), "push", "-q", &image]);
        docker_client(&["rmi", &image]);
        image
    }

    /// Plays a role with a client configuration.
    async fn pull(&self, role: &str, image: &str, login: &Path) {
        let (login, host) = (login.display().to_string(), docker_host().unwrap());
        let environment = [
            (IMAGE, image),
            (REGISTRY, self.address.as_str()),
            ("DOCKER_CONFIG", login.as_str()),
            ("DOCKER_HOST", host.as_str()),
        ];
        in_own_process(MEMBER, role, &environment).await;
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Bytes done and expected, layers done and expected, of each report on the pull, with the step that made it.
fn pulls<'a>(events: impl IntoIterator<Item = &'a BuildEvent>) -> Vec<(usize, u64, u64, usize, usize)> {
    let pulls = events.into_iter().filter_map(|event| match event {
        BuildEvent::StepPhase { step, phase: Phase::Pulling { done_bytes, total_bytes, layers_done, layers, .. } } => {
            Some((*step, *done_bytes, *total_bytes, *layers_done, *layers))
        }
        _ => None,
    });
    pulls.collect()
}

fn digests(ran: &Ran) -> Vec<(usize, String, String)> {
    let digests = ran.events.iter().filter_map(|event| match event {
        BuildEvent::ImageResolved { step, image, digest } => Some((*step, image.clone(), digest.clone())),
        _ => None,
    });
    digests.collect()
}

fn with_pull(policy: &str, step: PlanStep) -> PlanStep {
    with_arguments(&[("pull", policy)], step)
}

fn with_arguments(arguments: &[(&str, &str)], step: PlanStep) -> PlanStep {
    let entry = |(name, value): &(&str, &str)| ((*name).to_owned(), Value::Text((*value).to_owned()));
    PlanStep { runner_args: Some(Value::Map(arguments.iter().map(entry).collect())), ..step }
}

/// Waits for a report of the pull on more than these bytes, and returns how many there are.
async fn wait_for_bytes(running: &mut Running, more_than: u64) -> u64 {
    let is_more = |event: &BuildEvent| pulls([event]).iter().any(|pull| pull.1 > more_than);
    pulls([running.wait_for(is_more).await])[0].1
}

/// Not a test by itself: what the tests below start.
#[tokio::test]
async fn process_that_pulls() {
    let Some(role) = role() else { return };
    let image = std::env::var(IMAGE).unwrap();
    let steps = || vec![step("a", "test -s /random").image(&image), step("b", "test -s /random").image(&image)];
    match role.as_str() {
        "allowed" => {
            let ran = Bench::docker(steps()).run().await;
            assert_nothing_left(ran.run_id);
            ran.assert_succeeded();
            let pulls = pulls(&ran.events);
            let (step, done, total, layers_done, layers) = *pulls.last().unwrap();
            assert!(done == total && layers_done == layers && layers > 0, "{pulls:?}");
            // Containerd's store says nothing of a layer that is there, nor of the bytes of one that comes at once.
            assert!(has_containerd_store() || (total > 1024 * RANDOM_KIB && layers == 2), "{pulls:?}");
            assert!(pulls.iter().all(|pull| pull.0 == step), "one step pulls for both: {pulls:?}");
            let digest = docker_client(&["image", "inspect", "-f", "{{index .RepoDigests 0}}", &image]);
            assert!(digest.contains("/some/image@sha256:"), "{digest}");
            assert_eq!(digests(&ran), [(step, image, digest.trim().to_owned())]);
        }
        "refused" => {
            let ran = Bench::docker(steps()).run().await;
            assert_nothing_left(ran.run_id);
            assert_eq!(ran.outcome, RunOutcome::Failed);
            let why = ran.error_of("a");
            assert!(why.starts_with(&format!("The registry denied access to `{image}`: ")), "{why}");
            assert!(why.ends_with("Log in with `docker login`, and check that you have access to the image."), "{why}");
            assert_eq!(digests(&ran), []);
        }
        "missing" => {
            let ran = Bench::docker(steps()).run().await;
            let why = ran.error_of("a");
            assert!(why.starts_with(&format!("Image `{image}` was not found: ")), "{why}");
        }
        "policies" => policies(&image).await,
        "platforms" => platforms(&image).await,
        "hangs" => hangs(&image).await,
        "is cancelled" => is_cancelled(&image).await,
        "is cut" => is_cut(&image).await,
        "stalls" => stalls(&image).await,
        other => panic!("{other}"),
    }
}

/// With the image here already.
async fn policies(image: &str) {
    let id = docker_client(&["image", "inspect", "-f", "{{.Id}}", image]);
    let digest = docker_client(&["image", "inspect", "-f", "{{index .RepoDigests 0}}", image]).trim().to_owned();
    let pulled = async |policy| {
        let ran = Bench::docker(vec![with_pull(policy, step("a", "true").image(image))]).run().await;
        ran.assert_succeeded();
        !pulls(&ran.events).is_empty()
    };
    assert_eq!((pulled("missing").await, pulled("never").await, pulled("always").await), (false, false, true));

    docker_client(&["rmi", image]);
    let ran = Bench::docker(vec![with_pull("never", step("a", "true").image(image))]).run().await;
    let why = ran.error_of("a");
    assert!(why.contains("the engine does not have it, and the step sets `pull: never`"), "{why}");

    let ran = Bench::docker(vec![step("a", "test -s /random").image(&digest)]).run().await;
    ran.assert_succeeded();
    assert!(!pulls(&ran.events).is_empty());
    assert_eq!(digests(&ran), [(0, digest.clone(), digest.clone())]);
    assert_eq!(docker_client(&["image", "inspect", "-f", "{{.Id}}", &digest]), id);
    docker_client(&["rmi", &digest]);
}

/// With an image for another platform here under the name of the one in the registry.
async fn platforms(image: &str) {
    load_for_other_platform(image);
    let on_amd64 = [("platform", "linux/amd64")];
    let ran = Bench::docker(vec![with_arguments(&on_amd64, step("a", "test -s /random").image(image))]).run().await;
    ran.assert_succeeded();
    assert!(!pulls(&ran.events).is_empty());
    docker_client(&["rmi", image]);

    load_for_other_platform(image);
    let never = [("platform", "linux/amd64"), ("pull", "never")];
    let ran = Bench::docker(vec![with_arguments(&never, step("a", "true").image(image))]).run().await;
    let why = ran.error_of("a");
    assert!(why.contains("the engine has it only for `linux/s390x`, and the step sets `pull: never`"), "{why}");
    docker_client(&["rmi", image]);

    let nowhere = "localhost:1/some/image:tag";
    load_for_other_platform(nowhere);
    let ran = Bench::docker(vec![with_arguments(&on_amd64, step("a", "true").image(nowhere))]).run().await;
    let why = ran.error_of("a");
    assert!(why.starts_with(&format!("Image `{nowhere}` could not be pulled: ")), "{why}");
    assert!(why.contains("The engine has it only for `linux/s390x`, not for `linux/amd64`"), "{why}");
    docker_client(&["rmi", nowhere]);
}

/// Gives the engine an empty image with this name, for a platform that no machine of ours is.
fn load_for_other_platform(image: &str) {
    let folder = tempfile::tempdir().unwrap();
    // A tar archive without entries is two empty blocks.
    let layer = [0_u8; 1024];
    let digest = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    let config = serde_json::json!({
        "architecture": "s390x", "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]);
    std::fs::write(folder.path().join("layer.tar"), layer).unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let archive = folder.path().join("image.tar");
    let files = ["manifest.json", "config.json", "layer.tar"];
    let made =
        std::process::Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(folder.path()).args(files).status();
    assert!(made.unwrap().success());
    docker_client(&["load", "-q", "-i", &archive.display().to_string()]);
}

/// Starts a run whose image comes through a proxy that lets each connection have so many bytes.
async fn start_held(image: &str, bytes: u64) -> (Proxy, Running, String) {
    start_held_with(image, bytes, Deadlines::default()).await
}

async fn start_held_with(image: &str, bytes: u64, deadlines: Deadlines) -> (Proxy, Running, String) {
    let registry = std::env::var(REGISTRY).unwrap();
    let proxy = Proxy::start(&registry).await;
    let config = PathBuf::from(std::env::var("DOCKER_CONFIG").unwrap()).join("config.json");
    let login = std::fs::read_to_string(&config).unwrap().replace(&registry, &proxy.address);
    std::fs::write(&config, login).unwrap();
    proxy.set(Flow::HeldAfter(bytes));
    let image = image.replace(&registry, &proxy.address);
    let steps = vec![step("a", "test -s /random").image(&image), step("b", "true").image(&image)];
    let mut bench = Bench::docker(steps);
    bench.request.deadlines = deadlines;
    (proxy, bench.start(), image)
}

async fn hangs(image: &str) {
    let (proxy, mut running, image) = start_held(image, HELD_AFTER).await;
    let first = wait_for_bytes(&mut running, 0).await;
    // The daemon does not report what comes within a tenth of a second of its last report, so one burst may go unsaid.
    let mut passes = HELD_AFTER;
    let second = loop {
        passes += 50_000;
        assert!(passes < 1024 * RANDOM_KIB, "nothing is said of {passes} bytes");
        proxy.set(Flow::HeldAfter(passes));
        let more = tokio::time::timeout(Duration::from_millis(500), wait_for_bytes(&mut running, first));
        if let Ok(second) = more.await {
            break second;
        }
    };
    assert!(second < 1024 * RANDOM_KIB, "{second} of more");
    proxy.set(Flow::Open);
    let ran = running.finish().await;
    ran.assert_succeeded();
    let done: Vec<u64> = pulls(&ran.events).iter().map(|pull| pull.1).collect();
    assert!(done.is_sorted(), "{done:?}");
    docker_client(&["rmi", &image]);
}

async fn is_cancelled(image: &str) {
    let (proxy, mut running, image) = start_held(image, HELD_AFTER).await;
    wait_for_bytes(&mut running, 0).await;
    running.cancel.cancel();
    let ran = running.finish().await;
    assert_eq!(ran.outcome, RunOutcome::Cancelled);
    assert_eq!((ran.outcome_of("a"), ran.outcome_of("b")), (&Outcome::Cancelled, &Outcome::Cancelled));
    assert_nothing_left(ran.run_id);
    // The engine has stopped too: the same pull, let through, starts from the beginning.
    proxy.set(Flow::Open);
    assert!(try_docker_client(&["image", "inspect", &image]).is_err(), "the pull went on");
}

/// The engine answers all the while, and says the same to everybody who joins the pull.
async fn stalls(image: &str) {
    let (silence, stall) = (Duration::from_secs(3), Duration::from_secs(10));
    let deadlines = Deadlines { silence, stall, ..Deadlines::default() };
    // Less than any store keeps: that of containerd goes on where an earlier connection ended.
    let (_proxy, running, image) = start_held_with(image, 200_000, deadlines).await;
    let ran = running.finish().await;
    assert_eq!(ran.outcome, RunOutcome::Failed);
    let why = ran.error_of("a");
    assert_eq!(
        why,
        format!(
            "Image `{image}` could not be pulled: there was no progress for 10 s. Check the network, then run again."
        )
    );
    assert_nothing_left(ran.run_id);
}

async fn is_cut(image: &str) {
    let (proxy, mut running, image) = start_held(image, 0).await;
    running.wait_for(|event| !pulls([event]).is_empty()).await;
    proxy.set(Flow::Cut);
    let broke_off = format!("Pulling `{image}` was interrupted: ");
    let is_it = |event: &BuildEvent| matches!(event, BuildEvent::Notice { message } if message.starts_with(&broke_off));
    running.wait_for(is_it).await;
    proxy.set(Flow::Open);
    let ran = running.finish().await;
    ran.assert_succeeded();
    docker_client(&["rmi", &image]);
}

#[tokio::test]
async fn an_image_is_pulled_once_with_the_users_credentials() {
    if !is_available(docker_runner()) {
        return;
    }
    let Some(registry) = Registry::start().await else { return };
    let (good, bad) = (registry.login(&registry.address, "secret-word"), registry.login(&registry.address, "wrong"));
    let empty = registry.folder.path().to_owned();
    let image = registry.push();
    registry.pull("refused", &image, &empty).await;
    registry.pull("refused", &image, &bad).await;
    registry.pull("missing", &format!("{}/no/such:tag", registry.address), &good).await;
    registry.pull("allowed", &image, &good).await;
    registry.pull("policies", &image, &good).await;
}

#[tokio::test]
async fn an_image_for_another_platform_is_pulled_for_the_one_that_is_asked_for() {
    if !is_available(docker_runner()) || has_containerd_store() {
        return;
    }
    let Some(registry) = Registry::start().await else { return };
    let image = registry.push();
    registry.pull("platforms", &image, &registry.login(&registry.address, "secret-word")).await;
}

#[tokio::test]
async fn a_slow_pull_shows_progress_and_can_be_cancelled_and_is_retried_when_cut_and_ends_when_stalled() {
    if !is_available(docker_runner()) {
        return;
    }
    let Some(registry) = Registry::start().await else { return };
    for role in ["hangs", "is cancelled", "is cut", "stalls"] {
        // The image store of containerd may keep layers for a while after their image is removed.
        let image = registry.push();
        registry.pull(role, &image, &registry.login(&registry.address, "secret-word")).await;
    }
}

#[tokio::test]
async fn a_helper_is_asked_for_the_credentials() {
    if !is_available(docker_runner()) {
        return;
    }
    let Some(registry) = Registry::start().await else { return };
    let image = registry.push();
    let (programs, asked) = (registry.folder.path().join("bin"), registry.folder.path().join("asked"));
    let answer = r#"{"ServerURL":"","Username":"someone","Secret":"secret-word"}"#;
    let script = format!("echo \"$1 $(cat)\" >> '{}'\necho '{answer}'\n", asked.display());
    write_program(&programs.join("docker-credential-of-the-test"), &script);
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let one = serde_json::json!({ "credHelpers": { &registry.address: "of-the-test" } });
    let all = serde_json::json!({ "auths": { &registry.address: {} }, "credsStore": "of-the-test" });
    for (name, config) in [("one", one), ("all", all)] {
        let login = registry.configuration(name, &config).display().to_string();
        let host = docker_host().unwrap();
        let environment = [(IMAGE, image.as_str()), ("DOCKER_CONFIG", &login), ("DOCKER_HOST", &host), ("PATH", &path)];
        in_own_process(MEMBER, "allowed", &environment).await;
        docker_client(&["rmi", &image]);
        assert_eq!(std::fs::read_to_string(&asked).unwrap(), format!("get {}\n", registry.address), "{name}");
        std::fs::remove_file(&asked).unwrap();
    }
}
