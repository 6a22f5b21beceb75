//! Files that are difficult to list, to send or to keep: each arrives as git has it, or is named in the log.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use pipelens_core::plan::PlanStep;
use pipelens_engine::cache::CacheDecision;
use pipelens_engine::event::Outcome;

use crate::bench::{Bench, Runner, StepExt as _, docker_runner, host_runner, step};
use crate::cache::{Project, forever, on_change, reason};
use crate::runners::for_each_runner;

for_each_runner! {
    async fn a_link_that_leads_out_of_the_project_arrives_as_a_link(runner: Runner) {
        let project = Project::new(runner);
        let root = project.sources.path();
        project.file("deep/er/file", "file\n");
        symlink("../sibling", root.join("out")).unwrap();
        symlink("../../../sibling", root.join("deep/er/out")).unwrap();
        symlink("..", root.join("up")).unwrap();
        let show = "for link in out deep/er/out up; do readlink $link; done; cat deep/er/file";
        let inner = PlanStep { workdir: "/workspace/deep/er".into(), ..step("inner", "readlink deep/er/out") };
        let steps = || vec![forever(step("a", show)), step("b", "readlink new").builds_in(0), inner.clone()];
        symlink("old", root.join("new")).unwrap();
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        let expected = ["../sibling", "../../../sibling", "..", "file"];
        assert_eq!((ran.text_of("a"), ran.text_of("b")), (expected.to_vec(), vec!["old"]));
        // The same for what has changed since a snapshot.
        fs::remove_file(root.join("new")).unwrap();
        symlink("../../elsewhere", root.join("new")).unwrap();
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert_eq!((ran.outcome_of("a"), ran.text_of("b")), (&Outcome::Cached, vec!["../../elsewhere"]));
        project.clean().await;
    }

    async fn a_file_dated_before_1970_arrives(runner: Runner) {
        let bench = Bench::new(runner, vec![step("a", "cat old folder/inside")]);
        let bench = bench.file("old", "old\n").file("folder/inside", "inside\n");
        symlink("old", bench.sources.path().join("link")).unwrap();
        for name in ["old", "link", "folder"] {
            let path = bench.sources.path().join(name);
            let mut touch = std::process::Command::new("touch");
            assert!(touch.args(["-h", "-d", "1969-12-31 12:00 UTC"]).arg(path).status().unwrap().success());
        }
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["old", "inside"]);
    }

    async fn files_whose_names_are_not_unicode_are_kept_track_of(runner: Runner) {
        let project = Project::new(runner);
        let path = |name: &[u8]| project.sources.path().join(OsStr::from_bytes(name));
        let write = |name: &[u8], text: &str| fs::write(path(name), text).unwrap();
        for name in [&b"gone\xff'\n"[..], b"changed\xe9", b"changed\xe8"] {
            write(name, "old\n");
        }
        let look = "for file in *; do printf '%s ' \"$file\" | od -An -tx1 | tr -d ' \\n'; echo; cat \"$file\"; done";
        let steps = || vec![forever(step("a", "true")), step("b", look).builds_in(0)];
        project.run(steps()).await.assert_succeeded();
        fs::remove_file(path(b"gone\xff'\n")).unwrap();
        write(b"changed\xe9", "new\n");
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert_eq!(*ran.outcome_of("a"), Outcome::Cached);
        let name = |last: &str| format!("6368616e676564{last}20");
        assert_eq!(ran.text_of("b"), [name("e8").as_str(), "old", name("e9").as_str(), "new"]);
        project.clean().await;
    }

    async fn a_change_of_either_of_two_names_that_look_alike_is_a_miss(runner: Runner) {
        let project = Project::new(runner);
        let path = |name: &[u8]| project.sources.path().join(OsStr::from_bytes(name));
        let names: [&[u8]; 2] = [b"in/a\xe8", b"in/a\xe9"];
        fs::create_dir(project.sources.path().join("in")).unwrap();
        for name in names {
            fs::write(path(name), "old").unwrap();
        }
        let steps = || vec![on_change(step("a", "true"), "in")];
        for name in names {
            project.run(steps()).await.assert_succeeded();
            assert!(matches!(project.predict(steps()).await[0], CacheDecision::Hit { .. }));
            fs::write(path(name), "new").unwrap();
            assert!(matches!(project.predict(steps()).await[0], CacheDecision::MissBuildAs { .. }), "{name:?}");
        }
        project.clean().await;
    }

    async fn a_file_that_becomes_executable_or_a_link_is_a_change(runner: Runner) {
        let project = Project::new(runner);
        project.file("run.sh", "echo run");
        let path = project.sources.path().join("run.sh");
        let steps = || vec![on_change(step("a", "true"), "run.sh")];
        let is_changed = async || {
            let changed = reason(&project.predict(steps()).await[0]) == "`run.sh` changed";
            project.run(steps()).await.assert_succeeded();
            changed
        };
        project.run(steps()).await.assert_succeeded();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(is_changed().await);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        // It is as it was, so the first result would do.
        fs::remove_file(&path).unwrap();
        symlink("echo run", &path).unwrap();
        assert!(is_changed().await);
        project.clean().await;
    }

    async fn pipes_and_sockets_are_named_once(runner: Runner) {
        let bench = Bench::new(runner, vec![step("a", "ls"), step("b", "ls")]).file("file", "");
        let root = bench.sources.path();
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert_eq!((ran.text_of("a"), ran.text_of("b")), (vec!["file"], vec!["file"]));
        let notices = ran.notices();
        let named = notices.iter().filter(|notice| notice.contains("`pipe`")).count();
        assert_eq!(named, 1, "{notices:?}");
    }

    /// Its key was computed from the content before the edit, and the result is made from the one after it.
    async fn a_result_made_from_a_file_edited_during_the_run_is_not_kept(runner: Runner) {
        let project = Project::new(runner);
        project.file("in", "one\n");
        project.file("other", "one\n");
        let gate = PlanStep { soft_fail: true, ..step("gate", "echo begun; sleep 1000").timeout(1) };
        let steps = || vec![
            gate.clone(),
            on_change(step("a", "cp in made").after(&[0]), "in"),
            step("b", "cat made").builds_in(1),
            on_change(step("c", "true").builds_in(1), "other"),
        ];
        let mut running = project.bench(steps()).start();
        running.wait_for_line("begun").await;
        project.file("in", "two, and longer\n");
        let ran = running.finish().await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("b"), ["two, and longer"]);
        for key in ["a", "c"] {
            let notice = format!("The result of `{key}` is not cached: `in` changed during the run.");
            assert!(ran.notices().contains(&notice.as_str()), "{:?}", ran.notices());
        }
        project.file("in", "one\n");
        let decisions = project.predict(steps()).await;
        assert!(decisions.iter().all(|decision| !matches!(decision, CacheDecision::Hit { .. })), "{decisions:?}");
        assert_eq!(project.run(steps()).await.text_of("b"), ["one"]);
        assert!(matches!(project.predict(steps()).await[1], CacheDecision::Hit { .. }));
        project.clean().await;
    }

    async fn folders_keep_their_modes(runner: Runner) {
        let bench = Bench::new(runner, vec![step("a", "stat -c %a closed open; cat closed/file")]).file("closed/file", "file\n");
        let root = bench.sources.path();
        fs::create_dir(root.join("open")).unwrap();
        fs::set_permissions(root.join("open"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o500)).unwrap();
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["500", "777", "file"]);
    }
}

