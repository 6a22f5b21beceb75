//! What is Docker's own: images, daemons that fail, leftovers.

use std::path::Path;

use pipelens_core::plan::{PlanStep, Value};
use pipelens_engine::event::{BuildEvent, Outcome, RunOutcome};

use crate::bench::{
    BUSYBOX, Bench, PRINT_VOLUME, Ran, StepExt as _, assert_nothing_left, docker_client, docker_host, eventually, step,
    try_docker_client,
};
use crate::proxy::{Flow, Proxy};

/// Ends the test, with a word, where there is no daemon.
macro_rules! needs_docker {
    () => {
        if !crate::bench::is_available(crate::bench::docker_runner()) {
            return;
        }
    };
}
pub(crate) use needs_docker;

pub(crate) async fn run(steps: Vec<PlanStep>) -> Ran {
    let ran = Bench::docker(steps).run().await;
    assert_nothing_left(ran.run_id);
    ran
}

#[tokio::test]
async fn an_images_entry_point_is_not_used() {
    needs_docker!();
    let ran =
        run(vec![step("a", "echo a; pwd").image("pipelens-test/entrypoint:latest"), step("b", "echo b").builds_in(0)])
            .await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["a", "/workspace"]);
    assert_eq!(ran.text_of("b"), ["b"]);
}

#[tokio::test]
async fn the_images_user_owns_the_sources_and_its_home() {
    needs_docker!();
    let look = "id -u; id -g; echo $HOME; echo new > new && cat file && stat -c %u:%g . file";
    for (image, group) in [("pipelens-test/user", "1000"), ("pipelens-test/username", "1001")] {
        let steps = vec![step("a", look).image(image), step("b", "cat new; id -u").builds_in(0)];
        let ran = Bench::docker(steps).file("file", "text\n").run().await;
        ran.assert_succeeded();
        let owner = format!("1000:{group}");
        assert_eq!(ran.text_of("a"), ["1000", group, "/home/app", "text", &owner, &owner]);
        assert_eq!(ran.text_of("b"), ["new", "1000"]);
    }
}

fn arguments(entries: &[(&str, &str)]) -> Option<Value> {
    let entry = |(name, value): &(&str, &str)| ((*name).to_owned(), Value::Text((*value).to_owned()));
    Some(Value::Map(entries.iter().map(entry).collect()))
}

fn arguments_of(name: &str, value: Value) -> Option<Value> {
    Some(Value::Map(vec![(name.to_owned(), value)]))
}

#[tokio::test]
async fn a_step_can_set_a_user_and_limits_and_have_no_network() {
    needs_docker!();
    let entries = [("user", "app"), ("memory", "64m"), ("cpus", "0.5"), ("network", "none"), ("pull", "never")];
    let limits = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true";
    let root = PlanStep {
        runner_args: arguments(&entries),
        ..step("a", &format!("id -un; echo mine > file; ls /sys/class/net; {limits}"))
    };
    // Without the user, so in a container of its own: the name must not stick to the snapshot.
    let ran = run(vec![root, step("b", "id -un; cat file").builds_in(0)]).await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["app", "lo", "67108864"]);
    assert_eq!(ran.text_of("b"), ["root", "mine"]);
}

#[tokio::test]
async fn an_argument_that_gives_access_to_the_machine_is_refused() {
    needs_docker!();
    for entry in [("network", "host"), ("privileged", "true"), ("volumes", "/:/host")] {
        let ran = run(vec![PlanStep { runner_args: arguments(&[entry]), ..step("a", "true") }]).await;
        assert!(ran.error_of("a").contains("could not read `runner_args`"), "{}", ran.error_of("a"));
    }
}

