use pipelens_core::ide::{LinkTarget, call_item, hints, incoming_calls, links, outgoing_calls};
use pipelens_core::text::TextRange;
use pipelens_core::{Analysis, Format, analyze};

use super::at;

const PIPELINE: &str = r"default_image: alpine:3.20
steps:
- {key: a, cmd: sh ci/build.sh}
- {key: b, cmd: x, builds_in: a}
- {key: c, cmd: x, builds_in: b, image: q:1}
- wait: {continue_on_failure: true}
- {key: d, cmd: x, depends_on: [b]}
- wait
";

fn shown(analysis: &Analysis) -> Vec<(usize, String)> {
    let all = hints(analysis, TextRange::new(0, PIPELINE.len()));
    all.into_iter().map(|hint| (analysis.line_index.line(hint.offset) + 1, hint.label)).collect()
}

#[test]
fn hints_show_the_image_of_a_lineage_and_what_a_wait_waits_for() {
    let analysis = analyze(PIPELINE, Format::Yaml);
    let hints: Vec<(usize, String)> = shown(&analysis);
    let hints: Vec<(usize, &str)> = hints.iter().map(|(line, label)| (*line, label.as_str())).collect();
    assert_eq!(hints, [(4, "⇠ alpine:3.20"), (5, "⇠ alpine:3.20"), (6, "for a, b, c"), (8, "for d")]);
}

#[test]
fn a_range_gets_only_its_own_hints() {
    let analysis = analyze(PIPELINE, Format::Yaml);
    let start = PIPELINE.find("- wait:").unwrap();
    let tooltips: Vec<String> =
        hints(&analysis, TextRange::new(start, start + 5)).into_iter().map(|hint| hint.tooltip).collect();
    assert_eq!(tooltips, ["Everything below waits for `a`, `b`, `c` to finish, even if they fail."]);
}

#[test]
fn a_cyclic_lineage_terminates() {
    let analysis = analyze(
        r"steps:
- {key: a, cmd: x, builds_in: b}
- {key: b, cmd: x, builds_in: a}
",
        Format::Yaml,
    );
    assert_eq!(hints(&analysis, TextRange::new(0, 80)).len(), 2);
}

#[test]
fn a_step_calls_what_it_needs_and_is_called_by_what_needs_it() {
    let (analysis, offset) = at(PIPELINE, "key: b");
    assert_eq!(call_item(&analysis, offset).unwrap().name, "b");
    let names = |calls: Vec<pipelens_core::ide::Call>| {
        calls.into_iter().map(|call| (call.step.name, call.places.len())).collect::<Vec<_>>()
    };
    assert_eq!(names(incoming_calls(&analysis, offset)), [("c".to_owned(), 1), ("d".to_owned(), 1)]);
    assert_eq!(names(outgoing_calls(&analysis, offset)), [("a".to_owned(), 1)]);
    let (analysis, offset) = at(PIPELINE, "key: d");
    let all = outgoing_calls(&analysis, offset);
    // `a` and `c` are waited for because of the barrier, so that is the place.
    let barrier = PIPELINE.find("wait:").unwrap();
    assert_eq!(all[0].places[0].start, analysis.pipelines[0].barriers[0].range.start);
    assert!(analysis.pipelines[0].barriers[0].range.touches(barrier));
    assert_eq!(names(all), [("a".to_owned(), 1), ("b".to_owned(), 1), ("c".to_owned(), 1)]);
}

#[test]
fn images_and_files_are_links() {
    let analysis = analyze(
        r"default_image: rust:1.95
steps:
- key: a
  cmd: |
    sh ./ci/build.sh --out=dist/x /abs/y ../z $D/q https://h/x.html v1.2
    make test.mk
  cache: {policy: on_change, paths: [Cargo.lock, 'src/**']}
",
        Format::Yaml,
    );
    let targets: Vec<String> = links(&analysis)
        .into_iter()
        .map(|link| match link.target {
            LinkTarget::Url(url) => url,
            LinkTarget::Path(path) => path,
        })
        .collect();
    assert_eq!(targets, ["https://hub.docker.com/_/rust", "ci/build.sh", "v1.2", "test.mk", "Cargo.lock"]);
}
