//! Findings about a whole document and its format: what is no pipeline, JSON, plans.

use expect_test::{Expect, expect};
use pipelens_core::{Format, analyze};

use super::{check, render};

#[test]
fn a_document_that_is_not_a_pipeline_reports_what_is_missing() {
    check(
        "",
        expect![[r#"

        ^
        Information[empty-file]: This file has no pipeline yet. Start with `steps:` and a step with `key` and `cmd`.
    "#]],
    );
    check(
        "# nothing\n",
        expect![[r#"
        # nothing
        ^
        Information[empty-file]: This file has no pipeline yet. Start with `steps:` and a step with `key` and `cmd`.
    "#]],
    );
    check(
        "stepz: []\n",
        expect![[r#"
            stepz: []
            ^^^^^
            Error[not-a-pipeline]: There is no `steps` here, so this is not a pipeline. Did you mean `steps` instead of `stepz`?
              fix: Change to `steps`
        "#]],
    );
    check(
        "- a\n",
        expect![[r#"
            - a
            ^^^
            Error[not-a-pipeline]: A pipeline must be a mapping with `steps`, but this is something else. Start with `steps:`.
        "#]],
    );
    check(
        "steps: []\n",
        expect![[r#"
            steps: []
                   ^^
            Error[empty-list]: A pipeline needs at least one step, but `steps` has none. Add one with `key` and `cmd`.
        "#]],
    );
}

#[test]
fn json_is_checked_strictly() {
    let check = |text: &str, expected: Expect| expected.assert_eq(&render(text, Format::Json));
    check(
        "{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\",}]}",
        expect![[r#"
            {"steps": [{"key": "a", "cmd": "x",}]}
                                              ^
            Error[syntax]: JSON does not allow a comma before a closing bracket. Remove it.
              fix: Remove the comma
        "#]],
    );
    check(
        "steps: [{key: a, cmd: x}]",
        expect![[r#"
            steps: [{key: a, cmd: x}]
            ^^^^^
            Error[syntax]: This is YAML, but not JSON: names and strings need double quotes. Correct it, or name the file `.yaml`.
        "#]],
    );
    check(
        "\u{feff}{\"steps\": [{\"key\": \"a\"\n\"cmd\": \"x\"}]}",
        expect![[r#"
            ﻿{"steps": [{"key": "a"
                                ^^^
            Error[syntax]: A `,` is missing after this. Add it.
              fix: Add `,`
        "#]],
    );
}

#[test]
fn plans_are_checked_as_their_format_allows() {
    let check = |text: &str, expected: Expect| expected.assert_eq(&render(text, Format::Json));
    check(
        r#"{"version": "9", "extra": 1, "graph": {"nodes": [{"step": {"key": "a", "cmd": "", "image": null}, "env": {}},
 {"step": {"key": "b", "cmd": "x"}, "env": {"A": 1}}],
 "edges": [[0, 1, "builds_in"],
 [1, 1, "builds_in"],
 [0, 7, "depends_on"]]}}"#,
        expect![[r#"
            {"version": "9", "extra": 1, "graph": {"nodes": [{"step": {"key": "a", "cmd": "", "image": null}, "env": {}},
                        ^^^
            Error[unsupported-version]: Version `9` of this format does not exist. The only one is `"0"`.
              fix: Change to `"0"`
            {"version": "9", "extra": 1, "graph": {"nodes": [{"step": {"key": "a", "cmd": "", "image": null}, "env": {}},
                             ^^^^^^^
            Hint[unknown-key]: Unknown key `extra` in a plan; it is ignored.
             {"step": {"key": "b", "cmd": "x"}, "env": {"A": 1}}],
                                                             ^
            Error[wrong-type]: `A` must be a string, but this is a number. Put it in quotes.
              fix: Put it in quotes
             [1, 1, "builds_in"],
             ^^^^^^^^^^^^^^^^^^^
            Error[self-reference]: Step `b` builds in itself, so it can never start. Name another step, or remove this.
              fix: Remove `[1, 1, "builds_in"]`
             [1, 1, "builds_in"],
             ^^^^^^^^^^^^^^^^^^^
            Error[several-parents]: A step can build in only one step, but this is the second `builds_in` edge to the same node. Remove one.
              line 3: The first `builds_in` edge
              fix: Remove `[1, 1, "builds_in"]`
             [0, 7, "depends_on"]]}}
             ^^^^^^^^^^^^^^^^^^^^
            Error[bad-edge]: This edge refers to a node that does not exist: the graph has 2 nodes, numbered from 0. Correct the position.
        "#]],
    );
}

#[test]
fn a_missing_bracket_in_json_causes_only_one_finding() {
    let text = r#"{
  "steps": [
    {
      "key": "a",
      "cmd": "x"
    },
    {
      "key": "b",
      "cmd": "x"
    },
    {
      "key": "c",
      "cmd": "x",
      "env": {
        "A": "1"
      }
    }
  ]
}
"#;
    for (position, _) in text.match_indices(['}', ']']) {
        let comma = usize::from(text[position + 1..].starts_with(','));
        let broken = format!("{}{}", &text[..position], &text[position + 1..]);
        let found = analyze(&broken, Format::Json).diagnostics;
        let line = text[..position].lines().count();
        assert_eq!(found.len(), 1, "line {line}, comma {comma}: {found:#?}\n{broken}");
    }
}
