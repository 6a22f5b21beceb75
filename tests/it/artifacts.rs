//! What a run's steps made, as a person at a terminal gets it.

use std::fs;

use crate::support::{Project, Runner, runners};

const TWO: &str = r"name: two
default_image: pipelens-test/busybox:latest
steps:
  - {key: build, cmd: 'mkdir -p out; echo app > out/app; ln -s app out/latest', artifacts: [out]}
  - {key: test, cmd: echo report > junit.xml, artifacts: [junit.xml]}
";

fn count_and_folder(output: &str) -> (String, String) {
    let line = output.lines().find_map(|line| line.strip_prefix("Artifacts: "));
    let (count, folder) = line.unwrap_or_else(|| panic!("{output}")).split_once(" in ").unwrap();
    (count.to_owned(), folder.to_owned())
}

#[test]
fn the_summary_says_where_the_artifacts_are() {
    for runner in runners() {
        let project = Project::new(TWO);
        let run = |more: &[&str]| {
            let arguments = [&["run", "pipeline.yml", "--runner", runner.name()], more].concat();
            let (code, output, errors) = project.output(runner, &arguments);
            assert_eq!(code, 0, "{output}{errors}");
            count_and_folder(&output)
        };
        let (count, folder) = run(&[]);
        assert_eq!(count, "3 files");
        assert_eq!(fs::read_to_string(format!("{folder}/build/out/latest")).unwrap(), "app\n");
        let (count, folder) = run(&["--step", "test"]);
        assert_eq!(count, "1 file");
        assert_eq!(fs::read_to_string(format!("{folder}/junit.xml")).unwrap(), "report\n");
    }
}

#[test]
fn artifacts_are_put_where_the_user_wants_them() {
    for runner in runners() {
        let project = Project::new(TWO);
        let target = project.folder.path().join("got/here");
        let arguments = ["run", "pipeline.yml", "--runner", runner.name(), "--artifacts", "got/here"];
        let run = || {
            let (code, output, errors) = project.output(runner, &arguments);
            assert_eq!(code, 0, "{output}{errors}");
            assert_eq!(
                count_and_folder(&output),
                ("3 files".to_owned(), target.canonicalize().unwrap().display().to_string())
            );
        };
        run();
        // A file of an earlier run is replaced, and one of the user's is kept.
        let (app, latest, other) =
            (target.join("build/out/app"), target.join("build/out/latest"), target.join("other"));
        fs::write(&app, "old").unwrap();
        fs::write(&other, "mine").unwrap();
        fs::remove_file(&latest).unwrap();
        fs::hard_link(&other, &latest).unwrap();
        run();
        let text = |path| fs::read_to_string(path).unwrap();
        assert_eq!((text(&app), text(&latest), text(&other)), ("app\n".into(), "app\n".into(), "mine".into()));
        assert!(
            !project.state.path().join("runs").read_dir().unwrap().any(|run| run
                .unwrap()
                .path()
                .join("artifacts")
                .exists())
        );
    }
}

#[test]
fn a_place_that_cannot_hold_artifacts_is_refused_before_anything_runs() {
    let project = Project::new(TWO);
    fs::write(project.folder.path().join("file"), "").unwrap();
    for (target, why) in [("file", "it is not a folder"), ("file/below", ""), ("/proc/artifacts", "")] {
        let arguments = ["run", "pipeline.yml", "--runner", "host", "--artifacts", target];
        let (code, output, errors) = project.output(Runner::Host, &arguments);
        assert_eq!((code, output.as_str()), (2, ""), "{errors}");
        let sentence = format!("The artifacts cannot be put in `{target}`: {why}");
        assert!(errors.contains(&sentence) && errors.contains("Choose another folder for `--artifacts`"), "{errors}");
    }
}
