//! `artifacts` as a list and as a mapping: findings, the plan, other formats, completion.

use pipelens_core::convert::{to_plan, to_yaml};
use pipelens_core::ide::{CompletionKind, Known, completion, hover};
use pipelens_core::plan::{ArtifactsWhen, PlanStep, Target, plan};
use pipelens_core::{Format, analyze};

fn step(artifacts: &str) -> String {
    format!("default_image: debian:12\nsteps:\n  - key: a\n    cmd: make\n    artifacts: {artifacts}\n")
}

fn messages(artifacts: &str) -> Vec<String> {
    analyze(&step(artifacts), Format::Yaml).diagnostics.into_iter().map(|found| found.message).collect()
}

fn planned(text: &str) -> PlanStep {
    let plan = plan(&analyze(text, Format::Yaml), 0, &Target::Pipeline, "ci").expect("it has no errors");
    plan.steps.into_iter().next().expect("it has a step")
}

#[test]
fn a_list_means_success_and_a_mapping_says_when() {
    for (artifacts, when) in [
        ("[out, '*.log']", ArtifactsWhen::OnSuccess),
        ("{paths: [out, '*.log']}", ArtifactsWhen::OnSuccess),
        ("{paths: [out, '*.log'], when: on_success}", ArtifactsWhen::OnSuccess),
        ("{paths: [out, '*.log'], when: on_failure}", ArtifactsWhen::OnFailure),
        ("\n      when: always\n      paths:\n        - out\n        - '*.log'", ArtifactsWhen::Always),
    ] {
        assert_eq!(messages(artifacts), [""; 0], "{artifacts}");
        let planned = planned(&step(artifacts));
        assert_eq!((planned.artifacts, planned.artifacts_when), (vec!["out".to_owned(), "*.log".to_owned()], when));
    }
}

#[test]
fn mistakes_in_the_mapping_are_found() {
    let one = |artifacts: &str| {
        let messages = messages(artifacts);
        assert_eq!(messages.len(), 1, "{artifacts}: {messages:?}");
        messages.into_iter().next().unwrap()
    };
    assert!(one("{paths: [out], when: allways}").contains("`always`"));
    assert!(one("{when: always}").contains("Add `paths:`"));
    assert!(one("{paths: out}").contains("`paths` must be a list"));
    assert!(one("{paths: []}").contains("at least one"));
    assert!(one("{paths: [~/out], when: always}").contains("only a shell does that"));
    assert!(one("{paths: [out], expire_in: 1 week}").contains("kept with the logs"));
    assert!(one("out").contains("`artifacts` must be a list"));
}

#[test]
fn other_formats_keep_what_they_can_express() {
    let text = step("{paths: [out], when: always}");
    let analysis = analyze(&text, Format::Yaml);
    let yaml = to_yaml(&analysis).text;
    assert!(yaml.contains("    artifacts:\n      paths: [out]\n      when: always\n"), "{yaml}");
    assert_eq!(planned(&yaml).artifacts_when, ArtifactsWhen::Always);
    let json = to_plan(&analysis.pipelines[0]);
    assert_eq!(json.losses, ["Plans cannot express `when` of `artifacts`: files will be copied only after success"]);
    assert!(analyze(&json.text, Format::Json).diagnostics.is_empty() && json.text.contains("\"out\""), "{}", json.text);
}

#[test]
fn the_keys_and_values_of_the_mapping_are_offered_and_explained() {
    let offered = |artifacts: &str| {
        let text = step(artifacts);
        let offset = text.find('¦').unwrap();
        let analysis = analyze(&text.replacen('¦', "", 1), Format::Yaml);
        let offered = completion(&analysis, offset, Known { images: &[] }).into_iter();
        offered.filter(|it| it.kind != CompletionKind::Snippet).map(|it| it.label).collect::<Vec<_>>()
    };
    assert_eq!(offered("\n      ¦"), ["paths", "when"]);
    assert_eq!(offered("\n      paths: [out]\n      ¦"), ["when"]);
    assert_eq!(offered("{paths: [out], ¦}"), ["when"]);
    assert_eq!(offered("{paths: [out], when: ¦}"), ["on_success", "on_failure", "always"]);
    // The entries of the list are globs.
    assert_eq!(offered("\n      - ¦"), [""; 0]);
    assert_eq!(offered("[¦]"), [""; 0]);
    let text = step("{paths: [out], when: always}");
    let shown = hover(&analyze(&text, Format::Yaml), text.find("when").unwrap()).unwrap().text;
    assert!(shown.contains("`on_failure`"), "{shown}");
}

#[test]
fn a_glob_is_fixed_in_the_notation_of_its_file() {
    use pipelens_core::FileId;
    use pipelens_core::text::apply_edits;
    let fixed = |text: &str, format| {
        let found = analyze(text, format).diagnostics;
        let fix = found.iter().find_map(|found| found.fixes.first());
        fix.map(|fix| apply_edits(text, &fix.edits_in(FileId::DOCUMENT)))
    };
    let json = r#"{"steps": [{"key": "a", "cmd": "make", "image": "a:1", "artifacts": ["/workspace/x"]}]}"#;
    assert_eq!(fixed(json, Format::Json), Some(json.replace("/workspace/x", "x")));
    assert_eq!(fixed(&step("[/workspace/../x]"), Format::Yaml), None);
    let label = r#"{"steps": [{"key": "a", "cmd": "make", "image": "a:1", "label": ["x"]}]}"#;
    let after = fixed(label, Format::Json).expect("a fix");
    assert!(analyze(&after, Format::Json).diagnostics.is_empty(), "{after}");
}

