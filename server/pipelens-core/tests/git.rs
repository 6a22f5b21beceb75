//! `git`: the plan, findings, other formats, completion, hover.

use pipelens_core::convert::{to_plan, to_yaml};
use pipelens_core::ide::{Known, completion, hover};
use pipelens_core::plan::{Target, plan};
use pipelens_core::{Format, analyze};

fn file(pipeline: &str, step: &str) -> String {
    format!("default_image: debian:12\n{pipeline}steps:\n  - key: a\n    cmd: make\n{step}  - key: b\n    cmd: make\n")
}

fn planned(text: &str) -> Vec<bool> {
    let plan = plan(&analyze(text, Format::Yaml), 0, &Target::Pipeline, "ci").expect("it has no errors");
    plan.steps.iter().map(|step| step.git).collect()
}

#[test]
fn a_step_has_its_own_value_or_that_of_its_pipeline() {
    assert_eq!(planned(&file("", "")), [false, false]);
    assert_eq!(planned(&file("", "    git: true\n")), [true, false]);
    assert_eq!(planned(&file("git: true\n", "    git: false\n")), [false, true]);
}

#[test]
fn a_command_that_reads_the_history_gets_it() {
    let planned = |pipeline: &str, first: &str, second: &str| {
        let text = format!(
            "default_image: debian:12\n{pipeline}steps:\n  - key: a\n    cmd: {first}\n  - key: b\n    builds_in: a\n    cmd: {second}\n"
        );
        planned(&text)
    };
    assert_eq!(planned("", "make", "make VERSION=$(git describe)"), [false, true]);
    assert_eq!(planned("git: false\n", "git log", "git log\n    git: true"), [false, true]);
    assert_eq!(
        planned("", "git init && git commit --allow-empty", "git log"),
        [false, false],
        "of a repository of its own"
    );
    assert_eq!(planned("", "apk add git", "git log"), [false, true]);
}

#[test]
fn it_is_true_or_false() {
    let text = file("", "    git: history\n");
    let found = analyze(&text, Format::Yaml).diagnostics;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].range.of(&text), "history");
    assert!(found[0].message.contains("`git` must be"), "{}", found[0].message);
    let yes = file("git: yes\n", "");
    let found = analyze(&yes, Format::Yaml).diagnostics;
    assert_eq!(found[0].range.of(&yes), "yes");
}

#[test]
fn other_formats_keep_it_or_say_that_they_cannot() {
    let text = file("git: true\n", "    git: false\n");
    let analysis = analyze(&text, Format::Yaml);
    assert_eq!(planned(&to_yaml(&analysis).text), [false, true]);
    assert!(to_plan(&analysis.pipelines[0]).losses.iter().any(|loss| loss.contains("`git`")));
}

#[test]
fn completion_and_hover_know_it() {
    let has = |text: &str, label: &str| {
        let at = text.find('¦').unwrap();
        let text = text.replace('¦', "");
        let items = completion(&analyze(&text, Format::Yaml), at, Known { images: &[] });
        assert!(items.iter().any(|item| item.label == label), "{label}: {items:?}");
    };
    has(&file("", "    gi¦\n"), "git");
    has(&file("gi¦\n", ""), "git");
    has(&file("", "    git: ¦\n"), "true");
    let text = file("", "    git: true\n");
    let shown = hover(&analyze(&text, Format::Yaml), text.find("git").unwrap() + 1).unwrap();
    assert!(shown.text.contains("`git describe`"));
}