#[tokio::test]
async fn access_to_the_machine_needs_the_users_consent() {
    needs_docker!();
    let shared = tempfile::tempdir().unwrap();
    std::fs::write(shared.path().join("given"), "from the machine\n").unwrap();
    let steps = || {
        let folder = shared.path().display();
        let mounts = vec![Value::Text(format!("{folder}:/in:ro")), Value::Text(format!("{folder}:/out"))];
        let cmd = "cat /in/given; touch /in/x 2>/dev/null || echo read-only; echo made > /out/made";
        let mounting = PlanStep { runner_args: arguments_of("mounts", Value::List(mounts)), ..step("mounts", cmd) };
        let cmd = "grep CapEff /proc/self/status";
        let privileged =
            PlanStep { runner_args: arguments_of("privileged", Value::Bool(true)), ..step("privileged", cmd) };
        vec![mounting, privileged, step("plain", cmd)]
    };
    let refused = Bench::docker(steps()).run().await;
    for key in ["mounts", "privileged"] {
        assert!(refused.error_of(key).contains("needs the user's consent"), "{}", refused.error_of(key));
    }
    assert!(!shared.path().join("made").exists());
    let mut bench = Bench::docker(steps());
    bench.request.may_open_machine = true;
    let ran = bench.run().await;
    assert_eq!(ran.text_of("mounts"), ["from the machine", "read-only"]);
    assert_eq!(std::fs::read_to_string(shared.path().join("made")).unwrap(), "made\n");
    match ran.outcome_of("privileged") {
        Outcome::Succeeded => assert_ne!(ran.text_of("privileged"), ran.text_of("plain")),
        // An engine that itself runs with fewer powers cannot give them on; that it was asked to shows in what it says.
        _ => assert!(ran.error_of("privileged").contains("unable to apply caps"), "{}", ran.error_of("privileged")),
    }
}

#[tokio::test]
async fn a_shell_that_is_a_link_to_itself_is_an_error_with_a_reason() {
    needs_docker!();
    let image = format!("pipelens-test/loop:{}", uuid::Uuid::new_v4().simple());
    let container = docker_client(&["create", BUSYBOX, "true"]);
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("sh", folder.path().join("sh")).unwrap();
    let link = folder.path().join("sh").display().to_string();
    docker_client(&["cp", &link, &format!("{}:/bin/sh", container.trim())]);
    docker_client(&["commit", container.trim(), &image]);
    docker_client(&["rm", container.trim()]);
    let ran = run(vec![step("a", "true").image(&image)]).await;
    docker_client(&["rmi", &image]);
    let expected = format!("Image `{image}` has no shell: `/bin/sh` is a link that leads back to itself. ");
    assert!(ran.error_of("a").starts_with(&expected), "{}", ran.error_of("a"));
}

#[tokio::test]
async fn an_image_without_a_shell_is_an_error_that_explains_it() {
    needs_docker!();
    let ran = run(vec![step("a", "true").image("pipelens-test/noshell")]).await;
    assert!(ran.error_of("a").starts_with("Image `pipelens-test/noshell` has no shell: "), "{}", ran.error_of("a"));
    assert!(
        ran.error_of("a").ends_with("Steps are run by `sh -c`. Use an image that has `sh`."),
        "{}",
        ran.error_of("a")
    );
}

#[tokio::test]
async fn a_missing_image_is_reported_with_the_registrys_message() {
    needs_docker!();
    let ran = run(vec![
        step("a", "true").image("localhost:1/no/such:image"),
        step("b", "true").image("not a reference"),
        step("c", "echo c"),
    ])
    .await;
    assert_eq!(ran.outcome, RunOutcome::Failed);
    assert!(ran.error_of("a").starts_with("Image `localhost:1/no/such:image` could not be pulled: "));
    assert!(ran.error_of("a").contains("connection refused"), "{}", ran.error_of("a"));
    assert!(ran.error_of("b").starts_with("Image `not a reference` was not found: "), "{}", ran.error_of("b"));
    assert_eq!(*ran.outcome_of("c"), Outcome::Succeeded);
}

#[tokio::test]
async fn an_image_is_found_by_its_id_too() {
    needs_docker!();
    let id = docker_client(&["image", "inspect", "-f", "{{.Id}}", BUSYBOX]);
    run(vec![step("a", "true").image(id.trim())]).await.assert_succeeded();
}

#[tokio::test]
async fn without_an_engine_nothing_runs_and_every_address_tried_is_listed() {
    let mut bench = Bench::docker(vec![step("a", "true")]);
    bench.request.docker_host = Some("unix:///no/such/docker.sock".into());
    let ran = bench.run().await;
    assert_eq!(ran.outcome, RunOutcome::EngineUnreachable);
    assert_eq!(*ran.outcome_of("a"), Outcome::Skipped("No container engine answered.".into()));
    let said = ran.notices().join("\n");
    assert!(said.contains("unix:///no/such/docker.sock (the settings): the socket does not exist"), "{said}");
}

