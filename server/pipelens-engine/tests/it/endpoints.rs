//! Engines where the Docker client finds them, each a real one: behind TLS, behind SSH, in a context, Podman. The engine reads the
//! environment, so what depends on it runs in a process of its own.

use std::path::Path;

use pipelens_core::plan::{Cache, CachePolicy, PlanStep};
use pipelens_engine::event::{Outcome, RunOutcome, StdStream};
use pipelens_engine::run::{Engines, artifact_folder, clean};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::bench::{
    Bench, Ran, StepExt as _, docker_client, docker_host, docker_runner, eventually, in_own_process, is_available,
    role, step,
};
use crate::engines::{Podman, SshServer, TlsDaemon};
use crate::proxy::Proxy;

const MEMBER: &str = "endpoints::process_with_an_environment";
/// What a run over an engine far away sends: much, that becomes little.
const BIG_BYTES: usize = 4 * 1024 * 1024;

/// A root, its only child, and a fork that joins again.
fn steps() -> Vec<PlanStep> {
    let join = PlanStep { artifacts: vec!["made".into()], ..step("join", "cat folder/small > made") };
    vec![
        step("root", "wc -c < big; cat folder/small; echo root > made; echo complaint >&2"),
        step("child", "cat made; echo child >> made").builds_in(0),
        step("left", "cat made; echo left > side").builds_in(1),
        step("right", "cat made; ls side 2>/dev/null || echo none").builds_in(1),
        join.after(&[2, 3]),
    ]
}

fn bench(steps: Vec<PlanStep>) -> Bench {
    Bench::docker(steps).file("big", &"x".repeat(BIG_BYTES)).file("folder/small", "text\n")
}

fn check(ran: &Ran) {
    ran.assert_succeeded();
    assert_eq!(ran.stream_of("root", StdStream::Stdout), [BIG_BYTES.to_string().as_str(), "text"]);
    assert_eq!(ran.stream_of("root", StdStream::Stderr), ["complaint"]);
    assert_eq!(ran.text_of("child"), ["root"]);
    assert_eq!(ran.text_of("left"), ["root", "child"]);
    assert_eq!(ran.text_of("right"), ["root", "child", "none"]);
    let artifacts = artifact_folder(ran.log_path_of("join").parent().unwrap(), "join");
    assert_eq!(std::fs::read_to_string(artifacts.join("made")).unwrap(), "text\n");
}

/// Asserts with an engine's own client that a run has left nothing.
#[track_caller]
fn assert_nothing_left(run_id: Uuid, client: impl Fn(&[&str]) -> String) {
    let filter = format!("label=dev.pipelens.run={run_id}");
    assert_eq!(client(&["ps", "-aq", "--filter", &filter]), "", "containers");
    assert_eq!(client(&["images", "-aq", "--filter", &filter]), "", "images");
}

/// Not a test by itself: what the tests below start. It finds its engine as a person's own would be found.
#[tokio::test]
async fn process_with_an_environment() {
    let Some(role) = role() else { return };
    let mut bench = match role.as_str() {
        "runs" => bench(steps()),
        // More at once than an SSH server lets knock.
        "runs many" => Bench::docker((0..14).map(|number| step(&format!("step{number}"), "echo ran")).collect()),
        _ => bench(vec![step("a", "echo begun; sleep 1000")]),
    };
    bench.request.docker_host = None;
    match role.as_str() {
        "runs" => {
            check(&bench.run().await);
            eventually("no connection is left", async || children_called("ssh").is_empty().then_some(())).await;
        }
        "runs many" => {
            bench.request.parallelism = Some(14);
            bench.run().await.assert_succeeded();
        }
        "loses its connections" => {
            let mut running = bench.start();
            running.wait_for_line("begun").await;
            for process in children_called("ssh") {
                rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
            }
            let ran = running.finish().await;
            assert_eq!(ran.outcome, RunOutcome::Failed);
            let why = ran.error_of("a");
            // Whether the engine can be asked about it right then or not.
            assert!(why.contains("`ssh` failed (signal: 9"), "{why}");
            // The cleanup has connections of its own.
            assert_nothing_left(ran.run_id, docker_client);
        }
        unreachable => {
            let ran = bench.run().await;
            assert_eq!(ran.outcome, RunOutcome::EngineUnreachable);
            let said = ran.notices().join("\n");
            assert!(said.contains(unreachable), "{said}");
        }
    }
}

fn children_called(name: &str) -> Vec<rustix::process::Pid> {
    let me = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // `pid (name) state parent …`
        let (start, rest) = stat.rsplit_once(") ")?;
        let (id, its_name) = start.split_once(" (")?;
        let is_ours = its_name == name && rest.split(' ').nth(1) == Some(me.as_str());
        rustix::process::Pid::from_raw(id.parse().ok()?).filter(|_| is_ours)
    });
    processes.collect()
}

