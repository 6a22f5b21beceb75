//! Pulls, from a registry of our own that asks for a password. The engine reads the user's credentials from the environment, so
//! each pull runs in a process of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipelens_engine::event::{BuildEvent, Phase, RunOutcome};
use pipelens_engine::run::RunnerKind;

use crate::bench::{
    BUSYBOX, Bench, StepExt as _, assert_nothing_left, docker_client, docker_host, eventually, is_available, step,
};

const ROLE: &str = "PIPELENS_TEST_PULL";
const IMAGE: &str = "PIPELENS_TEST_IMAGE";
/// `someone` with `secret-word`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "someone:$2b$04$WNStINO06C6itITHd9IBEuChYkW4iMpwq./OFB9Y3mFLAkCoWCK9K\n";

struct Registry {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Registry {
    /// `None` where there is no registry to start.
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("passwords"), PASSWORDS).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n\
             auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            path("data"),
            path("passwords"),
        );
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let listens = async || std::net::TcpStream::connect(&address).ok().map(drop);
        eventually("the registry listens", listens).await;
        Some(Self { process, address, folder })
    }

    /// Returns a folder with a client configuration that holds this password.
    fn login(&self, name: &str, password: &str) -> std::path::PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let auth = STANDARD.encode(format!("someone:{password}"));
        let config = serde_json::json!({ "auths": { &self.address: { "auth": auth } } });
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        folder
    }

    /// Puts an image with a layer of its own in the registry and takes it from the daemon.
    fn push(&self, login: &Path) -> String {
        let image = format!("{}/some/image:tag", self.address);
        let container =
            docker_client(&["run", "-d", BUSYBOX, "dd", "if=/dev/urandom", "of=/random", "bs=1024", "count=512"]);
        docker_client(&["wait", container.trim()]);
        docker_client(&["commit", container.trim(), &image]);
        docker_client(&["rm", container.trim()]);
        docker_client(&["--config", &login.display().to_string(), "push", "-q", &image]);
        docker_client(&["rmi", &image]);
        image
    }

    /// Runs this binary's `process_that_pulls` with a client configuration.
    async fn pull(&self, role: &str, image: &str, login: &Path) {
        let status = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "registry::process_that_pulls", "--nocapture"])
            .env(ROLE, role)
            .env(IMAGE, image)
            .env("DOCKER_CONFIG", login)
            .env("DOCKER_HOST", docker_host().unwrap())
            .status();
        assert!(status.await.unwrap().success(), "{role}");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Not a test by itself: what the test below starts.
#[tokio::test]
async fn process_that_pulls() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let image = std::env::var(IMAGE).unwrap();
    let steps = vec![step("a", "test -s /random").image(&image), step("b", "test -s /random").image(&image)];
    let ran = Bench::docker(steps).run().await;
    assert_nothing_left(ran.run_id);
    let pulls: Vec<_> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            BuildEvent::StepPhase {
                step,
                phase: Phase::Pulling { done_bytes, total_bytes, layers_done, layers, .. },
            } => Some((*step, *done_bytes, *total_bytes, *layers_done, *layers)),
            _ => None,
        })
        .collect();
    match role.as_str() {
        "allowed" => {
            ran.assert_succeeded();
            let (step, done, total, layers_done, layers) = *pulls.last().unwrap();
            assert!(done == total && total > 500_000 && layers_done == 2 && layers == 2, "{pulls:?}");
            assert!(pulls.iter().all(|pull| pull.0 == step), "one step pulls for both: {pulls:?}");
        }
        "refused" => {
            assert_eq!(ran.outcome, RunOutcome::Failed);
            let why = ran.error_of("a");
            assert!(why.starts_with(&format!("The registry refuses to hand out `{image}`: ")), "{why}");
            assert!(why.ends_with("Log in with `docker login` and check that you may read the image."), "{why}");
        }
        "missing" => {
            let why = ran.error_of("a");
            assert!(why.starts_with(&format!("Image `{image}` was not found: ")), "{why}");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_image_is_pulled_once_with_the_users_credentials() {
    if !is_available(RunnerKind::Docker) {
        return;
    }
    let Some(registry) = Registry::start().await else {
        println!("skipped: 1 (there is no docker-registry)");
        return;
    };
    let (good, bad) = (registry.login("good", "secret-word"), registry.login("bad", "wrong"));
    let nobody = registry.folder.path().to_owned();
    let image = registry.push(&good);
    registry.pull("refused", &image, &nobody).await;
    registry.pull("refused", &image, &bad).await;
    registry.pull("missing", &format!("{}/no/such:tag", registry.address), &good).await;
    registry.pull("allowed", &image, &good).await;
    docker_client(&["rmi", &image]);
}