const PASSING: &str = r#"name: ci
default_image: alpine:3.20
steps:
  - {key: build, cmd: make, image: "gcc:14", artifacts: [app]}
  - {key: docs, cmd: make docs, builds_in: build, artifacts: [docs/]}
  - {key: test, cmd: make test}
  - {key: deploy, cmd: ./deploy, needs_artifacts: [docs, build]}
"#;

#[test]
fn a_step_that_gets_artifacts_waits_for_their_steps_and_runs_them_too() {
    let analysis = analyze(PASSING, Format::Yaml);
    assert_eq!(analysis.diagnostics, []);
    let deploy = |target| {
        let plan = plan(&analysis, 0, &target, "ci").expect("it has no errors");
        let keys: Vec<String> = plan.steps.iter().map(|step| step.key.clone()).collect();
        let deploy = plan.steps.into_iter().find(|step| step.key == "deploy").expect("it is planned");
        let after: Vec<usize> =
            deploy.after.iter().filter(|other| other.must_succeed).map(|other| other.step).collect();
        (keys, deploy.needs_artifacts, after)
    };
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let all = keys(&["build", "docs", "test", "deploy"]);
    assert_eq!(deploy(Target::Pipeline), (all, vec![0, 1], vec![0, 1]));
    let needed = keys(&["build", "docs", "deploy"]);
    assert_eq!(deploy(Target::Step("deploy".to_owned())), (needed, vec![0, 1], vec![0, 1]));
}

#[test]
fn what_is_wrong_with_needed_artifacts_is_found() {
    let found = |needed: &str| {
        let text = PASSING.replace("needs_artifacts: [docs, build]", needed);
        let analysis = analyze(&text, Format::Yaml);
        analysis
            .diagnostics
            .into_iter()
            .map(|found| format!("{}: {}", found.code.as_str(), found.message))
            .collect::<Vec<_>>()
    };
    let one = |needed: &str, expected: &str| {
        let found = found(needed);
        assert!(found.len() == 1 && found[0].contains(expected), "{needed}: {found:?}");
    };
    one("needs_artifacts: test", "no-artifacts: Step `deploy` needs the artifacts of `test`, which has none.");
    one(
        "needs_artifacts: [biuld]",
        "unknown-step: Step `deploy` needs the artifacts of `biuld`, which does not exist. Did you mean `build`?",
    );
    one("needs_artifacts: [deploy]", "self-reference");
    one("needs_artifacts: [build], depends_on: [build]", "redundant-dependency: `build` is in `needs_artifacts`");
    one("needs_artifacts: 1", "wrong-type");
    let circle = PASSING.replace("artifacts: [app]", "artifacts: [app], needs_artifacts: [deploy]");
    let analysis = analyze(&circle, Format::Yaml);
    assert!(analysis.diagnostics.iter().any(|found| found.code.as_str() == "cycle"), "{:?}", analysis.diagnostics);
}

#[test]
fn needed_artifacts_are_references_to_steps() {
    let analysis = analyze(PASSING, Format::Yaml);
    let offset = PASSING.rfind("build").unwrap();
    let places = pipelens_core::ide::references(&analysis, offset);
    assert_eq!(places.len(), 3, "its key, `builds_in` and `needs_artifacts`");
    let text = PASSING.replace("[docs, build]", "[docs, ]");
    let offset = text.rfind("[docs, ]").unwrap() + "[docs, ".len();
    let offered = completion(&analyze(&text, Format::Yaml), offset, Known { images: &[] });
    assert!(offered.iter().any(|item| item.label == "build"), "{offered:?}");
}

#[test]
fn needed_artifacts_survive_a_conversion_or_are_named_as_lost() {
    let analysis = analyze(PASSING, Format::Yaml);
    let yaml = to_yaml(&analysis).text;
    assert!(yaml.contains("    needs_artifacts: [docs, build]\n"), "{yaml}");
    let losses = to_plan(&analysis.pipelines[0]).losses;
    assert_eq!(losses, ["Plans cannot express `needs_artifacts`: these steps will run without the files"]);
}

#[test]
fn artifacts_of_combinations_are_overwritten_only_where_their_paths_are_equal() {
    let codes = |cmd: &str, path: &str| {
        let text = format!(
            "default_image: debian:12\nsteps:\n- {{key: a, cmd: '{cmd}', matrix: {{os: [b, c]}}, artifacts: ['{path}']}}\n- {{key: d, cmd: ls, needs_artifacts: a}}\n"
        );
        let found = analyze(&text, Format::Yaml).diagnostics.into_iter();
        found.filter(|found| found.code.as_str() == "overwritten-artifacts").count()
    };
    for (cmd, path) in [("make", "app"), ("make $MATRIX_OS", "a.xml"), ("make", "out/.x.y"), ("make", "out")] {
        assert_eq!(codes(cmd, path), 1, "{cmd} {path}");
    }
    for (cmd, path) in [("make $MATRIX_OS", "app"), ("make $MATRIX_OS", "out/"), ("make", "*.xml"), ("make", "*/a.xml")]
    {
        assert_eq!(codes(cmd, path), 0, "{cmd} {path}");
    }
}
