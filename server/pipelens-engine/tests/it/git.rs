//! `git: true`: the project's history in a step, and nothing else of its repository.

use std::path::Path;
use std::process::Command;

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::Outcome;

use crate::bench::{Ran, Runner, StepExt as _, assert_nothing_left, docker_runner, host_runner, step};
use crate::cache::{Project, forever, reason};
use crate::runners::for_each_runner;

const LIST: &str = "ls -A .git; test -e .git/hooks && echo hooks; cat .git/HEAD .git/config; (: > .git/new) 2>/dev/null && echo written";

fn with_git(step: PlanStep) -> PlanStep {
    PlanStep { git: true, ..step }
}

/// Runs git as its user would, without the settings of this machine.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with a tag, a branch that is not in `packed-refs`, and things that no step should get.
fn repository(folder: &Path) {
    git(folder, &["init", "-q", "-b", "main", "."]);
    std::fs::write(folder.join("file"), "one").unwrap();
    git(folder, &["add", "."]);
    git(folder, &["commit", "-qm", "first"]);
    git(folder, &["tag", "-am", "x", "v1"]);
    git(folder, &["gc", "-q"]);
    std::fs::write(folder.join("file"), "two").unwrap();
    git(folder, &["commit", "-qam", "second"]);
    git(folder, &["branch", "topic"]);
    git(folder, &["remote", "add", "origin", "https://user:password@example.com/"]);
    git(folder, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    git(folder, &["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    std::fs::write(folder.join("file"), "three").unwrap();
    git(folder, &["stash", "-q"]);
    std::fs::create_dir_all(folder.join(".git/hooks")).unwrap();
    std::fs::write(folder.join(".git/hooks/pre-commit"), "exit 1").unwrap();
}

/// Runs a step that hands back what it was given, and unpacks that.
async fn given(project: &Project, root: &Path) -> (Ran, tempfile::TempDir) {
    let cmd = format!("{LIST}; tar -cf all.tar .git file");
    let a = PlanStep { artifacts: vec!["**".into()], ..with_git(step("a", &cmd)) };
    let mut bench = project.bench(vec![a]);
    bench.request.source_root = root.to_owned();
    bench.request.may_open_machine = true;
    let ran = bench.run().await;
    ran.assert_succeeded();
    let artifacts = pipelens_engine::run::artifact_folder(ran.log_path_of("a").parent().unwrap(), "a");
    assert!(!artifacts.join(".git").exists(), "the history is no artifact");
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .arg("-xf")
        .arg(artifacts.join("all.tar"))
        .arg("--no-same-owner")
        .arg("-C")
        .arg(folder.path())
        .status();
    assert!(unpacked.unwrap().success());
    (ran, folder)
}

fn assert_is_complete(folder: &Path) {
    let id = git(folder, &["rev-parse", "--short", "HEAD"]);
    assert_eq!(git(folder, &["describe", "--tags", "--dirty"]), format!("v1-1-g{id}"));
    assert_eq!(git(folder, &["log", "--format=%s"]), "second\nfirst");
    assert_eq!(git(folder, &["show", "v1:file"]), "one");
    assert_eq!(git(folder, &["status", "--porcelain"]), "");
    git(folder, &["fsck", "--no-dangling"]);
}

for_each_runner! {
    async fn a_step_with_git_has_the_history_and_nothing_else_of_the_repository(runner: Runner) {
        let project = Project::new(runner);
        repository(project.sources.path());
        let (ran, folder) = given(&project, project.sources.path()).await;
        let said = ran.text_of("a").join("\n");
        assert!(said.contains("ref: refs/heads/main") && said.contains("repositoryformatversion = 0"), "{said}");
        for private in ["hooks", "logs", "password", "written", "origin", "COMMIT"] {
            assert!(!said.contains(private), "{private}: {said}");
        }
        assert_is_complete(folder.path());
        let branches = "refs/heads/main\nrefs/heads/topic\nrefs/remotes/origin/HEAD\nrefs/remotes/origin/main\nrefs/tags/v1";
        assert_eq!(git(folder.path(), &["for-each-ref", "--format=%(refname)"]), branches);
        assert_eq!(git(folder.path(), &["rev-parse", "origin/HEAD"]), git(folder.path(), &["rev-parse", "HEAD"]));
        project.clean().await;
    }

    async fn a_linked_work_tree_has_its_own_head_and_what_a_clone_borrows_is_there(runner: Runner) {
        let outer = tempfile::tempdir().unwrap();
        let [main, clone, tree] = ["main", "it's a clone", "tree"].map(|name| outer.path().join(name));
        std::fs::create_dir(&main).unwrap();
        repository(&main);
        git(outer.path(), &["clone", "-q", "--shared", "main", "it's a clone"]);
        git(&clone, &["worktree", "add", "-q", "-b", "other", "../tree"]);
        for root in [&clone, &tree] {
            let project = Project::new(runner);
            let (ran, folder) = given(&project, root).await;
            assert_is_complete(folder.path());
            let branch = if root == &tree { "other" } else { "main" };
            assert_eq!(git(folder.path(), &["branch", "--show-current"]), branch);
            assert!(!ran.text_of("a").contains(&"worktrees"));
            project.clean().await;
        }
        // Anyone can write down the folder of a repository that is none of the project's business.
        let project = Project::new(runner);
        let list = "cat .git/objects/info/alternates 2>/dev/null; find .git/objects -type f -name '*.pack' -o -type f -path '*/??/*'; echo end";
        let mut bench = project.bench(vec![with_git(step("a", list))]);
        bench.request.source_root.clone_from(&clone);
        let ran = bench.run().await;
        ran.assert_succeeded();
        let said = ran.text_of("a").join("\n");
        assert!(!said.contains("/main/") && !said.contains(".pack"), "{said}");
        let notices = ran.notices();
        assert!(notices.iter().any(|notice| notice.contains("borrows objects from") && notice.contains("main/.git/objects")), "{notices:?}");
        project.clean().await;
    }

    async fn only_steps_with_git_have_it_and_no_result_contains_it(runner: Runner) {
        let project = Project::new(runner);
        repository(project.sources.path());
        let look = "cat .git/HEAD 2>/dev/null; ls .git 2>/dev/null; echo end";
        let steps = || vec![
            forever(with_git(step("a", "cat .git/HEAD"))),
            step("without", look).builds_in(0),
            with_git(step("with", "cat .git/HEAD")).builds_in(0),
            with_git(step("chain", "cat .git/HEAD")).builds_in(2),
            step("last", look).builds_in(3),
        ];
        for outcome in [Outcome::Succeeded, Outcome::Cached] {
            let ran = project.run(steps()).await;
            ran.assert_succeeded();
            assert_eq!(*ran.outcome_of("a"), outcome);
            assert_eq!((ran.text_of("without"), ran.text_of("last")), (vec!["end"], vec!["end"]));
            assert_eq!(ran.text_of("with"), ["ref: refs/heads/main"]);
            assert_eq!(ran.text_of("chain"), ["ref: refs/heads/main"]);
        }
        // A new tag is another history, although no file has changed.
        git(project.sources.path(), &["tag", "v2"]);
        let decisions = project.predict(steps()).await;
        assert_eq!(reason(&decisions[0]), "`HEAD` or a branch or tag of git changed");
        project.clean().await;
    }

    async fn a_project_without_a_repository_is_reported_and_runs(runner: Runner) {
        let project = Project::new(runner);
        let ran = project.run(vec![with_git(step("a", "ls -A"))]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), [""; 0]);
        let said = "Without a `.git`: `a`, because the project is in no git repository.";
        assert!(ran.notices().contains(&said), "{:?}", ran.notices());
    }
}

#[tokio::test]
async fn git_itself_works_in_a_step_on_this_machine() {
    let project = Project::new(host_runner());
    repository(project.sources.path());
    let cmd =
        "git describe --tags --dirty; git log --format=%s; git status --porcelain; git rev-parse --is-inside-work-tree";
    let ran = project.run(vec![with_git(step("a", cmd).env("GIT_CONFIG_GLOBAL", "/dev/null"))]).await;
    ran.assert_succeeded();
    let id = git(project.sources.path(), &["rev-parse", "--short", "HEAD"]);
    assert_eq!(ran.text_of("a"), [&format!("v1-1-g{id}"), "second", "first", "true"]);
    // What has not been committed yet is there as well.
    project.file("file", "changed");
    let ran = project.run(vec![with_git(step("a", "git describe --dirty; git status --porcelain"))]).await;
    assert_eq!(ran.text_of("a"), [&format!("v1-1-g{id}-dirty"), " M file"]);
    project.clean().await;
}

#[tokio::test]
async fn a_repository_without_commits_is_one_in_a_step() {
    let project = Project::new(host_runner());
    git(project.sources.path(), &["init", "-q", "."]);
    let ran = project.run(vec![with_git(step("a", "git rev-parse --is-inside-work-tree"))]).await;
    ran.assert_succeeded();
}

#[tokio::test]
async fn the_history_belongs_to_the_user_of_the_step_and_its_volume_goes_with_the_run() {
    crate::docker::needs_docker!();
    let project = Project::new(docker_runner());
    repository(project.sources.path());
    let as_user = |step: PlanStep, user: &str| {
        use pipelens_core::plan::Value;
        PlanStep { runner_args: Some(Value::Map(vec![("user".into(), Value::Text(user.into()))])), ..step }
    };
    let cmd = "for it in . .git .git/HEAD .git/objects .git/packed-refs; do stat -c %u:%g $it; done | sort -u";
    let ran = project.run(vec![with_git(as_user(step("a", cmd), "7:8")), with_git(step("b", cmd))]).await;
    ran.assert_succeeded();
    assert_eq!((ran.text_of("a"), ran.text_of("b")), (vec!["7:8"], vec!["0:0"]));
    assert_nothing_left(ran.run_id);
    // Git would refuse a folder of another user, unless it is told that this is fine.
    let other =
        with_git(as_user(step("b", "stat -c %u .git; echo $GIT_CONFIG_KEY_0=$GIT_CONFIG_VALUE_0"), "9")).builds_in(0);
    let ran = project.run(vec![with_git(as_user(step("a", "true"), "7:8")), other]).await;
    assert_eq!(ran.text_of("b"), ["9", "safe.directory=*"]);
    assert_nothing_left(ran.run_id);
    project.clean().await;
}
