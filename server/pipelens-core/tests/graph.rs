//! The graph of a pipeline, drawn in four ways.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has to stop")]

use expect_test::expect;
use pipelens_core::graph::{Drawing, EdgeKind, Graph, draw, graph};
use pipelens_core::{Format, analyze};
use proptest::prelude::*;

const PIPELINE: &str = r"name: ci
default_image: rust:1.95
steps:
- {key: build, cmd: cargo build}
- {key: lint, cmd: cargo clippy, builds_in: build}
- {key: test, cmd: cargo test, builds_in: build}
- {key: docs, cmd: mkdocs, image: python:3.13, depends_on: [lint]}
- wait: {continue_on_failure: true}
- {key: report, cmd: ./report.sh, builds_in: test}
- wait
- {key: ship, cmd: ./ship.sh, depends_on: build}
";

fn of(text: &str) -> Graph {
    graph(&analyze(text, Format::Yaml).pipelines[0], "file")
}

#[test]
fn a_barrier_is_connected_to_the_last_steps_before_it_and_the_first_after_it() {
    let graph = of(PIPELINE);
    let edges: Vec<(usize, usize, EdgeKind)> = graph.edges.iter().map(|edge| (edge.from, edge.to, edge.kind)).collect();
    use EdgeKind::{Barrier, Lineage, Order};
    assert_eq!(
        edges,
        [
            (0, 1, Lineage),
            (0, 2, Lineage),
            (1, 3, Order),
            (2, 5, Lineage),
            (0, 7, Order),
            (2, 4, Barrier),
            (3, 4, Barrier),
            (4, 5, Barrier),
            (5, 6, Barrier),
            (6, 7, Barrier)
        ]
    );
}

#[test]
fn text_shows_lineage_as_a_tree_and_order_in_words() {
    expect![[r#"
        ci
        build  [rust:1.95]  cargo build
        ├─ lint  cargo clippy
        └─ test  cargo test
        docs  [python:3.13]  after lint  mkdocs
        ── wait, continue on failure ──
        report  in test  ./report.sh
        ── wait ──
        ship  [rust:1.95]  after build  ./ship.sh
    "#]]
    .assert_eq(&draw(&of(PIPELINE), Drawing::Text));
}

#[test]
fn mermaid_and_dot_draw_each_kind_of_edge_differently() {
    expect![[r#"
        flowchart LR
          n0["build<br><small>rust:1.95</small>"]
          n1["lint"]
          n2["test"]
          n3["docs<br><small>python:3.13</small>"]
          n4{{"wait, continue on failure"}}
          n5["report"]
          n6{{"wait"}}
          n7["ship<br><small>rust:1.95</small>"]
          n0 ==> n1
          n0 ==> n2
          n1 -.-> n3
          n2 ==> n5
          n0 -.-> n7
          n2 --> n4
          n3 --> n4
          n4 --> n5
          n5 --> n6
          n6 --> n7
    "#]]
    .assert_eq(&draw(&of(PIPELINE), Drawing::Mermaid));
    let dot = draw(
        &of(r#"steps:
- {key: 'a "b"', cmd: x, image: i:1}
- {key: c, cmd: x, builds_in: 'a "b"'}
"#),
        Drawing::Dot,
    );
    expect![[r#"
        digraph "file" {
          rankdir=LR;
          node [shape=box, style=rounded, fontname="sans-serif"];
          n0 [label="a \"b\"\ni:1"];
          n1 [label="c"];
          n0 -> n1 [style=bold];
        }
    "#]]
    .assert_eq(&dot);
}

#[test]
fn every_name_in_a_picture_is_escaped() {
    let svg = draw(
        &of(r#"name: <x>
steps:
- {key: a&b, cmd: "echo <"}
"#),
        Drawing::Svg,
    );
    assert!(svg.contains("<title>&lt;x&gt;</title>"), "{svg}");
    assert!(svg.contains(">a&amp;b</text>"), "{svg}");
    assert!(!svg.contains("<x>"), "{svg}");
}

/// Reads the corners of every box out of a picture.
fn boxes(svg: &str) -> Vec<[f64; 4]> {
    let attribute = |tag: &str, name: &str| -> f64 {
        tag.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap().parse().unwrap()
    };
    svg.lines()
        .filter(|line| line.starts_with("<rect class=\"box"))
        .map(|tag| ["x", "y", "width", "height"].map(|name| attribute(tag, name)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_boxes_overlap_and_all_are_inside_the_picture(
        links in proptest::collection::vec((0_usize..20, any::<bool>(), 0_usize..20), 0..30),
        waits in proptest::collection::vec(0_usize..20, 0..3),
        count in 1_usize..20,
    ) {
        let mut text = "steps:\n".to_owned();
        for step in 0..count {
            if waits.contains(&step) {
                text.push_str("- wait\n");
            }
            text.push_str(&format!("- key: step-{step}\n  cmd: x\n"));
            let mut parents = links.iter().filter(|(to, _, from)| *to == step && from < to);
            if let Some((_, true, from)) = parents.clone().next() {
                text.push_str(&format!("  builds_in: step-{from}\n"));
            }
            let names: Vec<String> = parents.by_ref().filter(|(_, is_lineage, _)| !is_lineage).map(|(_, _, from)| format!("step-{from}")).collect();
            text.push_str(&format!("  depends_on: [{}]\n", names.join(", ")));
        }
        let svg = draw(&of(&text), Drawing::Svg);
        let boxes = boxes(&svg);
        prop_assert_eq!(boxes.len(), count);
        for (index, [x, y, width, height]) in boxes.iter().enumerate() {
            prop_assert!(*x >= 0.0 && *y >= -0.1);
            for [other_x, other_y, other_width, other_height] in boxes.iter().skip(index + 1) {
                let apart = x + width <= *other_x || other_x + other_width <= *x || y + height <= *other_y || other_y + other_height <= *y;
                prop_assert!(apart, "{}", svg);
            }
        }
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
