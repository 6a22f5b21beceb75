//! JSON and generated plans.

use std::fmt::Write as _;

use super::generate::{Shape, fill, json, numbered, plan, repeated, same};

pub(super) const SHAPES: &[Shape] = &[
    // JSON.
    json("bare words in JSON", repeated!("{\"steps\": [\n", "word\n", "]}")),
    json("bare words alone", repeated!("{", "word ", "}")),
    json("bare words on lines", repeated!("{\n", "word\n", "}\n")),
    json("bare words with quotes", repeated!("{\n", "\"word\"\n", "}\n")),
    json("lists on lines in JSON with one that is open", repeated!("{\"steps\": [[\n", "{\"a\": [\n1\n]\n},\n", "]}")),
    json("square brackets in JSON", repeated!("", "[", "")),
    json("square brackets on lines in JSON", repeated!("", "[\n", "")),
    json("curly brackets in JSON", repeated!("", "{\"a\":", "")),
    json("curly brackets on lines in JSON", repeated!("", "{\"a\":\n", "")),
    json("brackets after steps in JSON", repeated!("{\"steps\":", "[", "")),
    json("objects without a comma", repeated!("{\"steps\": [\n", "  {\"key\": \"a\", \"cmd\": \"x\"}\n", "]}")),
    json("keys without a colon", repeated!("{\n", "  \"key\" \"a\",\n", "}")),
    json("keys without a value", repeated!("{\n", "  \"key\":\n", "}")),
    json("commas", repeated!("[", ",", "]")),
    json("trailing commas", repeated!("{\"steps\": [", "{\"key\": \"a\", \"cmd\": \"x\",},", "]}")),
    json("open quotes in JSON", repeated!("{\"steps\": [\n", "  {\"key\": \"a, \"cmd\": \"x\"},\n", "]}")),
    json("open quotes at line ends in JSON", repeated!("{\"steps\": [\n", "  {\"key\": \"a\n", "]}")),
    json(
        "lost brackets in JSON",
        repeated!("{\"steps\": [\n", "  {\n    \"key\": \"a\",\n    \"env\": {\n      \"A\": \"b\"\n  },\n", "]}"),
    ),
    json("escapes in JSON", repeated!("{\"steps\": [{\"key\": \"a\", \"cmd\": \"", "\\u0041\\ud800", "\"}]}")),
    json("escaped quotes in JSON", repeated!("{\"steps\": [{\"key\": \"a\", \"cmd\": \"", "\\\"", "\"}]}")),
    json("comments in JSON", repeated!("{", "// a comment\n", "\"steps\": []}")),
    json(
        "unknown keys in JSON",
        numbered!("{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\"", ", \"unknown{n}\": 1", "}]}"),
    ),
    json(
        "unknown references in JSON",
        numbered!(
            "{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\"}",
            ",{{\"key\": \"step{n}\", \"cmd\": \"x\", \"depends_on\": [\"stpe{n}\"]}}",
            "]}"
        ),
    ),
    json("broken in one line of JSON", numbered!("{\"steps\": [", "{{\"key\" \"s{n}\", \"cmd\": \"x\"}},", "]}")),
    json(
        "broken at the end of one line of JSON",
        numbered!("{\"steps\": [", "{{\"key\": \"s{n}\", \"cmd\": \"x\"}},", "{\"key\" ]}"),
    ),
    json("brackets after a word in JSON", repeated!("cmd: x", "[", "")),
    json("a long list in deep brackets in JSON", |bytes| {
        let depth = 90.min(bytes / 40);
        same(bytes, &format!("{{\"steps\": {}", "[".repeat(depth)), "1, ", &format!("1{}}}", "]".repeat(depth)))
    }),
    // Plans.
    json("a plan with nodes", |bytes| plan(bytes, |text, _, _| text.push_str("[0,1,\"depends_on\"]"), 1)),
    json("a plan with many edges", |bytes| {
        plan(
            bytes,
            |text, n, count| {
                write!(text, "[{},{},\"depends_on\"]", n % count, (n / count + n) % count).expect("a string takes all")
            },
            20,
        )
    }),
    json("a plan with many parents", |bytes| plan(bytes, |text, _, _| text.push_str("[0,1,\"builds_in\"]"), 20)),
    json("a plan with bad edges", |bytes| plan(bytes, |text, _, _| text.push_str("[0,9999999,\"depends_on\"]"), 20)),
    json("a plan with edges that are none", |bytes| plan(bytes, |text, _, _| text.push_str("[0]"), 50)),
    json("a plan with a long parent name", |bytes| {
        let key = "k".repeat(bytes / 2);
        let mut text = format!(
            "{{\"graph\":{{\"nodes\":[{{\"step\":{{\"key\":\"{key}\",\"cmd\":\"x\"}}}},{{\"step\":{{\"key\":\"b\",\"cmd\":\"x\"}}}}],\"edges\":[[0,1,\"depends_on\"]"
        );
        while text.len() < bytes {
            text.push_str(",[0,1,\"depends_on\"]");
        }
        text.push_str("]}}");
        text
    }),
    json(
        "a plan with fields of its own",
        numbered!(
            "{\"version\":\"0\",\"graph\":{\"nodes\":[{\"step\":{\"key\":\"a\",\"cmd\":\"x\"",
            ",\"f{n}\":1",
            "}}],\"edges\":[]}}"
        ),
    ),
    json(
        "an envelope",
        numbered!(
            "{\"schema_version\":\"1\",\"pipelines\":[",
            "{{\"slug\":\"p{n}\",\"definition\":{{\"version\":\"0\",\"graph\":{{\"nodes\":[{{\"step\":{{\"key\":\"a\",\"cmd\":\"x\"}}}}],\"edges\":[]}}}}}},",
            "{\"slug\":\"z\"}]}"
        ),
    ),
    json(
        "an envelope of errors",
        numbered!(
            "{\"schema_version\":\"1\",\"pipelines\":[",
            "{{\"slug\":{n},\"definition\":{{\"graph\":{{\"nodes\":[{{}}],\"edges\":[[1,2]]}}}}}},",
            "{\"slug\":\"z\"}]}"
        ),
    ),
];
