//! The keys of combinations, in which there may be any character, as names of containers, images, logs and folders.

use pipelens_core::plan::{Target, plan};
use pipelens_core::{Format, analyze};

use pipelens_engine::event::Outcome;

use crate::bench::{Bench, Runner};
use crate::runners::for_each_runner;

const PIPELINE: &str = r#"steps:
  - key: build
    matrix: {value: [1.10, "a/b", "../c", "ä b"], tag: [latest]}
    image: pipelens-test/busybox:${{ matrix.tag }}
    cache: {policy: forever, env_keys: [MATRIX_VALUE]}
    artifacts: [made]
    cmd: echo "$MATRIX_VALUE" > made
  - key: test
    matrix: {tag: [latest], value: ["a/b", "../c", 1.10, "ä b"]}
    builds_in: build
    cmd: cat made
  - key: all
    image: pipelens-test/busybox:latest
    needs_artifacts: ["build (../c, latest)"]
    depends_on: test
    cmd: cat made
"#;

for_each_runner! {
    async fn every_combination_keeps_its_own_result(runner: Runner) {
        let (state, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let analysis = analyze(PIPELINE, Format::Yaml);
        for expected in [Outcome::Succeeded, Outcome::Cached] {
            let planned = plan(&analysis, 0, &Target::Pipeline, "ci").unwrap();
            let mut bench = Bench::new(runner, planned.steps).caching_in(state.path());
            bench.request.source_root = project.path().to_owned();
            let ran = bench.run().await;
            ran.assert_succeeded();
            for value in ["1.10", "a/b", "../c", "ä b"] {
                assert_eq!(*ran.outcome_of(&format!("build ({value}, latest)")), expected, "{value}");
                assert_eq!(ran.text_of(&format!("test (latest, {value})")), [value]);
            }
            assert_eq!(ran.text_of("all"), ["../c"]);
        }
    }
}
