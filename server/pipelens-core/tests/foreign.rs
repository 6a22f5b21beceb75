//! Words and forms of other systems: what is said, and what the safe fixes make of them.

use expect_test::{Expect, expect};
use pipelens_core::fixes::fix_all;
use pipelens_core::text::apply_edits;
use pipelens_core::{Format, analyze};

/// Returns the findings, one a line, and the text after all safe fixes.
fn report(text: &str, format: Format) -> String {
    let said: Vec<String> = analyze(text, format)
        .diagnostics
        .iter()
        .map(|found| format!("{}: {}", found.code.as_str(), found.message))
        .collect();
    let mut fixed = text.to_owned();
    for _ in 0..20 {
        let edits = fix_all(&analyze(&fixed, format).diagnostics);
        if edits.is_empty() {
            break;
        }
        fixed = apply_edits(&fixed, &edits);
    }
    format!("{}\n---\n{fixed}", said.join("\n"))
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&report(text, Format::Yaml));
}

#[test]
fn the_words_of_other_systems_are_understood() {
    check(
        r"default_image: alpine:3.20
steps:
  - name: Build it
    run: make
  - key: test
    script:
      - make test
    needs: [build]
    shell: bash
    timeout: 5
",
        expect![[r#"
            unknown-key: Unknown key `name` in a step. Did you mean `label`?
            missing-key: This step has no `key`. Other steps and the log identify the step by it: add `key:` with a short, unique name.
            unknown-key: Unknown key `run` in a step. Did you mean `cmd`?
            unknown-key: Unknown key `script` in a step. Did you mean `cmd`?
            unknown-key: Unknown key `needs` in a step. Did you mean `depends_on`?
            unknown-key: Unknown key `timeout` in a step. Did you mean `timeout_seconds`?
            ---
            default_image: alpine:3.20
            steps:
              - label: Build it
                cmd: make
              - key: test
                cmd: make test
                depends_on: [build]
                shell: bash
                timeout: 5
        "#]],
    );
}

#[test]
fn a_github_like_pipeline_is_fixed_at_once() {
    check(
        r#"name: ci
image: node:22
timeout-minutes: 10
steps:
  - name: install
    run: |
      npm ci
      npm run build
  - id: test
    name: Unit tests
    run: npm test
    needs: install
    continue-on-error: true
    timeout-minutes: 5
    working-directory: /workspace/app
    environment:
      - NODE_ENV=test
      - NAME="a b"
"#,
        expect![[r#"
            unknown-key: Unknown key `image` in a pipeline. Did you mean `default_image`?
            unknown-key: Unknown key `timeout-minutes` in a pipeline. Did you mean `timeout_seconds`?
            unknown-key: Unknown key `name` in a step. Did you mean `key`?
            unknown-key: Unknown key `run` in a step. Did you mean `cmd`?
            unknown-key: Unknown key `id` in a step. Did you mean `key`?
            unknown-key: Unknown key `name` in a step. Did you mean `label`?
            unknown-key: Unknown key `run` in a step. Did you mean `cmd`?
            unknown-key: Unknown key `needs` in a step. Did you mean `depends_on`?
            unknown-key: Unknown key `continue-on-error` in a step. Did you mean `soft_fail`?
            unknown-key: Unknown key `timeout-minutes` in a step. Did you mean `timeout_seconds`?
            unknown-key: Unknown key `working-directory` in a step. Did you mean `workdir`?
            unknown-key: Unknown key `environment` in a step. Did you mean `env`?
            ---
            name: ci
            default_image: node:22
            timeout_seconds: 600
            steps:
              - key: install
                cmd: |
                  npm ci
                  npm run build
              - key: test
                label: Unit tests
                cmd: npm test
                depends_on: install
                soft_fail: true
                timeout_seconds: 300
                workdir: /workspace/app
                env:
                  NODE_ENV: test
                  NAME: a b
        "#]],
    );
}

#[test]
fn a_gitlab_like_pipeline_is_fixed_at_once() {
    check(
        r"variables: {CI: 'true'}
steps:
  - name: build
    image: {name: gcc:14}
    script:
      - make
      - make install   # as root
    allow_failure: false
    timeout: 1h 30m
  - key: lint
    stage: check
    extends: build
    script:
      - |
        make lint
        make format
      - make docs
    artifacts:
      paths: [out/, '*.log']
    when: always
",
        expect![[r#"
            unknown-key: Unknown key `variables` in a pipeline. Did you mean `env`?
            unknown-key: Unknown key `name` in a step. Did you mean `key`?
            wrong-type: `image` must be the name of an image, but this is a mapping.
            unknown-key: Unknown key `script` in a step. Did you mean `cmd`?
            unknown-key: Unknown key `allow_failure` in a step. Did you mean `soft_fail`?
            unknown-key: Unknown key `timeout` in a step. Did you mean `timeout_seconds`?
            unknown-key: Unknown key `stage` in a step. Steps are ordered by `depends_on` and by `wait` between them. Remove it.
            unknown-key: Unknown key `extends` in a step. Did you mean `builds_in`?
            unknown-key: Unknown key `script` in a step. Did you mean `cmd`?
            unknown-key: Unknown key `when` in a step. A step has no condition: it runs when the steps it depends on have succeeded. Test for it in `cmd` with `if`.
            ---
            env: {CI: 'true'}
            steps:
              - key: build
                image: gcc:14
                cmd: |
                  set -e
                  make
                  make install   # as root
                soft_fail: false
                timeout_seconds: 5400
              - key: lint
                stage: check
                extends: build
                cmd: |
                  set -e
                  make lint
                  make format
                  make docs
                artifacts:
                  paths: [out/, '*.log']
                when: always
        "#]],
    );
}

#[test]
fn lists_of_commands_become_lines() {
    check(
        r#"default_image: alpine:3.20
steps:
  - {key: a, cmd: [make, make test]}
  - {key: b, cmd: ["npm", "test"]}
  - key: c
    cmd:
      - cd src
      - make
  - key: d
    run: ["make"]
  - key: e
    cmd:
      - make
      # not lost
      - make test
  - {key: f, run: make, script: make test}
"#,
        expect![[r#"
            wrong-type: `cmd` must be a string, but this is a list. Write the commands as the lines of one string.
            wrong-type: `cmd` must be a string, but this is a list. Write the commands as the lines of one string.
            wrong-type: `cmd` must be a string, but this is a list. Write the commands as the lines of one string.
            unknown-key: Unknown key `run` in a step. Did you mean `cmd`?
            wrong-type: `cmd` must be a string, but this is a list. Write the commands as the lines of one string.
            unknown-key: Unknown key `run` in a step. Did you mean `cmd`?
            unknown-key: Unknown key `script` in a step. Here it is called `cmd`, which is there already. Merge the two.
            ---
            default_image: alpine:3.20
            steps:
              - {key: a, cmd: [make, make test]}
              - {key: b, cmd: ["npm", "test"]}
              - key: c
                cmd: |
                  set -e
                  cd src
                  make
              - key: d
                cmd: make
              - key: e
                cmd:
                  - make
                  # not lost
                  - make test
              - {key: f, cmd: make, script: make test}
        "#]],
    );
}

#[test]
fn variables_in_lists_become_a_mapping() {
    check(
        r"default_image: alpine:3.20
env: A=1
steps:
  - key: a
    cmd: make
    env: [A=b, C=d e]
  - key: b
    cmd: make
    env:
      - {name: A, value: 'on'}
      - B: x
  - {key: c, cmd: make, env: [A=1, A=2]}
  - {key: d, cmd: make, env: [A]}
",
        expect![[r#"
            wrong-type: `env` must be a mapping from names to values, but this is a string.
            wrong-type: `env` must be a mapping from names to values, but this is a list.
            wrong-type: `env` must be a mapping from names to values, but this is a list.
            wrong-type: `env` must be a mapping from names to values, but this is a list.
            wrong-type: `env` must be a mapping from names to values, but this is a list.
            ---
            default_image: alpine:3.20
            env:
              A: "1"
            steps:
              - key: a
                cmd: make
                env:
                  A: b
                  C: d e
              - key: b
                cmd: make
                env:
                  A: "on"
                  B: x
              - {key: c, cmd: make, env: [A=1, A=2]}
              - {key: d, cmd: make, env: [A]}
        "#]],
    );
}

#[test]
fn json_stays_json() {
    let text = r#"{"default_image": "alpine:3.20", "steps": [
  {"key": "a", "run": ["make", "make test"], "needs": [], "environment": ["A=1"], "timeout": "5m"}
]}
"#;
    expect![[r#"
        unknown-key: Unknown key `run` in a step. Did you mean `cmd`?
        unknown-key: Unknown key `needs` in a step. Did you mean `depends_on`?
        unknown-key: Unknown key `environment` in a step. Did you mean `env`?
        unknown-key: Unknown key `timeout` in a step. Did you mean `timeout_seconds`?
        ---
        {"default_image": "alpine:3.20", "steps": [
          {"key": "a", "run": ["make", "make test"], "depends_on": [], "env": {"A": "1"}, "timeout_seconds": 300}
        ]}
    "#]]
    .assert_eq(&report(text, Format::Json));
}

#[test]
fn files_of_other_systems_are_called_by_their_names() {
    let name = |text: &str| {
        let found = analyze(text, Format::Yaml).diagnostics;
        let message = &found.first().expect("a finding").message;
        message.split(", not a pipeline").next().unwrap_or_default().to_owned()
    };
    let github = "on: push\njobs:\n  build: {runs-on: ubuntu-latest, steps: [{run: make}]}\n";
    let circle = "version: 2.1\njobs:\n  build: {docker: [{image: cimg/go}], steps: [checkout]}\n";
    let gitlab = "build:\n  stage: build\n  script: [make]\n";
    let named = [
        github,
        circle,
        gitlab,
        "stages: [a]\na: {script: make}\n",
        "services: {db: {image: postgres}}\n",
        "pipelines: {default: [{step: {script: [make]}}]}\n",
        "apiVersion: v1\nkind: Pod\n",
        "version: '3'\ntasks: {a: {cmds: [make]}}\n",
        "language: rust\nscript: cargo test\n",
    ]
    .map(name);
    expect![[r#"
        This is a GitHub Actions workflow
        This is a CircleCI configuration
        This is a GitLab CI configuration
        This is a GitLab CI configuration
        This is a Compose file
        This is a Bitbucket pipeline
        This is a Kubernetes object
        This is a Taskfile
        This is a Travis CI configuration"#]]
    .assert_eq(&named.join("\n"));
}
