//! What `shell` changes: the grammar that commands are held to, what is said about failures, and the plan.

use pipelens_core::convert::to_plan;
use pipelens_core::diagnostic::Code;
use pipelens_core::plan::{Target, plan};
use pipelens_core::text::apply_edits;
use pipelens_core::{FileId, Format, analyze};

fn codes(text: &str) -> Vec<&'static str> {
    analyze(text, Format::Yaml).diagnostics.iter().map(|found| found.code.as_str()).collect()
}

/// A step with this shell and this command, in a block.
fn step(shell: &str, cmd: &str) -> String {
    format!(
        "default_image: debian:12\nsteps:\n  - key: a\n{shell}    cmd: |\n      {}\n",
        cmd.replace('\n', "\n      ")
    )
}

#[test]
fn a_command_is_held_to_the_grammar_of_its_shell() {
    let bash = "a=(x)\n[[ -f x ]] && cat <<< x";
    assert_eq!(codes(&step("", bash)), ["bash-only"]);
    assert_eq!(codes(&step("    shell: bash\n", bash)), [""; 0]);
    assert_eq!(codes(&step("    shell: [/usr/bin/env, bash, -eu]\n", bash)), [""; 0]);
    assert_eq!(codes(&step("    shell: bash\n", "if true")), ["shell-syntax"]);
    // Another program's commands are not read.
    assert_eq!(codes(&step("    shell: python3\n", "if x:\n  print((1)\ny = [")), [""; 0]);
}

#[test]
fn a_pipelines_shell_is_that_of_its_steps() {
    let text = "shell: bash\ndefault_image: debian:12\nsteps:\n  - {key: a, cmd: 'x=(y)'}\n  - {key: b, shell: sh, cmd: 'x=(y)'}\n";
    let found = analyze(text, Format::Yaml);
    assert_eq!(found.diagnostics.iter().map(|found| found.code).collect::<Vec<_>>(), [Code::BashOnly]);
    let plan = plan(&found, 0, &Target::Pipeline, "ci").unwrap();
    assert_eq!([&plan.steps[0].shell, &plan.steps[1].shell], [&["bash".to_owned()], &["sh".to_owned()]]);
}

#[test]
fn an_unnoticed_failure_is_marked_and_fixed() {
    let text = step("", "npm ci\nnpm run build");
    let found = analyze(&text, Format::Yaml).diagnostics;
    assert_eq!(found.iter().map(|found| found.code).collect::<Vec<_>>(), [Code::UnnoticedFailure]);
    assert_eq!(&text[found[0].range.start..found[0].range.end], "npm ci");
    let fixed = apply_edits(&text, &found[0].fixes[0].edits_in(FileId::DOCUMENT));
    assert_eq!(fixed, step("", "set -e\nnpm ci\nnpm run build"));
    assert_eq!(codes(&fixed), [""; 0]);
}

#[test]
fn failures_that_are_noticed_or_do_not_matter_are_not_marked() {
    for shell in ["sh -e", "bash -euo pipefail", "bash -o errexit", "[sh, -e]"] {
        assert_eq!(codes(&step(&format!("    shell: {shell}\n"), "npm ci\nnpm test")), [""; 0], "{shell}");
    }
    for cmd in [
        "npm ci &&\nnpm test",
        "npm ci || exit 1\nnpm test",
        "set -eu\nnpm ci\nnpm test",
        "set -o errexit; npm ci\nnpm test",
        "export A=1\nB=2\necho start\nnpm test",
        "npm test -- \\\n  --all",
        "# first\nnpm test\n# last",
        "if [ -f x ]; then\n  npm ci\nfi\nnpm test",
        "npm test",
    ] {
        assert_eq!(codes(&step("", cmd)), [""; 0], "{cmd}");
    }
    for shell in ["sh", "bash", "bash -u"] {
        assert_eq!(
            codes(&step(&format!("    shell: {shell}\n"), "npm ci\nnpm test")),
            ["unnoticed-failure"],
            "{shell}"
        );
    }
}

#[test]
fn the_value_is_words() {
    assert_eq!(codes(&step("    shell: ''\n", "make")), ["bad-value"]);
    assert_eq!(codes(&step("    shell: []\n", "make")), ["empty-list"]);
    assert_eq!(codes(&step("    shell: {a: b}\n", "make")), ["wrong-type"]);
}

#[test]
fn a_plan_starts_the_shell_in_the_command() {
    let analysis = analyze(&step("    shell: bash -eu\n", "echo 'a'"), Format::Yaml);
    let json = to_plan(&analysis.pipelines[0]).text;
    assert!(json.contains(r#""exec bash -eu -c 'echo '\\''a'\\''\n'""#), "{json}");
}

#[test]
fn the_fix_for_an_unnoticed_failure_is_only_offered_where_lines_stay_lines() {
    let fixes = |header: &str| {
        let text =
            format!("default_image: debian:12\nsteps:\n  - key: a\n    cmd: {header}\n      make\n\n      make test\n");
        let found = analyze(&text, Format::Yaml).diagnostics;
        let found = found.iter().find(|found| found.code == Code::UnnoticedFailure);
        found.map(|found| found.fixes.len())
    };
    assert_eq!(["|", "|-", "|+", "|2", "| # why"].map(fixes), [Some(1), Some(1), Some(1), Some(1), Some(1)]);
    assert_eq!([">", ">-", ">+"].map(fixes), [Some(0), Some(0), Some(0)]);
}

#[test]
fn arguments_of_set_are_no_options() {
    assert_eq!(codes(&step("", "set -- -e\nnpm ci\nnpm test")), ["unnoticed-failure"]);
}

#[test]
fn what_another_program_reads_has_no_shell_variables() {
    let text = step("    shell: perl\n    env: {A: x}\n", "print $A;");
    let analysis = analyze(&text, Format::Yaml);
    let offset = text.find("$A").unwrap() + 1;
    assert!(pipelens_core::ide::hover(&analysis, offset).is_none());
    let shell = step("    env: {A: x}\n", "echo $A");
    let offset = shell.find("$A").unwrap() + 1;
    assert!(pipelens_core::ide::hover(&analyze(&shell, Format::Yaml), offset).is_some());
}
