//! When the files of a step were modified, as `make` and its kind see it.

use std::path::Path;
use std::process::Command;

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::Outcome;

use crate::bench::{Bench, Runner, StepExt as _, docker_runner, eventually, step};
use crate::cache::{Project, forever, on_change};
use crate::runners::for_each_runner;

/// Sets the modification time of a file, or of a link itself.
fn touch(path: &Path, date: &str) {
    assert!(Command::new("touch").args(["-h", "-d", date]).arg(path).status().unwrap().success());
}

/// A step that says which of the files are newer than what the step before has made.
fn look(files: &[&str]) -> PlanStep {
    let line = |file: &&str| format!("[ {file} -nt made ] && echo {file}; ");
    step("look", &format!("{}true", files.iter().map(line).collect::<String>())).builds_in(0)
}

for_each_runner! {
    async fn sources_keep_their_times_when_they_are_sent_first(runner: Runner) {
        let bench = Bench::new(runner, vec![step("a", "stat -c %Y file folder link; stat -c %Y folder/inside")]);
        let bench = bench.file("file", "").file("folder/inside", "");
        let root = bench.sources.path().to_owned();
        std::os::unix::fs::symlink("file", root.join("link")).unwrap();
        for (name, second) in [("file", 1), ("folder/inside", 4), ("folder", 2), ("link", 3)] {
            touch(&root.join(name), &format!("@{second}"));
        }
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["1", "2", "3", "4"]);
    }

    async fn what_changed_since_a_snapshot_is_newer_than_everything_in_it(runner: Runner) {
        let project = Project::new(runner);
        for name in ["same", "edited", "older", "restored", "replaced"] {
            project.file(name, "old");
            touch(&project.sources.path().join(name), "2001-01-01");
        }
        project.file("restored.orig", "old version");
        touch(&project.sources.path().join("restored.orig"), "1999-01-01");
        let steps = || vec![
            forever(step("build", "echo made > made")),
            look(&["same", "edited", "older", "restored", "replaced", "link", "new"]),
        ];
        project.run(steps()).await.assert_succeeded();
        let root = project.sources.path();
        project.file("edited", "new");
        project.file("older", "new");
        touch(&root.join("older"), "2000-01-01");
        std::fs::rename(root.join("restored.orig"), root.join("restored")).unwrap();
        std::fs::remove_file(root.join("replaced")).unwrap();
        std::os::unix::fs::symlink("edited", root.join("replaced")).unwrap();
        project.file("new", "");
        touch(&root.join("new"), "2000-01-01");
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert_eq!(*ran.outcome_of("build"), Outcome::Cached);
        assert_eq!(ran.text_of("look"), ["edited", "older", "restored", "replaced", "new"]);
        project.clean().await;
    }

    /// `cp -p` and archives keep times.
    async fn what_changed_is_newer_even_than_a_copy_from_the_future(runner: Runner) {
        let project = Project::new(runner);
        project.file("in", "old");
        touch(&project.sources.path().join("in"), "2099-01-01");
        let steps = || vec![forever(step("build", "cp -p in made")), look(&["in"])];
        project.run(steps()).await.assert_succeeded();
        project.file("in", "new");
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("look"), ["in"]);
        project.clean().await;
    }

    async fn a_file_edited_during_the_build_of_its_cached_parent_is_built_again(runner: Runner) {
        let project = Project::new(runner);
        project.file("rules", "");
        project.file("in", "one\n");
        let make = "[ made -nt in ] || cp in made";
        let steps = || vec![
            on_change(step("deps", make), "rules"),
            step("run", &format!("{make}; cat made")).builds_in(0),
        ];
        project.run(steps()).await.assert_succeeded();
        project.file("in", "two\n");
        // As if it had been edited while the step ran.
        let edited = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        std::fs::File::open(project.sources.path().join("in")).unwrap().set_modified(edited).unwrap();
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert_eq!(*ran.outcome_of("deps"), Outcome::Cached);
        assert_eq!(ran.text_of("run"), ["two"]);
        project.clean().await;
    }

    /// One checkout gives many files the same times.
    async fn folders_whose_files_look_alike_can_change_places(runner: Runner) {
        use std::os::unix::fs::MetadataExt as _;
        let project = Project::new(runner);
        let root = project.sources.path();
        let times = |path: &str| {
            let metadata = std::fs::metadata(root.join(path)).unwrap();
            (metadata.modified().unwrap(), metadata.ctime(), metadata.ctime_nsec())
        };
        eventually("two files are written in one tick of the file system's clock", async || {
            project.file("a/file", "a\n");
            project.file("b/file", "b\n");
            (times("a/file") == times("b/file")).then_some(())
        }).await;
        let steps = || vec![forever(step("build", "true")), step("look", "cat a/file b/file").builds_in(0)];
        project.run(steps()).await.assert_succeeded();
        for (from, to) in [("a", "c"), ("b", "a"), ("c", "b")] {
            std::fs::rename(root.join(from), root.join(to)).unwrap();
        }
        let ran = project.run(steps()).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("look"), ["b", "a"]);
        project.clean().await;
    }
}

#[tokio::test]
async fn sources_in_a_shared_image_keep_their_times() {
    crate::docker::needs_docker!();
    let project = Project::new(docker_runner());
    for number in 0..250 {
        project.file(&format!("file{number}"), "");
    }
    let steps = || vec![step("a", "stat -c %Y file0")];
    project.run(steps()).await.assert_succeeded();
    project.file("file0", "changed");
    touch(&project.sources.path().join("file0"), "@7");
    let ran = project.run(steps()).await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["7"]);
    project.clean().await;
}
