//! How text of a given size is made from repeated parts.

use std::fmt::Write as _;

use pipelens_core::Format;

/// A way to fill text of about so many bytes.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) format: Format,
    pub(crate) text: fn(usize) -> String,
}

pub(super) const fn yaml(name: &'static str, text: fn(usize) -> String) -> Shape {
    Shape { name, format: Format::Yaml, text }
}

pub(super) const fn json(name: &'static str, text: fn(usize) -> String) -> Shape {
    Shape { name, format: Format::Json, text }
}

pub(super) const STEP: &str = "steps:\n  - key: a\n    cmd: x\n";

/// Repeats numbered parts between a beginning and an end.
pub(super) fn fill(bytes: usize, start: &str, end: &str, mut part: impl FnMut(&mut String, usize)) -> String {
    let mut text = start.to_owned();
    let mut count = 0;
    while text.len() < bytes.saturating_sub(end.len()) {
        part(&mut text, count);
        count += 1;
    }
    text.push_str(end);
    text
}

/// Repeats the same part between a beginning and an end.
pub(super) fn same(bytes: usize, start: &str, part: &str, end: &str) -> String {
    fill(bytes, start, end, |text, _| text.push_str(part))
}

macro_rules! numbered {
    ($start:expr, $part:literal, $end:expr) => {
        |bytes| fill(bytes, $start, $end, |text, n| write!(text, $part, n = n).expect("a string takes all"))
    };
}

macro_rules! repeated {
    ($start:expr, $part:expr, $end:expr) => {
        |bytes| same(bytes, $start, $part, $end)
    };
}

/// Two lists of the same length: steps first, then what names them.
pub(super) fn halves(
    bytes: usize,
    first: impl Fn(&mut String, usize),
    between: &str,
    second: impl Fn(&mut String, usize),
) -> String {
    let mut text = String::from("steps:\n");
    let mut count = 0;
    while text.len() < bytes / 2 {
        first(&mut text, count);
        count += 1;
    }
    text.push_str(between);
    for n in 0.. {
        if text.len() >= bytes {
            break;
        }
        second(&mut text, n % count.max(1));
    }
    text
}

pub(super) fn dense_graph(bytes: usize) -> String {
    // n steps that each name all before them: n²/2 names.
    let mut text = String::from("steps:\n");
    for step in 0.. {
        if text.len() >= bytes {
            break;
        }
        let names: Vec<String> = (0..step).map(|n| format!("s{n}")).collect();
        writeln!(text, "  - key: s{step}\n    cmd: x\n    depends_on: [{}]", names.join(", "))
            .expect("a string takes all");
    }
    text
}

pub(super) fn dense_cycles(bytes: usize) -> String {
    let count = (bytes / 6).isqrt().max(2);
    let mut text = String::from("steps:\n");
    let names: Vec<String> = (0..count).map(|n| format!("s{n}")).collect();
    for step in 0..count {
        writeln!(text, "  - key: s{step}\n    cmd: x\n    depends_on: [{}]", names.join(", "))
            .expect("a string takes all");
    }
    text
}

pub(super) fn merge_chain(bytes: usize) -> String {
    let mut text = String::from("x-0: &a0 {image: a}\n");
    let mut last = 0;
    while text.len() < bytes.saturating_sub(64) {
        last += 1;
        writeln!(text, "x-{last}: &a{last} {{<<: *a{}, k{last}: 1}}", last - 1).expect("a string takes all");
    }
    writeln!(text, "steps:\n  - <<: *a{last}\n    key: a\n    cmd: x").expect("a string takes all");
    text
}

/// Plan JSON with nodes and edges.
pub(super) fn plan(bytes: usize, edge: impl Fn(&mut String, usize, usize), per_node: usize) -> String {
    let node = "{\"env\":{},\"step\":{\"key\":\"s00000\",\"cmd\":\"x\"}},".len() + per_node * 24;
    let count = (bytes / node).max(2);
    let mut text =
        String::from("{\"version\":\"0\",\"graph\":{\"edge_property\":\"directed\",\"node_holes\":[],\"nodes\":[");
    for n in 0..count {
        let comma = if n == 0 { "" } else { "," };
        write!(text, "{comma}{{\"env\":{{}},\"step\":{{\"key\":\"s{n}\",\"cmd\":\"x\"}}}}")
            .expect("a string takes all");
    }
    text.push_str("],\"edges\":[");
    let start = text.len();
    for n in 0..count * per_node {
        if text.len() > start {
            text.push(',');
        }
        edge(&mut text, n, count);
    }
    text.push_str("]}}");
    text
}

pub(super) use {numbered, repeated};