/// Makes a folder of the Docker client with one context in it.
fn context(name: &str, host: &str, certificates: Option<&Path>, is_current: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let id: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    let meta = folder.path().join("contexts/meta").join(&id);
    std::fs::create_dir_all(&meta).unwrap();
    let text = serde_json::json!({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": false}}});
    std::fs::write(meta.join("meta.json"), text.to_string()).unwrap();
    if let Some(certificates) = certificates {
        let tls = folder.path().join("contexts/tls").join(&id).join("docker");
        std::fs::create_dir_all(&tls).unwrap();
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            std::fs::copy(certificates.join(file), tls.join(file)).unwrap();
        }
    }
    if is_current {
        std::fs::write(folder.path().join("config.json"), format!(r#"{{"currentContext":"{name}"}}"#)).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_tls_daemon_gets_compressed_sources_from_clients_with_a_certificate() {
    if !is_available(docker_runner()) {
        return;
    }
    let Some(daemon) = TlsDaemon::start().await else { return };
    let proxy = Proxy::start(&daemon.address).await;
    let host = format!("tcp://{}", proxy.address);
    let certificates = |who: &str| daemon.certificates.home(who).display().to_string();
    let with = async |role: &str, who: &str| {
        let folder = certificates(who);
        let tls = [("DOCKER_HOST", host.as_str()), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", &folder)];
        in_own_process(MEMBER, role, &tls).await;
    };
    with("runs", "client").await;
    let sent_bytes = proxy.sent_bytes();
    assert!((1_000..1_000_000).contains(&sent_bytes), "{sent_bytes} bytes were sent");
    assert_eq!(daemon.client(&["ps", "-aq"]), "");
    assert_eq!(daemon.client(&["images", "-aq"]).lines().count(), 1, "the test image alone");

    // Which one, depends on the daemon's version.
    with("received fatal alert: ", "stranger").await;
    let without_certificate = [("DOCKER_HOST", host.as_str())];
    in_own_process(MEMBER, "Client sent an HTTP request to an HTTPS server", &without_certificate).await;

    // The same engine by a context that has the certificates with it.
    let home = daemon.certificates.home("client");
    let named = context("big", &host, Some(&home), false);
    let folder = named.path().display().to_string();
    in_own_process(MEMBER, "runs", &[("DOCKER_CONFIG", &folder), ("DOCKER_CONTEXT", "big"), ("DOCKER_HOST", "")]).await;
    let current = context("big", &host, Some(&home), true);
    let folder = current.path().display().to_string();
    in_own_process(MEMBER, "runs", &[("DOCKER_CONFIG", &folder), ("DOCKER_HOST", "")]).await;
}

#[tokio::test]
async fn a_context_leads_to_its_engine() {
    if !is_available(docker_runner()) {
        return;
    }
    let context = context("mine", &docker_host().unwrap(), None, true);
    let folder = context.path().display().to_string();
    let with = async |role: &str, name: &str| {
        let environment = [("DOCKER_CONFIG", folder.as_str()), ("DOCKER_CONTEXT", name), ("DOCKER_HOST", "")];
        in_own_process(MEMBER, role, &environment).await;
    };
    with("runs", "").await;
    with("runs", "mine").await;
    with("context `other` (`DOCKER_CONTEXT`): ", "other").await;
}

#[tokio::test]
async fn an_engine_over_ssh_is_reached_with_the_users_own_ssh() {
    if !is_available(docker_runner()) {
        return;
    }
    let Some(server) = SshServer::start().await else { return };
    let socket = docker_host().unwrap().replace("unix://", "");
    let with = async |role: &str, key: &str, host: &str| {
        in_own_process(MEMBER, role, &[("DOCKER_HOST", host), ("PATH", &server.path_with_key(key))]).await;
    };
    let host = format!("ssh://127.0.0.1:{}{socket}", server.port);
    with("runs", "right", &host).await;
    with("`ssh` reported: ", "wrong", &host).await;
    with("Permission denied (publickey)", "wrong", &host).await;
    with("/no/such.sock", "right", &format!("ssh://127.0.0.1:{}/no/such.sock", server.port)).await;
    with("Host key verification failed", "right", &host.replace("127.0.0.1", "localhost")).await;
    with("loses its connections", "right", &host).await;
    with("runs many", "right", &host).await;
}

#[tokio::test]
async fn podman_runs_the_same_steps() {
    if !is_available(docker_runner()) {
        return;
    }
    let Some(podman) = Podman::start().await else { return };
    in_own_process(MEMBER, "runs", &[("DOCKER_HOST", &podman.host)]).await;

    let fails = PlanStep { soft_fail: true, ..step("code", "exit 7") };
    let mut bench = bench(vec![fails, step("long", "echo begun; sleep 1000").after(&[0])]);
    bench.request.docker_host = Some(podman.host.clone());
    let mut running = bench.start();
    running.wait_for_line("begun").await;
    running.cancel.cancel();
    let ran = running.finish().await;
    assert_eq!(ran.outcome, RunOutcome::Cancelled);
    assert_eq!((ran.outcome_of("code"), ran.outcome_of("long")), (&Outcome::Failed(7), &Outcome::Cancelled));
    assert_nothing_left(ran.run_id, |arguments| podman.client(arguments));

    // What is kept is found again, with its own settings, and goes when it is told to.
    let (state, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cached = async |key: &str| {
        let policy = CachePolicy::Forever { env_keys: Vec::new() };
        let build = PlanStep { cache: Some(Cache { policy, key: None }), ..step(key, "echo made > file") };
        let mut bench = Bench::docker(vec![build, step("reads", "cat file").builds_in(0)]);
        bench.request.docker_host = Some(podman.host.clone());
        bench.request.source_root = project.path().to_owned();
        bench = bench.caching_in(state.path());
        let ran = bench.run().await;
        assert_eq!(ran.text_of("reads"), ["made"]);
        ran.outcome_of(key).clone()
    };
    assert_eq!((cached("build").await, cached("build").await), (Outcome::Succeeded, Outcome::Cached));
    let kept = podman.client(&["images", "-q", "--filter", "reference=pipelens-snapshot"]);
    let config =
        podman.client(&["image", "inspect", "-f", "{{json .Config.Cmd}} {{json .Config.Entrypoint}}", kept.trim()]);
    assert_eq!(config.trim(), r#"["sh"] []"#);
    let engines = Engines { docker_host: Some(podman.host.clone()), cluster: None };
    clean(state.path(), &engines, Some(project.path()), None).await.unwrap();
    assert_eq!(podman.client(&["images", "-q", "--filter", "reference=pipelens-snapshot"]), "");
}
