//! `cache_mounts`: folders that outlive runs and are part of no snapshot.

use std::path::Path;
use std::process::{Command, Stdio};

use pipelens_core::plan::{CacheMount, PlanStep, Sharing};
use pipelens_engine::cache::Budget;
use pipelens_engine::event::{BuildEvent, Outcome, RunOutcome};
use pipelens_engine::run::clean;

use crate::bench::{Bench, Ran, Runner, Running, StepExt as _, docker_client, docker_runner, host_runner, step};
use crate::cache::{Project, forever};
use crate::cluster::engines;
use crate::runners::for_each_runner;

const ROLE: &str = "PIPELENS_TEST_MOUNT_HOLDER";

fn mount(path: &str, sharing: Sharing) -> CacheMount {
    let path = if path.starts_with(['/', '~']) { path.to_owned() } else { format!("/workspace/{path}") };
    CacheMount { name: path.clone(), path, sharing }
}

fn mounting(step: PlanStep, paths: &[&str]) -> PlanStep {
    PlanStep { cache_mounts: paths.iter().map(|path| mount(path, Sharing::Shared)).collect(), ..step }
}

fn locking(step: PlanStep, sharing: Sharing) -> PlanStep {
    PlanStep { cache_mounts: vec![mount("kept", sharing)], ..step }
}

/// A home for the step's mounts, so that the tests do not touch that of the user who runs them.
fn at_home(step: PlanStep, home: &Path) -> PlanStep {
    step.env("HOME", home.to_str().unwrap())
}

async fn is_waiting(running: &mut Running) {
    running
        .wait_for(
            |event| matches!(event, BuildEvent::Notice { message } if message.contains("waits for the cache mount")),
        )
        .await;
}

fn has_notice(ran: &Ran, part: &str) -> bool {
    ran.notices().iter().any(|notice| notice.contains(part))
}

