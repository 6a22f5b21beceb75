//! `cache_mounts` and `reuse`: findings, the plan, other formats, completion, hover.

use pipelens_core::convert::{to_plan, to_yaml};
use pipelens_core::ide::{Known, completion, hover};
use pipelens_core::plan::{CacheMount, PlanStep, Reuse, Sharing, Target, plan};
use pipelens_core::text::apply_edits;
use pipelens_core::{FileId, Format, analyze};

fn step(mounts: &str) -> String {
    format!("default_image: debian:12\nsteps:\n  - key: a\n    cmd: make\n    cache_mounts: {mounts}\n")
}

fn messages(text: &str) -> Vec<String> {
    analyze(text, Format::Yaml).diagnostics.into_iter().map(|found| found.message).collect()
}

fn planned(text: &str) -> PlanStep {
    let plan = plan(&analyze(text, Format::Yaml), 0, &Target::Pipeline, "ci").expect("it has no errors");
    plan.steps.into_iter().next().expect("it has a step")
}

fn mount(path: &str, name: &str, sharing: Sharing) -> CacheMount {
    CacheMount { path: path.to_owned(), name: name.to_owned(), sharing }
}

#[test]
fn a_mount_is_a_path_or_a_mapping_and_has_the_name_of_its_path() {
    let text =
        step("[target, ~/.npm/, {path: ./x//y, sharing: locked}, {path: /var/cache, name: c, sharing: private}]");
    assert_eq!(messages(&text), [""; 0]);
    let mounts = [
        mount("/workspace/target", "/workspace/target", Sharing::Shared),
        mount("~/.npm", "~/.npm", Sharing::Shared),
        mount("/workspace/x/y", "/workspace/x/y", Sharing::Locked),
        mount("/var/cache", "c", Sharing::Private),
    ];
    assert_eq!(planned(&text).cache_mounts, mounts);
    assert_eq!(planned(&step("[target]\n    workdir: /srv/")).cache_mounts[0].path, "/srv/target");
    assert_eq!(planned(&step("[]")).cache_mounts, []);
    assert_eq!(planned(&step("[target]\n    reuse: last")).reuse, Reuse::Last);
    assert_eq!(planned(&step("[target]\n    reuse: parent")).reuse, Reuse::Parent);
}

#[test]
fn mistakes_are_found_where_they_are() {
    let one = |mounts: &str| {
        let messages = messages(&step(mounts));
        assert_eq!(messages.len(), 1, "{mounts}: {messages:?}");
        messages.into_iter().next().unwrap()
    };
    assert!(one("target").contains("`cache_mounts` must be a list"));
    assert!(one("[{path: x, sharing: lock}]").contains("Did you mean `locked`?"));
    assert!(one("[{name: x}]").contains("Add `path:`"));
    assert!(one("[{path: x, id: y}]").contains("`id`"));
    assert!(one("[3]").contains("must be a string"));
    assert!(one("['']").contains("is empty"));
    assert!(one("[$HOME/x]").contains("only a shell does that"));
    assert!(one("[../x]").contains("contains `..`"));
    assert!(one("[x]\n    reuse: lost").contains("Did you mean `last`?"));
}

#[test]
fn a_path_with_the_variable_of_the_home_becomes_one_with_its_sign() {
    let text = step("[\"$HOME/.cargo/git\"]");
    let finding = analyze(&text, Format::Yaml).diagnostics.remove(0);
    let fixed = apply_edits(&text, &finding.fixes[0].edits_in(FileId::DOCUMENT));
    assert_eq!(fixed, step("[\"~/.cargo/git\"]"));
}

#[test]
fn the_second_of_two_equal_mounts_can_be_removed() {
    let text = step("[target, x, ./target]");
    let finding = analyze(&text, Format::Yaml).diagnostics.remove(0);
    let fixed = apply_edits(&text, &finding.fixes[0].edits_in(FileId::DOCUMENT));
    assert_eq!(fixed, step("[target, x]"));
}

#[test]
fn a_reuse_without_effect_can_be_removed() {
    let text = "steps:\n  - {key: p, cmd: make, image: debian:12}\n  - key: a\n    builds_in: p\n    reuse: last\n    cmd: make\n";
    let finding = analyze(text, Format::Yaml).diagnostics.remove(0);
    let fixed = apply_edits(text, &finding.fixes[0].edits_in(FileId::DOCUMENT));
    assert_eq!(fixed, text.replace("    reuse: last\n", ""));
}

#[test]
fn other_formats_keep_what_they_can_express() {
    let text = step("[target, {path: ~/x, name: 'a, b', sharing: locked}]\n    reuse: last");
    let analysis = analyze(&text, Format::Yaml);
    let yaml = to_yaml(&analysis).text;
    let (before, after) = (planned(&text), planned(&yaml));
    assert_eq!((before.cache_mounts, before.reuse), (after.cache_mounts, after.reuse));
    let losses = to_plan(&analysis.pipelines[0]).losses;
    assert_eq!(losses.len(), 2, "{losses:?}");
    assert!(losses[0].contains("`cache_mounts`") && losses[1].contains("`reuse`"));
}

#[test]
fn paths_and_values_are_offered_where_they_go() {
    let offered = |text: &str| -> Vec<String> {
        let offset = text.find('¦').unwrap();
        let text = text.replace('¦', "");
        let known = Known { images: &[] };
        completion(&analyze(&text, Format::Yaml), offset, known).into_iter().map(|entry| entry.label).collect()
    };
    let has = |text: &str, labels: &[&str]| {
        let offered = offered(text);
        for label in labels {
            assert!(offered.iter().any(|other| other == label), "{label} in {text}: {offered:?}");
        }
    };
    has(&step("[¦]"), &["~/.cargo/registry", "node_modules"]);
    has(&step("[odd/one, ¦]"), &["odd/one", "target"]);
    has(&step("\n      - ¦"), &["target", "path", "name", "sharing"]);
    has(&step("\n      - path: ¦"), &["target", "~/.npm"]);
    has(&step("\n      - path: x\n        sharing: ¦"), &["shared", "locked", "private"]);
    has(&step("\n      - path: x\n        ¦"), &["name", "sharing"]);
    has(&step("[{path: x, ¦}]"), &["name", "sharing"]);
    has(&step("¦"), &["target"]);
    has(&step("[]\n    reuse: ¦"), &["parent", "last"]);
    has(&step("[]\n    reu¦"), &["reuse"]);
}

#[test]
fn hover_explains_the_keys() {
    let text = step("\n      - path: x\n        sharing: locked\n    reuse: last");
    let analysis = analyze(&text, Format::Yaml);
    for (key, expected) in [
        ("cache_mounts", "outlive runs"),
        ("path:", "finds the folder"),
        ("sharing", "one at a time"),
        ("reuse", "own last result"),
    ] {
        let hover = hover(&analysis, text.find(key).unwrap() + 1).unwrap_or_else(|| panic!("{key} has no hover"));
        assert!(hover.text.contains(expected), "{key}: {}", hover.text);
    }
}