#[tokio::test]
async fn a_working_folder_reached_through_a_link_is_not_replaced() {
    needs_docker!();
    let image = format!("pipelens-test/link:{}", uuid::Uuid::new_v4().simple());
    let container = docker_client(&["run", "-d", BUSYBOX, "sh", "-c", "mkdir /real && ln -s /real /link"]);
    docker_client(&["wait", container.trim()]);
    docker_client(&["commit", container.trim(), &image]);
    docker_client(&["rm", container.trim()]);
    let behind = PlanStep { workdir: "/link".into(), ..step("a", "ls /real; readlink /link").image(&image) };
    let below = PlanStep { workdir: "/link/deep".into(), ..step("b", "ls /real/deep; readlink /link").image(&image) };
    let around = PlanStep { workdir: "/tmp/../workspace/x".into(), ..step("c", "ls /workspace/x") };
    let ran = Bench::docker(vec![behind, below, around]).file("file", "").run().await;
    docker_client(&["rmi", &image]);
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["file", "/real"]);
    assert_eq!(ran.text_of("b"), ["file", "/real"]);
    assert_eq!(ran.text_of("c"), ["file"]);
}

#[tokio::test]
async fn running_out_of_memory_is_distinguished_from_a_kill() {
    needs_docker!();
    let eat =
        "echo begun; while [ ! -e /go ]; do sleep 0.1; done; exec awk 'BEGIN { x = \"xxxxxxxx\"; while (1) x = x x }'";
    let mut running = Bench::docker(vec![step("eats", eat), step("killed", "kill -KILL $$")]).start();
    running.wait_for_line("begun").await;
    let (run, key) = (format!("label=dev.pipelens.run={}", running.run_id), "label=dev.pipelens.step=eats");
    // The command may be further than the engine, which has it among those that run a moment later.
    let running_container = async || {
        Some(docker_client(&["ps", "-q", "--filter", &run, "--filter", key]).trim().to_owned())
            .filter(|id| !id.is_empty())
    };
    let container = eventually("the engine says that it runs", running_container).await;
    docker_client(&["update", "--memory", "32m", "--memory-swap", "32m", &container]);
    docker_client(&["exec", &container, "touch", "/go"]);
    let ran = running.finish().await;
    assert_eq!((ran.outcome_of("eats"), ran.outcome_of("killed")), (&Outcome::Failed(137), &Outcome::Failed(137)));
    let said = ran.notices().join("\n");
    assert!(said.contains("Step `eats` ran out of memory"), "{said}");
    assert!(!said.contains("`killed`"), "{said}");
}

/// Creates a container as a run of another owner would.
fn leave_behind(owner: &str, more: &[&str]) -> String {
    let owner = format!("dev.pipelens.owner={owner}");
    // As all of ours are: it goes with its run.
    let labels = ["--label", &owner, "--label", "dev.pipelens.kept="];
    docker_client(&[&["create"], &labels[..], more, &[BUSYBOX, "sleep", "1000"]].concat()).trim().to_owned()
}

/// Returns the label of an owner that is dead, and would be the one of this container but for its start.
fn dead_owner(container: &str) -> String {
    let live = docker_client(&["inspect", "-f", "{{index .Config.Labels \"dev.pipelens.owner\"}}", container]);
    let (process, started) = live.trim().rsplit_once('/').unwrap();
    format!("{process}/{}", started.parse::<u64>().unwrap() + 1)
}