for_each_runner! {
    async fn a_mount_outlives_the_run_and_is_in_no_snapshot(runner: Runner) {
        let project = Project::new(runner);
        let home = tempfile::tempdir().unwrap();
        let cmd = "cat kept/a $HOME/.tool/b 2>/dev/null; echo a >> kept/a; echo b >> $HOME/.tool/b; echo result > result";
        let first = || forever(mounting(at_home(step("first", cmd), home.path()), &["kept", "~/.tool"])).env("N", "1");
        let child = "cat result; ls -A kept 2>/dev/null; ls -A $HOME/.tool 2>/dev/null; echo end";
        let steps = |n: &str| vec![
            first().env("N", n),
            at_home(step("child", child), home.path()).builds_in(0),
            at_home(step("other", child), home.path()).builds_in(0),
            mounting(step("same", "cat kept/a").builds_in(0), &["kept"]),
        ];
        let ran = project.run(steps("1")).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("first"), [""; 0]);
        assert_eq!((ran.text_of("child"), ran.text_of("other")), (vec!["result", "end"], vec!["result", "end"]));
        assert_eq!(ran.text_of("same"), ["a"]);
        let ran = project.run(steps("2")).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("first"), ["a", "b"]);
        assert_eq!((ran.text_of("child"), ran.text_of("same")), (vec!["result", "end"], vec!["a", "a"]));
        // Also not if it is taken from the cache.
        let ran = project.run(steps("2")).await;
        assert_eq!(*ran.outcome_of("first"), Outcome::Cached);
        assert_eq!((ran.text_of("child"), ran.text_of("same")), (vec!["result", "end"], vec!["a", "a"]));
        project.clean().await;
    }

    async fn two_projects_see_each_others_mounts_only_if_the_user_shares_them(runner: Runner) {
        let state = tempfile::tempdir().unwrap();
        let projects = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let run = async |project: usize, word: &str, is_shared: bool| {
            let cmd = format!("ls kept; touch kept/{word}");
            let mut bench = Bench::new(runner, vec![mounting(step("a", &cmd), &["kept"])]).caching_in(state.path());
            bench.request.source_root = projects[project].path().to_owned();
            bench.request.shared_cache_mounts.extend(is_shared.then(|| "/workspace/kept".to_owned()));
            let ran = bench.run().await;
            ran.assert_succeeded();
            ran.text_of("a").join(" ")
        };
        assert_eq!(run(0, "one", false).await, "");
        assert_eq!(run(1, "two", false).await, "");
        assert_eq!(run(0, "x", false).await, "one");
        assert_eq!(run(0, "three", true).await, "");
        assert_eq!(run(1, "x", true).await, "three");
        clean(state.path(), &engines(), Some(projects[0].path()), None).await.unwrap();
        assert_eq!(run(0, "x", false).await, "");
        assert_eq!(run(1, "x", false).await, "two");
        assert_eq!(run(1, "x", true).await, "three x");
        clean(state.path(), &engines(), None, None).await.unwrap();
        assert_eq!(run(1, "x", true).await, "");
        clean(state.path(), &engines(), None, None).await.unwrap();
    }

    async fn two_users_never_see_each_others_mounts(runner: Runner) {
        let project = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let state = tempfile::tempdir().unwrap();
            let mut bench =
                Bench::new(runner, vec![mounting(step("a", "ls kept; touch kept/one"), &["kept"])]).caching_in(state.path());
            bench.request.source_root = project.path().to_owned();
            bench.request.shared_cache_mounts.push("/workspace/kept".to_owned());
            let ran = bench.run().await;
            assert_eq!(ran.text_of("a"), [""; 0]);
            clean(state.path(), &engines(), None, None).await.unwrap();
        }
    }

    async fn files_of_the_project_at_its_path_are_hidden_and_updates_leave_it_alone(runner: Runner) {
        let project = Project::new(runner);
        project.file("kept/of-project", "p\n");
        project.file("kept/gone", "p\n");
        project.file("file", "1\n");
        let steps = || vec![
            forever(mounting(step("parent", "ls kept; touch kept/made"), &["kept"])),
            mounting(step("child", "ls kept; cat file").builds_in(0), &["kept"]),
        ];
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert_eq!((ran.text_of("parent"), ran.text_of("child")), (vec![], vec!["made", "1"]));
        let named: Vec<_> = ran.notices().into_iter().filter(|notice| notice.contains("hide")).collect();
        assert_eq!(named, ["The project has 2 files where steps have cache mounts (`kept`), which hide them."]);
        std::fs::remove_file(project.sources.path().join("kept/gone")).unwrap();
        project.file("kept/of-project", "changed\n");
        project.file("kept/new", "new\n");
        project.file("file", "2\n");
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert_eq!(*ran.outcome_of("parent"), Outcome::Cached);
        assert_eq!(ran.text_of("child"), ["made", "2"]);
        std::fs::remove_dir_all(project.sources.path().join("kept")).unwrap();
        assert_eq!(project.run(steps()).await.text_of("child"), ["made", "2"]);
        project.clean().await;
    }

    async fn many_files_are_sent_around_it(runner: Runner) {
        let project = Project::new(runner);
        for number in 0..250 {
            project.file(&format!("files/{number}"), "x\n");
        }
        project.file("kept/of-project", "p\n");
        let steps = || vec![
            mounting(step("a", "ls kept; ls files | wc -l; touch kept/made"), &["kept"]),
            mounting(step("b", "ls kept | grep -v made; ls files | wc -l"), &["kept"]),
            step("c", "ls kept; ls files | wc -l"),
        ];
        for round in 0..3 {
            let ran = project.run(steps()).await;
            ran.assert_succeeded();
            let count = (250 - round).to_string();
            assert_eq!(ran.text_of("a").last().copied(), Some(count.as_str()));
            assert_eq!(ran.text_of("b"), [count.as_str()]);
            assert_eq!(ran.text_of("c"), ["of-project", &count]);
            std::fs::remove_file(project.sources.path().join(format!("files/{round}"))).unwrap();
        }
        project.clean().await;
    }

    async fn artifacts_are_not_found_in_it(runner: Runner) {
        let make = "mkdir -p kept/deep; echo lost > kept/deep/a.txt; echo found > a.txt; ln -s kept/deep/a.txt link.txt";
        let artifacts = vec!["**/*.txt".to_owned(), "kept".to_owned()];
        let maker = PlanStep { artifacts, ..mounting(step("maker", make), &["kept"]) };
        let needing = PlanStep { needs_artifacts: vec![0], ..mounting(step("needing", "find . -name '*.txt' | sort"), &[]).after(&[0]) };
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(runner, vec![maker, needing]);
        bench.request.artifacts_dir = Some(folder.path().to_owned());
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert!(folder.path().join("maker/a.txt").is_file() && !folder.path().join("maker/kept").exists());
        assert!(ran.text_of("needing").contains(&"./a.txt"));
    }

    async fn artifacts_of_other_steps_do_not_get_into_it(runner: Runner) {
        let project = Project::new(runner);
        let steps = || vec![
            PlanStep { artifacts: vec!["kept".to_owned(), "b".to_owned()], ..step("maker", "mkdir kept; echo > kept/a; echo > b") },
            PlanStep { needs_artifacts: vec![0], ..mounting(step("needing", "ls kept b").after(&[0]), &["kept"]) },
            mounting(step("later", "ls kept").after(&[1]), &["kept"]),
        ];
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert!(ran.text_of("needing").contains(&"b") && !ran.text_of("needing").contains(&"a"), "{:?}", ran.text_of("needing"));
        assert_eq!(ran.text_of("later"), [""; 0]);
        assert!(has_notice(&ran, "A cache mount of `needing` hides 1 file of the artifacts of `maker`."), "{:?}", ran.notices());
        project.clean().await;
    }

    async fn one_step_at_a_time_holds_a_locked_mount(runner: Runner) {
        let project = Project::new(runner);
        // `mkdir` fails if the folder exists.
        let cmd = "mkdir kept/held && echo held && while [ ! -e kept/go ] && [ $((i = i + 1)) -lt 20 ]; do sleep 0.05; done; rmdir kept/held";
        let steps = |count: usize| (0..count).map(|number| locking(step(&format!("s{number}"), cmd), Sharing::Locked)).collect::<Vec<_>>();
        let mut first = project.bench(steps(2)).start();
        is_waiting(&mut first).await;
        let second = project.bench(steps(1)).start();
        let (first, second) = tokio::join!(first.finish(), second.finish());
        first.assert_succeeded();
        second.assert_succeeded();
        assert!(has_notice(&first, "waits for the cache mount `/workspace/kept`, which another step uses."));
        project.clean().await;
    }

    async fn shared_mounts_are_used_at_once_and_private_ones_never(runner: Runner) {
        let project = Project::new(runner);
        let wait = "while [ ! -e kept/$1 ] && [ $((i = i + 1)) -lt 600 ]; do sleep 0.05; done; [ -e kept/$1 ] && echo met";
        let meets = |key: &str, other: &str, sharing| {
            locking(step(key, &format!("set -- {other}; touch kept/{key}; {wait}")), sharing)
        };
        let ran = project.run(vec![meets("a", "b", Sharing::Shared), meets("b", "a", Sharing::Shared)]).await;
        assert_eq!((ran.text_of("a"), ran.text_of("b")), (vec!["met"], vec!["met"]));
        project.clean().await;
        // The first one keeps it until the second one has ended.
        let mut first = project.bench(vec![locking(step("a", "touch kept/a; echo begun; sleep 1000"), Sharing::Private)]).start();
        first.wait_for_line("begun").await;
        let other = project.run(vec![locking(step("b", "ls kept; touch kept/b"), Sharing::Private)]).await;
        assert_eq!(other.text_of("b"), [""; 0]);
        first.cancel.cancel();
        assert_eq!(first.finish().await.outcome, RunOutcome::Cancelled);
        let ran = project.run(vec![locking(step("c", "ls kept"), Sharing::Private)]).await;
        assert_eq!(ran.text_of("c"), ["a"]);
        project.clean().await;
    }

    async fn a_step_that_waits_can_be_cancelled_and_one_that_holds_is_not_cleaned(runner: Runner) {
        let project = Project::new(runner);
        let holds = || vec![locking(step("a", "echo mine > kept/a; echo begun; while [ ! -e kept/go ]; do sleep 0.05; done; cat kept/a"), Sharing::Shared)];
        let mut holder = project.bench(holds()).start();
        holder.wait_for_line("begun").await;
        let mut waiting = project.bench(vec![locking(step("b", "true"), Sharing::Locked)]).start();
        is_waiting(&mut waiting).await;
        waiting.cancel.cancel();
        assert_eq!(waiting.finish().await.outcome, RunOutcome::Cancelled);
        project.clean().await;
        let ran = project.run(vec![locking(step("c", "cat kept/a; touch kept/go"), Sharing::Shared)]).await;
        assert_eq!(ran.text_of("c"), ["mine"]);
        let holder = holder.finish().await;
        holder.assert_succeeded();
        assert_eq!(holder.text_of("a"), ["begun", "mine"]);
        project.clean().await;
        assert_eq!(project.run(vec![locking(step("d", "ls kept"), Sharing::Shared)]).await.text_of("d"), [""; 0]);
        project.clean().await;
    }

    async fn the_lock_of_a_killed_process_is_free(runner: Runner) {
        let state = tempfile::tempdir().unwrap();
        let project = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "mounts::process_that_holds_a_mount", "--nocapture"])
            .env(ROLE, runner.name())
            .env("PIPELENS_TEST_STATE", state.path())
            .env("PIPELENS_TEST_PROJECT", project.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = project.path().join("begun");
        crate::bench::eventually("the step holds the mount", async || begun.exists().then_some(())).await;
        // It waits for as long as the other one lives.
        let mut bench = Bench::new(runner, vec![locking(step("b", "cat kept/a; echo b > kept/b; sleep 1; ls kept"), Sharing::Locked)]);
        bench = bench.caching_in(state.path());
        bench.request.source_root = project.path().to_owned();
        let mut running = bench.start();
        is_waiting(&mut running).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let ran = running.finish().await;
        ran.assert_succeeded();
        // The killed process's command, which removes `b`, no longer runs.
        assert_eq!(ran.text_of("b"), ["mine", "a", "b"]);
        clean(state.path(), &engines(), None, None).await.unwrap();
    }

    async fn a_mount_counts_in_the_budget_of_its_project(runner: Runner) {
        let project = Project::new(runner);
        let steps = || vec![mounting(step("a", "ls kept; dd if=/dev/zero of=kept/big bs=1024 count=2048 2>/dev/null"), &["kept"])];
        project.run(steps()).await.assert_succeeded();
        assert!((2_000_000..4_000_000).contains(&project.clean().await));
        project.run(steps()).await.assert_succeeded();
        // Its size is known when the next run ends.
        let ran = project.run(steps()).await;
        assert_eq!(ran.text_of("a"), ["big"]);
        let small = project.with_budget(Budget { bytes: 1_000_000, ..Budget::default() });
        small.run(vec![step("b", "true")]).await.assert_succeeded();
        assert_eq!(small.run(steps()).await.text_of("a"), [""; 0]);
        small.clean().await;
    }

    async fn the_key_of_a_result_includes_its_mounts_but_not_their_content(runner: Runner) {
        let project = Project::new(runner);
        let outcome = async |paths: &[&str]| {
            let ran = project.run(vec![forever(mounting(step("a", "echo x >> kept/a 2>/dev/null || true"), paths))]).await;
            ran.outcome_of("a").clone()
        };
        assert_eq!(outcome(&["kept"]).await, Outcome::Succeeded);
        project.run(vec![mounting(step("b", "echo y >> kept/a"), &["kept"])]).await.assert_succeeded();
        assert_eq!(outcome(&["kept"]).await, Outcome::Cached);
        assert_eq!(outcome(&["kept", "other"]).await, Outcome::Succeeded);
        assert_eq!(outcome(&[]).await, Outcome::Succeeded);
        project.clean().await;
    }

    async fn without_a_place_to_keep_them_mounts_are_empty_folders(runner: Runner) {
        let ran = Bench::new(runner, vec![mounting(step("a", "ls -A kept; touch kept/a; ls kept"), &["kept"])]).run().await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["a"]);
    }

    async fn a_failed_or_retried_step_keeps_what_it_has_put_there(runner: Runner) {
        let project = Project::new(runner);
        let retried = PlanStep { retry: 2, ..locking(step("a", "echo x >> kept/a; [ $(wc -l < kept/a) = 3 ]"), Sharing::Locked) };
        project.run(vec![retried]).await.assert_succeeded();
        assert_eq!(project.run(vec![mounting(step("b", "cat kept/a"), &["kept"])]).await.text_of("b"), ["x"; 3]);
        project.clean().await;
    }

    async fn an_attempt_that_ran_out_of_time_does_not_keep_the_lock_from_the_next_one(runner: Runner) {
        let project = Project::new(runner);
        let work = "echo x >> kept/a; [ $(wc -l < kept/a) = 2 ] || { trap '' TERM; while :; do sleep 1; done; }";
        let retried = PlanStep { retry: 1, ..locking(step("a", work).timeout(5), Sharing::Locked) };
        project.run(vec![retried]).await.assert_succeeded();
        project.clean().await;
    }
}

