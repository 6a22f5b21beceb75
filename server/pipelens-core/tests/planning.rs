//! What a run would do: barriers, lineage, environment, and what refuses to run.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use pipelens_core::diagnostic::Code;
use pipelens_core::plan::{BootsFrom, Refusal, Target, plan};
use pipelens_core::{Format, analyze};

const BARRIERS: &str = r"name: ci
default_image: a:1
env: {A: 1, B: 1}
steps:
- {key: a, cmd: x}
- {key: b, cmd: x, image: b:1, env: {B: 2}}
- wait
- {key: c, cmd: x, builds_in: a}
- wait: {continue_on_failure: true}
- wait
- {key: d, cmd: x, depends_on: b}
";

fn check(text: &str, target: &Target, expected: Expect) {
    let mut result = String::new();
    match plan(&analyze(text, Format::Yaml), 0, target, "file") {
        Err(refusal) => writeln!(result, "{refusal:?}").unwrap(),
        Ok(plan) => {
            for (position, step) in plan.steps.iter().enumerate() {
                let from = match &step.boots_from {
                    BootsFrom::Image(image) => image.clone(),
                    BootsFrom::Step(step) => format!("#{step}"),
                };
                let after: Vec<String> = step
                    .after
                    .iter()
                    .map(|before| format!("#{}{}", before.step, if before.must_succeed { "" } else { "?" }))
                    .collect();
                writeln!(result, "#{position} {} from {from} after [{}] {:?}", step.key, after.join(" "), step.env)
                    .unwrap();
            }
        }
    }
    expected.assert_eq(&result);
}

#[test]
fn a_barrier_makes_the_steps_after_it_wait() {
    check(
        BARRIERS,
        &Target::Pipeline,
        expect![[r##"
        #0 a from a:1 after [] {"A": "1", "B": "1"}
        #1 b from b:1 after [] {"A": "1", "B": "2"}
        #2 c from #0 after [#0 #1] {"A": "1", "B": "1"}
        #3 d from a:1 after [#1 #2?] {"A": "1", "B": "1"}
    "##]],
    );
}

#[test]
fn a_single_step_includes_the_steps_it_builds_in() {
    check(
        BARRIERS,
        &Target::Step("c".into()),
        expect![[r##"
        #0 a from a:1 after [] {"A": "1", "B": "1"}
        #1 c from #0 after [#0] {"A": "1", "B": "1"}
    "##]],
    );
}

#[test]
fn running_from_a_step_includes_everything_that_waits_for_it() {
    check(
        BARRIERS,
        &Target::From("b".into()),
        expect![[r##"
        #0 a from a:1 after [] {"A": "1", "B": "1"}
        #1 b from b:1 after [] {"A": "1", "B": "2"}
        #2 c from #0 after [#0 #1] {"A": "1", "B": "1"}
        #3 d from a:1 after [#1 #2?] {"A": "1", "B": "1"}
    "##]],
    );
}

#[test]
fn what_is_asked_for_in_several_ways_is_the_union() {
    let keys = |steps: &[&str], from: &[&str]| {
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let target = Target::Several { steps: owned(steps), from: owned(from) };
        let planned = plan(&analyze(DIAMONDS, Format::Yaml), 0, &target, "ci").unwrap();
        let wanted = planned.steps.iter().filter(|step| step.is_wanted).map(|step| step.key.clone());
        wanted.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys(&[], &["a"]), "a left right join");
    assert_eq!(keys(&[], &["left", "other"]), "left join other after");
    assert_eq!(keys(&["right"], &["other"]), "right other after");
    assert_eq!(keys(&["left"], &["left", "left"]), "left join");
    let target = Target::Several { steps: Vec::new(), from: vec!["left".into(), "joyn".into()] };
    let refused = plan(&analyze(DIAMONDS, Format::Yaml), 0, &target, "ci").unwrap_err();
    assert_eq!(refused, Refusal::NoSuchStep { key: "joyn".into(), did_you_mean: Some("join".into()) });
}

const DIAMONDS: &str = r"steps:
- {key: a, cmd: x}
- {key: left, cmd: x, depends_on: a}
- {key: right, cmd: x, depends_on: a}
- {key: join, cmd: x, depends_on: [left, right]}
- {key: other, cmd: x}
- {key: after, cmd: x, builds_in: other}
";

#[test]
fn a_step_that_does_not_exist_suggests_the_nearest_name() {
    check(
        "steps:\n- {key: build, cmd: x}\n",
        &Target::Step("bild".into()),
        expect![[r#"
        NoSuchStep { key: "bild", did_you_mean: Some("build") }
    "#]],
    );
}

#[test]
fn a_cycle_never_reaches_a_plan_even_when_it_is_silenced() {
    let text = r"steps:
- {key: a, cmd: x, depends_on: b}
- {key: b, cmd: x, depends_on: a} # pipelens: ignore cycle
";
    let analysis = analyze(text, Format::Yaml);
    assert!(analysis.diagnostics.is_empty());
    assert!(matches!(plan(&analysis, 0, &Target::Pipeline, "ci"), Err(Refusal::HasErrors(_))));
}

#[test]
fn a_repaired_text_does_not_run_but_keeps_its_run_buttons() {
    let analysis = analyze(
        r#"steps:
- {key: a, cmd: x}
- key: b
  cmd: "x
"#,
        Format::Yaml,
    );
    assert_eq!(pipelens_core::ide::run_places(&analysis).len(), 3);
    assert_eq!(plan(&analysis, 0, &Target::Pipeline, "ci"), Err(Refusal::IsRepaired));
}

#[test]
fn an_omitted_error_still_prevents_the_run() {
    let mut text = String::from("steps:\n");
    for step in 0..2_000 {
        writeln!(text, "  - {{key: s{step}, cmd: x, depends_on: [nothing{step}]}}").unwrap();
    }
    text.push_str(
        r"---
steps:
  - {key: a, cmd: x, depends_on: [b]}
",
    );
    let analysis = analyze(&text, Format::Yaml);
    assert_eq!(analysis.diagnostics.len(), 1_001);
    let first = &analysis.diagnostics[0];
    assert!(first.code == Code::TooLarge && first.message.starts_with("There are 1001 more findings"), "{first:?}");
    let second = plan(&analysis, 1, &Target::Pipeline, "ci");
    assert!(matches!(second, Err(Refusal::HasErrors(_))), "{second:?}");
}

#[test]
fn omitted_hints_do_not_prevent_the_run() {
    let text = format!("steps:\n{}", "  - wait\n".repeat(2))
        + &(0..1_500).map(|n| format!("  - {{key: s{n}, cmd: x, image: a}}\n")).collect::<String>();
    let analysis = analyze(&text, Format::Yaml);
    assert_eq!(analysis.diagnostics.len(), 1_001);
    assert_eq!(plan(&analysis, 0, &Target::Pipeline, "ci").unwrap().steps.len(), 1_500);
}

#[test]
fn waits_that_imply_too_many_dependencies_are_refused() {
    let steps =
        |name: &str| (0..1_100).map(|n| format!("  - {{key: {name}{n}, cmd: x, image: 'a:1'}}\n")).collect::<String>();
    let analysis = analyze(&format!("steps:\n{}  - wait\n{}", steps("a"), steps("b")), Format::Yaml);
    let codes: Vec<Code> = analysis.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(codes, [Code::TooLarge]);
    assert!(plan(&analysis, 0, &Target::Pipeline, "ci").is_err());
}