#[tokio::test]
async fn what_a_dead_owner_left_is_swept_and_nothing_else() {
    needs_docker!();
    // The label of a live owner, from a run of ours.
    let mut running = Bench::docker(vec![step("a", "echo begun; sleep 1000")]).start();
    running.wait_for_line("begun").await;
    let filter = format!("label=dev.pipelens.run={}", running.run_id);
    let mine = docker_client(&["ps", "-aq", "--no-trunc", "--filter", &filter]).trim().to_owned();
    let dead_owner = dead_owner(&mine);
    let elsewhere = leave_behind("elsewhere/1/1/1/1", &[]);
    // Runs beside this one may sweep what is dead before we look, in the middle of the commit even.
    let tag = format!("pipelens-test/left:{}", running.run_id.simple());
    try_docker_client(&["commit", "-c", &format!("LABEL dev.pipelens.owner={dead_owner}"), &elsewhere, &tag]).ok();
    let dead = leave_behind(&dead_owner, &[]);

    Bench::docker(vec![step("a", "true")]).run().await.assert_succeeded();
    let alive = docker_client(&["ps", "-aq", "--no-trunc"]);
    let images = docker_client(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    docker_client(&["rm", "-f", &elsewhere]);
    running.cancel.cancel();
    running.finish().await;
    assert!(!alive.contains(&dead), "the dead owner's container is still there");
    assert!(!images.contains(&tag), "the dead owner's image is still there");
    assert!(alive.contains(&elsewhere) && alive.contains(&mine), "{alive}");
}

#[tokio::test]
async fn a_dropped_run_is_cancelled_and_cleaned_up() {
    needs_docker!();
    let bench = Bench::docker(vec![step("a", "echo begun; sleep 1000")]);
    let run_id = bench.request.run_id;
    let (tx, mut events) = tokio::sync::mpsc::channel(100);
    let future = pipelens_engine::run::run(bench.request, tx, tokio_util::sync::CancellationToken::new());
    let mut future = Box::pin(future);
    let begun = async { while !matches!(events.recv().await, Some(BuildEvent::StepLog { .. })) {} };
    tokio::select! {
        _ = &mut future => panic!("it ended"),
        () = begun => {}
    }
    drop(future);
    while events.recv().await.is_some() {}
    assert_nothing_left(run_id);
}

#[tokio::test]
async fn a_step_gets_no_volume_from_its_image() {
    needs_docker!();
    let tag = format!("pipelens-test/volume:{}", uuid::Uuid::new_v4().simple());
    let container = docker_client(&["create", BUSYBOX, "true"]);
    docker_client(&["commit", "-c", "VOLUME /data", container.trim(), &tag]);
    docker_client(&["rm", container.trim()]);
    let cmd = format!("echo a > /data/file; cat /data/file; ! {PRINT_VOLUME}");
    let ran = run(vec![step("a", &cmd).image(&tag)]).await;
    docker_client(&["rmi", &tag]);
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["a"]);
}

/// Only the container that is removed after them says that they were there.
#[tokio::test]
async fn images_of_a_dead_owner_are_swept_although_it_runs_nothing() {
    needs_docker!();
    // A fork is saved, and goes with its run where nothing is kept.
    let steps = vec![
        step("parent", "true"),
        step("one", "echo begun; sleep 1000").builds_in(0),
        step("two", "true").builds_in(0),
    ];
    let mut running = Bench::docker(steps).start();
    running.wait_for_line("begun").await;
    let run = format!("label=dev.pipelens.run={}", running.run_id);
    let anchor = docker_client(&["ps", "-aq", "--filter", &run, "--filter", "label=dev.pipelens.anchor"]);
    let dead_owner = dead_owner(anchor.trim());
    running.cancel.cancel();
    let ran = running.finish().await;
    assert_nothing_left(ran.run_id);

    let tag = format!("pipelens-test/anchored:{}", ran.run_id.simple());
    let anchor = leave_image_behind(&dead_owner, &tag);
    Bench::docker(vec![step("a", "true")]).run().await.assert_succeeded();
    assert_swept(&anchor, &tag);
}

/// The run itself has made no images that it could look for.
#[tokio::test]
async fn images_that_a_dead_owner_leaves_during_a_run_are_swept_after_it() {
    needs_docker!();
    let mut running = Bench::docker(vec![step("a", "echo begun; sleep 1000")]).start();
    running.wait_for_line("begun").await;
    let run = format!("label=dev.pipelens.run={}", running.run_id);
    let dead_owner = dead_owner(docker_client(&["ps", "-aq", "--filter", &run]).trim());
    let tag = format!("pipelens-test/anchored:{}", running.run_id.simple());
    let anchor = leave_image_behind(&dead_owner, &tag);
    running.cancel.cancel();
    running.finish().await;
    assert_swept(&anchor, &tag);
}

/// Leaves an image, and the container that says so, as a run would that was killed. Returns the container.
fn leave_image_behind(dead_owner: &str, tag: &str) -> String {
    let container = leave_behind(dead_owner, &[]);
    // A run beside this one may have swept the container already.
    try_docker_client(&["commit", &container, tag]).ok();
    let anchor = leave_behind(dead_owner, &["--label", "dev.pipelens.anchor="]);
    try_docker_client(&["rm", "-f", &container]).ok();
    anchor
}

