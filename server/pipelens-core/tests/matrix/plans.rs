//! What steps with a matrix become in plans, other formats and pictures.

use expect_test::{Expect, expect};
use pipelens_core::convert::{to_plan, to_yaml};
use pipelens_core::graph::{Drawing, draw, graph};
use pipelens_core::plan::{Refusal, Target, plan};
use pipelens_core::{Format, analyze};

const PIPELINE: &str = r#"name: ci
steps:
- key: build
  matrix: {rust: [1.90, stable], os: [alpine, debian], exclude: [{rust: stable, os: alpine}]}
  label: "${{ matrix.rust }} on ${{ matrix.os }}"
  image: rust:${{ matrix.rust }}-${{ matrix.os }}
  cache: {policy: on_change, paths: ["${{ matrix.os }}/**"]}
  artifacts: [app]
  cmd: make
- wait
- key: test
  matrix: {os: [debian, alpine], rust: [1.90]}
  builds_in: build
  cmd: make test
- key: deploy
  needs_artifacts: build
  depends_on: ["test (debian, 1.90)"]
  cmd: ./deploy
"#;

fn keys(target: &Target) -> Vec<String> {
    let plan = plan(&analyze(PIPELINE, Format::Yaml), 0, target, "ci").unwrap();
    plan.steps.iter().map(|step| format!("{}{}", step.key, if step.is_wanted { "" } else { "?" })).collect()
}

#[test]
fn a_target_is_all_combinations_of_a_step_or_one() {
    let step = |key: &str| Target::Step(key.to_owned());
    assert_eq!(
        keys(&step("test")),
        ["build (1.90, alpine)?", "build (1.90, debian)?", "test (debian, 1.90)", "test (alpine, 1.90)"]
    );
    assert_eq!(keys(&step("test (alpine, 1.90)")), ["build (1.90, alpine)?", "test (alpine, 1.90)"]);
    assert_eq!(
        keys(&Target::From("test (debian, 1.90)".to_owned())),
        ["build (1.90, alpine)?", "build (1.90, debian)?", "build (stable, debian)?", "test (debian, 1.90)", "deploy"]
    );
    assert_eq!(keys(&Target::From("build".to_owned())).len(), 6);
    let steps = vec!["build (stable, debian)".to_owned(), "build".to_owned()];
    assert_eq!(keys(&Target::Several { steps, from: Vec::new() }).len(), 3);
    let missing = plan(&analyze(PIPELINE, Format::Yaml), 0, &step("test (alpine, 1.91)"), "ci");
    let near = Some("test (alpine, 1.90)".to_owned());
    assert_eq!(missing, Err(Refusal::NoSuchStep { key: "test (alpine, 1.91)".to_owned(), did_you_mean: near }));
}

#[test]
fn a_combination_has_its_values_where_they_are_replaced() {
    let plan = plan(&analyze(PIPELINE, Format::Yaml), 0, &Target::Pipeline, "ci").unwrap();
    let step = &plan.steps[0];
    let found = format!("{:?} {:?} {:?} {:?} {:?}", step.label, step.boots_from, step.cache, step.env, step.template);
    expect![[r#"Some("1.90 on alpine") Image("rust:1.90-alpine") Some(Cache { policy: OnChange { paths: ["alpine/**"] }, key: None }) {"MATRIX_OS": "alpine", "MATRIX_RUST": "1.90"} Some("build")"#]].assert_eq(&found);
    let after: Vec<&str> = plan.steps[5].after.iter().map(|one| plan.steps[one.step].key.as_str()).collect();
    assert_eq!(
        after,
        ["build (1.90, alpine)", "build (1.90, debian)", "build (stable, debian)", "test (debian, 1.90)"]
    );
    assert_eq!(plan.steps[5].needs_artifacts, [0, 1, 2]);
    assert!(step.is_named("build") && step.is_named("build (1.90, alpine)") && !step.is_named("test"));
}

#[test]
fn own_variables_take_precedence_over_those_of_the_matrix() {
    let text = "env: {MATRIX_A: '0', B: '0'}\nsteps:\n- {key: s, cmd: x, matrix: {a: [1], b: [2]}, env: {MATRIX_B: '3', B: '${{ matrix.b }}'}}\n";
    let plan = plan(&analyze(text, Format::Yaml), 0, &Target::Pipeline, "ci").unwrap();
    assert_eq!(format!("{:?}", plan.steps[0].env), r#"{"B": "2", "MATRIX_A": "1", "MATRIX_B": "3"}"#);
}

fn check(actual: &str, expected: Expect) {
    expected.assert_eq(actual);
}

#[test]
fn a_picture_shows_every_combination() {
    let analysis = analyze(PIPELINE, Format::Yaml);
    check(
        &draw(&graph(&analysis.pipelines[0], "ci"), Drawing::Text),
        expect![[r#"
            ci
            build (1.90, alpine)  [rust:1.90-alpine]  1.90 on alpine
            build (1.90, debian)  [rust:1.90-debian]  1.90 on debian
            build (stable, debian)  [rust:stable-debian]  stable on debian
            ── wait ──
            test (debian, 1.90)  in build (1.90, debian)  make test
            test (alpine, 1.90)  in build (1.90, alpine)  make test
            deploy  [alpine:latest]  after build (1.90, alpine), build (1.90, debian), build (stable, debian), test (debian, 1.90)  ./deploy
        "#]],
    );
}

#[test]
fn yaml_keeps_the_matrix_and_a_plan_has_its_combinations() {
    let analysis = analyze(PIPELINE, Format::Yaml);
    let yaml = to_yaml(&analysis);
    assert_eq!(yaml.losses, Vec::<String>::new());
    let again = analyze(&yaml.text, Format::Yaml);
    let planned = |analysis| plan(analysis, 0, &Target::Pipeline, "ci").unwrap();
    assert_eq!(planned(&again), planned(&analysis), "{}", yaml.text);
    let json = analyze(&to_plan(&analysis.pipelines[0]).text, Format::Json);
    assert_eq!(
        json.diagnostics.iter().filter(|found| found.severity == pipelens_core::diagnostic::Severity::Error).count(),
        0
    );
    let keys = |analysis| {
        planned(analysis)
            .steps
            .into_iter()
            .map(|step| (step.key, step.boots_from, step.after, step.env))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&json), keys(&analysis));
}

#[test]
fn json_has_matrices_too_and_plan_json_has_none() {
    let text = r#"{"steps": [{"key": "a", "cmd": "x", "matrix": {"v": [1.10, true, "x"]}}]}"#;
    let plan = plan(&analyze(text, Format::Json), 0, &Target::Pipeline, "ci").unwrap();
    let keys: Vec<&str> = plan.steps.iter().map(|step| step.key.as_str()).collect();
    assert_eq!(keys, ["a (1.10)", "a (true)", "a (x)"]);
    let text = r#"{"graph": {"nodes": [{"step": {"key": "a", "cmd": "x", "matrix": {"v": [1, 2]}}, "env": {"A": "${{ matrix.v }}"}}], "edges": []}}"#;
    let analysis = analyze(text, Format::Json);
    let plan = pipelens_core::plan::plan(&analysis, 0, &Target::Pipeline, "ci").unwrap();
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(format!("{:?}", plan.steps[0].env), r#"{"A": "${{ matrix.v }}"}"#);
}