/// Without the list of the sources in it, it is unknown which files are no longer in the project.
#[tokio::test]
async fn a_snapshot_whose_list_is_lost_is_not_used() {
    crate::docker::needs_docker!();
    let project = Project::new(docker_runner());
    project.file("gone", "");
    project.file("file", "");
    let steps = || vec![forever(step("a", "true")), step("b", "ls").builds_in(0)];
    project.run(steps()).await.assert_succeeded();
    let store = rusqlite::Connection::open(project.state().join("pipelens.db")).unwrap();
    store.execute("UPDATE sources SET manifest = x'00'", []).unwrap();
    fs::remove_file(project.sources.path().join("gone")).unwrap();
    let ran = project.run(steps()).await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("b"), ["file"]);
    project.clean().await;
}

/// Root reads everything, so where the tests run as root, this one runs again without that privilege.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_user_cannot_read_is_named_and_everything_else_arrives() {
    const TEST: &str = "odd_sources::what_the_user_cannot_read_is_named_and_everything_else_arrives";
    if rustix::process::geteuid().is_root() && crate::bench::role().is_none() {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]);
        crate::bench::as_role(command.arg(std::env::current_exe().unwrap()).args(["--exact", TEST]), "reader");
        assert!(command.status().unwrap().success());
        return;
    }
    for runner in [docker_runner(), host_runner()].into_iter().filter(|runner| crate::bench::is_available(runner)) {
        let steps = vec![step("a", "ls"), step("b", "ls").builds_in(0), step("c", "ls").builds_in(0)];
        let bench = Bench::new(runner, steps).file("closed/file", "").file("open/file", "").file("secret", "");
        let root = bench.sources.path().to_owned();
        for name in ["closed", "secret"] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o000)).unwrap();
        }
        let running = bench.start();
        let ran = running.finish().await;
        ran.assert_succeeded();
        assert_eq!([ran.text_of("a"), ran.text_of("b"), ran.text_of("c")], [["open"], ["open"], ["open"]]);
        let notices = ran.notices();
        assert!(notices.contains(&"`closed`, `secret` are not sent: permission denied."), "{notices:?}");
        fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o700)).ok();
    }
}