/// Not a test: what one of the tests above kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_that_holds_a_mount() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let runner = pipelens_engine::runners::find(&role).unwrap();
    let project = std::env::var("PIPELENS_TEST_PROJECT").unwrap();
    let cmd = "echo mine > kept/a; trap '' TERM; echo begun; while :; do rm -f kept/b; done";
    let mut bench = Bench::new(runner, vec![locking(step("a", cmd), Sharing::Locked)]);
    bench = bench.caching_in(Path::new(&std::env::var("PIPELENS_TEST_STATE").unwrap()));
    bench.request.source_root = project.clone().into();
    let mut running = bench.start();
    running.wait_for_line("begun").await;
    std::fs::write(Path::new(&project).join("begun"), "").unwrap();
    running.wait_for(|event| matches!(event, BuildEvent::BuildEnd { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_an_image_that_is_not_root_can_write() {
    if !crate::bench::is_available(docker_runner()) {
        return;
    }
    let project = Project::new(docker_runner());
    project.file("web/file", "x\n");
    for (image, paths) in [
        ("pipelens-test/user", ["~/.deep/er/tool", "web/kept/deep", "/opt/kept"]),
        ("pipelens-test/username", ["~/.deep/er/tool", "web/kept/deep", "/opt/kept"]),
    ] {
        let cmd = "id -u; ls ~/.deep/er/tool web/kept/deep /opt/kept >/dev/null; touch ~/.deep/er/tool/a ~/.deep/b web/kept/deep/a web/kept/b /opt/kept/a && echo written";
        let ran = project.run(vec![mounting(step("a", cmd), &paths).image(image)]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a").last().copied(), Some("written"), "{image}");
    }
    project.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volumes_have_labels_and_are_removed_by_clean() {
    if !crate::bench::is_available(docker_runner()) {
        return;
    }
    let project = Project::new(docker_runner());
    let name = uuid::Uuid::new_v4().to_string();
    let named = CacheMount { name: name.clone(), ..mount("kept", Sharing::Shared) };
    let volumes = || docker_client(&["volume", "ls", "-q", "--filter", &format!("label=dev.pipelens.mount={name}")]);
    // A chain of steps that share a container, and a fork.
    let with = |step: PlanStep| PlanStep { cache_mounts: vec![named.clone()], ..step };
    let steps = vec![
        with(step("a", "touch kept/a")),
        with(step("b", "ls kept").builds_in(0)),
        step("c", "ls kept").builds_in(1),
    ];
    let ran = project.run(steps).await;
    ran.assert_succeeded();
    assert_eq!((ran.text_of("b"), ran.text_of("c")), (vec!["a"], vec![]));
    assert_eq!(volumes().lines().count(), 1);
    project.clean().await;
    assert_eq!(volumes(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_namespaces_mounts_in_the_workspace_are_links() {
    let project = Project::new(host_runner());
    let home = tempfile::tempdir().unwrap();
    let run = async |cmd: &str, paths: &[&str]| {
        let steps = vec![
            mounting(at_home(step("a", cmd), home.path()), paths),
            step("b", "ls -A; ls -A kept 2>/dev/null; true").builds_in(0),
        ];
        let mut bench = project.bench(steps);
        bench.request.host_isolation = false;
        bench.run().await
    };
    let ran = run("touch kept/a result; ls kept", &["kept", "~/tool"]).await;
    ran.assert_succeeded();
    assert_eq!((ran.text_of("a"), ran.text_of("b")), (vec!["a"], vec!["result"]));
    assert!(has_notice(&ran, "uses this machine's own `~/tool`"), "{:?}", ran.notices());
    assert!(!home.path().join("tool").exists());
    // A step that puts a folder in its place keeps nothing of it.
    let ran = run("ls kept/; rm kept; mkdir kept; touch kept/b", &["kept"]).await;
    ran.assert_succeeded();
    assert_eq!((ran.text_of("a"), ran.text_of("b")), (vec!["a"], vec![]));
    let ran = run("ls kept/", &["kept"]).await;
    assert_eq!(ran.text_of("a"), ["a"]);
    project.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_outside_the_home_needs_a_folder_of_this_machine() {
    let project = Project::new(host_runner());
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("file"), "").unwrap();
    let missing = folder.path().join("missing");
    let paths = [own.to_str().unwrap(), missing.to_str().unwrap()];
    let cmd = format!("ls {}; touch {}/kept; echo end", paths[0], paths[0]);
    let ran = project.run(vec![mounting(step("a", &cmd), &paths)]).await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["end"]);
    assert!(has_notice(&ran, "because this machine has no such folder"), "{:?}", ran.notices());
    assert!(own.join("file").exists() && !own.join("kept").exists() && !missing.exists());
    project.clean().await;
}