#[track_caller]
fn assert_swept(anchor: &str, tag: &str) {
    assert!(!docker_client(&["ps", "-aq", "--no-trunc"]).contains(anchor));
    let images = docker_client(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert!(!images.contains(tag), "{images}");
}

#[tokio::test]
async fn an_unreadable_project_is_reported() {
    needs_docker!();
    let mut bench = Bench::docker(vec![step("a", "true")]);
    bench.request.source_root = Path::new("/no/such/project").to_owned();
    let ran = bench.run().await;
    assert_eq!(ran.outcome, RunOutcome::Failed);
    assert!(ran.error_of("a").contains("`/no/such/project`"), "{}", ran.error_of("a"));
}

#[tokio::test]
async fn a_daemon_that_goes_away_is_an_error_and_not_a_hang() {
    needs_docker!();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let proxy = Proxy::start_on(&socket, &docker_host().unwrap());
    let mut bench = Bench::docker(vec![step("a", "echo begun; sleep 1000"), step("b", "true").after(&[0])]);
    bench.request.docker_host = Some(format!("unix://{}", socket.display()));
    let mut running = bench.start();
    running.wait_for_line("begun").await;
    proxy.set(Flow::Cut);
    let ran = running.finish().await;
    assert_eq!(ran.outcome, RunOutcome::Failed);
    assert!(
        ran.error_of("a").starts_with("The connection to the container engine was lost: "),
        "{}",
        ran.error_of("a")
    );
    let filter = format!("label=dev.pipelens.run={}", ran.run_id);
    eventually("the container ended without us", async || {
        docker_client(&["ps", "-q", "--filter", &filter]).is_empty().then_some(())
    })
    .await;
    docker_client(&["rm", "-f", docker_client(&["ps", "-aq", "--filter", &filter]).trim()]);
}

#[tokio::test]
async fn a_remote_engine_gets_compressed_sources() {
    needs_docker!();
    let proxy = Proxy::start(&docker_host().unwrap()).await;
    let mut bench = Bench::docker(vec![step("a", "wc -c < big; cat small")]);
    bench.request.docker_host = Some(format!("tcp://{}", proxy.address));
    let ran = bench.file("big", &"x".repeat(10_000_000)).file("small", "text\n").run().await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["10000000", "text"]);
    let sent_bytes = proxy.sent_bytes();
    assert!((1_000..1_000_000).contains(&sent_bytes), "{sent_bytes} bytes were sent");
    assert_nothing_left(ran.run_id);
}

#[tokio::test]
async fn steps_run_with_every_kind_of_shell() {
    needs_docker!();
    let images = docker_client(&["images", "--format", "{{.Repository}}"]);
    for image in ["pipelens-test/busybox", "pipelens-test/dash", "pipelens-test/bash"] {
        if !images.lines().any(|it| it == image) {
            println!("skipped: 1 ({image} is not there)");
            continue;
        }
        let nasty = "it's \"two\"\n lines \\n $HOME `id` \u{fc}\t* ";
        let long = format!("{}\necho end", "true it\\'s long\n".repeat(20_000));
        let trap = "trap 'echo asked to end; exit 0' TERM; echo begun; sleep 1000 & wait";
        let steps = vec![
            PlanStep {
                secrets: vec!["TOKEN".into()],
                ..step("variables", "printf '[%s]' \"$NASTY\"; echo ${#TOKEN} $0")
            }
            .env("NASTY", nasty)
            .env("UID", "77")
            .env("SECONDS", "x"),
            step("long", &long),
            step("code", "(exit 7)"),
            step("missing", "no-such-command"),
            step("trap", trap).timeout(1),
            step("waits", "wait; echo $SHLVL; read line || echo closed"),
        ];
        let steps = steps.into_iter().map(|step| step.image(image)).collect();
        let ran = Bench::docker(steps).secret("TOKEN", "two\nlines").run().await;
        assert_nothing_left(ran.run_id);
        assert_eq!(ran.log_of("variables"), format!("[{nasty}]9 sh\n"), "{image}");
        assert_eq!(ran.log_of("long"), "end\n", "{image}");
        assert_eq!(*ran.outcome_of("code"), Outcome::Failed(7), "{image}");
        assert_eq!(*ran.outcome_of("missing"), Outcome::Failed(127), "{image}");
        assert!(ran.log_of("missing").contains("no-such-command: "), "{image}: {}", ran.log_of("missing"));
        assert_eq!(*ran.outcome_of("trap"), Outcome::TimedOut, "{image}");
        assert_eq!(ran.log_of("trap"), "begun\nasked to end\n", "{image}");
        assert_eq!(ran.text_of("waits").last(), Some(&"closed"), "{image}");
    }
}
