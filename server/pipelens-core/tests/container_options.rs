//! Options of containers of steps and services: findings at their exact places, fixes, completion, hover.

use pipelens_core::arguments::{service_secrets, services, wants_the_machine};
use pipelens_core::ide::{Known, completion, hover};
use pipelens_core::plan::{Target, Value, plan};
use pipelens_core::text::apply_edits;
use pipelens_core::{FileId, Format, analyze};

fn step(arguments: &str) -> String {
    format!("steps:\n  - key: a\n    image: debian:12\n    cmd: make\n    runner_args: {{{arguments}}}\n")
}

fn service(keys: &str) -> String {
    step(&format!("services: {{db: {{image: 'redis:7', {keys}}}}}"))
}

fn arguments(text: &str) -> Value {
    let plan = plan(&analyze(text, Format::Yaml), 0, &Target::Pipeline, "ci").expect("it has no errors");
    plan.steps.into_iter().next().and_then(|step| step.runner_args).expect("it has arguments")
}

const GOOD: &str = "shm_size: 256m, ulimits: {nofile: 1024, nproc: '512:1024', core: -1}, extra_hosts: ['a.b:10.0.0.1', 'c=::1', 'up:host-gateway'], init: true, tmpfs: [/run, '/tmp:size=64m,mode=1777'], gpus: all";

#[test]
fn good_options_have_no_findings_in_steps_and_services() {
    for text in [step(GOOD), service(GOOD), service("secrets: [DB_PASSWORD]"), step("network: host")] {
        assert_eq!(analyze(&text, Format::Yaml).diagnostics, [], "{text}");
    }
    let read = services(&arguments(&service(GOOD))).remove(0).unwrap().options;
    assert_eq!((read.shm_bytes, read.gpus, read.init), (Some(256 << 20), Some(-1), Some(true)));
    assert_eq!(read.ulimits[1], ("nproc".to_owned(), 512, 1024));
    assert_eq!(service_secrets(&arguments(&service("secrets: [A, B]"))), [("db", "A"), ("db", "B")]);
}

#[test]
fn mistakes_are_found_where_they_are() {
    for (key, wrong) in [
        ("shm_size", "much"),
        ("ulimits", "{nofile: 2:1}"),
        ("ulimits", "{nofile: many}"),
        ("extra_hosts", "[a]"),
        ("extra_hosts", "['a:b']"),
        ("init", "maybe"),
        ("tmpfs", "[run]"),
        ("tmpfs", "['/a:bind']"),
        ("gpus", "some"),
        ("ulimits", "[nofile]"),
        ("extra_hosts", "{a: 10.0.0.1}"),
    ] {
        for text in [step(&format!("{key}: {wrong}")), service(&format!("{key}: {wrong}"))] {
            let found = analyze(&text, Format::Yaml).diagnostics;
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            let is_whole = matches!((key, wrong.as_bytes()[0]), ("ulimits", b'[') | ("extra_hosts", b'{'));
            let inside = wrong.trim_matches(['[', ']', '{', '}']);
            let value = if is_whole { wrong } else { inside.split_once(": ").map_or(inside, |(_, value)| value) };
            assert_eq!(found[0].range.of(&text), value, "{text}");
        }
    }
}

#[test]
fn a_misspelt_limit_can_be_corrected() {
    let text = step("ulimits: {nofiles: 5}");
    let found = analyze(&text, Format::Yaml).diagnostics;
    assert_eq!((found.len(), found[0].range.of(&text)), (1, "nofiles"));
    assert!(found[0].message.contains("Did you mean `nofile`?"), "{}", found[0].message);
    assert_eq!(apply_edits(&text, &found[0].fixes[0].edits_in(FileId::DOCUMENT)), text.replace("nofiles", "nofile"));
}

#[test]
fn what_opens_the_machine_is_known_in_steps_and_services() {
    let wants = |text: &str| wants_the_machine(&arguments(text));
    assert_eq!(wants(&step("network: host")), Some("network: host"));
    assert_eq!(wants(&step("gpus: 1")), Some("gpus"));
    assert_eq!(wants(&service("gpus: all")), Some("gpus"));
    assert_eq!(wants(&service("init: false")), None);
    assert_eq!(wants(&step("network: none")), None);
    let other = step("network: 'container:x'");
    assert!(analyze(&other, Format::Yaml).diagnostics[0].message.contains("another container"));
}

#[test]
fn completion_and_hover_know_the_keys() {
    let offered = |text: &str| -> Vec<String> {
        let offset = text.find('¦').unwrap();
        let entries = completion(&analyze(&text.replace('¦', ""), Format::Yaml), offset, Known { images: &[] });
        entries.into_iter().map(|entry| entry.label).collect()
    };
    for text in [step("¦"), service("¦")] {
        let offered = offered(&text);
        for key in ["shm_size", "ulimits", "extra_hosts", "init", "tmpfs", "gpus"] {
            assert!(offered.iter().any(|label| label == key), "{key} in {text}: {offered:?}");
        }
    }
    assert!(offered(&service("¦")).contains(&"secrets".to_owned()));
    let text = service(&format!("{GOOD}, secrets: [A]"));
    let analysis = analyze(&text, Format::Yaml);
    for (key, expected) in
        [("shm_size", "/dev/shm"), ("nofile", "soft:hard"), ("tmpfs", "in memory"), ("secrets", "/run/secrets")]
    {
        let hover = hover(&analysis, text.find(key).unwrap() + 1).unwrap_or_else(|| panic!("{key} has no hover"));
        assert!(hover.text.contains(expected), "{key}: {}", hover.text);
    }
}
