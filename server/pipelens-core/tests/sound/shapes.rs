//! Texts made to be slow: one construct repeated until the text has a given size. Each shape has a plain sibling of the same size to
//! be measured against.

use std::fmt::Write as _;

use pipelens_core::Format;

/// A way to fill a text of about so many bytes.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) format: Format,
    pub(crate) text: fn(usize) -> String,
}

const fn yaml(name: &'static str, text: fn(usize) -> String) -> Shape {
    Shape { name, format: Format::Yaml, text }
}

const fn json(name: &'static str, text: fn(usize) -> String) -> Shape {
    Shape { name, format: Format::Json, text }
}

const STEP: &str = "steps:\n  - key: a\n    cmd: x\n";

/// Repeats numbered parts between a beginning and an end.
fn fill(bytes: usize, start: &str, end: &str, mut part: impl FnMut(&mut String, usize)) -> String {
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
fn same(bytes: usize, start: &str, part: &str, end: &str) -> String {
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
fn halves(
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

fn dense_graph(bytes: usize) -> String {
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

fn dense_cycles(bytes: usize) -> String {
    let count = (bytes / 6).isqrt().max(2);
    let mut text = String::from("steps:\n");
    let names: Vec<String> = (0..count).map(|n| format!("s{n}")).collect();
    for step in 0..count {
        writeln!(text, "  - key: s{step}\n    cmd: x\n    depends_on: [{}]", names.join(", "))
            .expect("a string takes all");
    }
    text
}

fn merge_chain(bytes: usize) -> String {
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
fn plan(bytes: usize, edge: impl Fn(&mut String, usize, usize), per_node: usize) -> String {
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

pub(crate) const PLAIN_YAML: Shape = yaml(
    "plain steps",
    numbered!(
        "name: plain\nsteps:\n",
        "  - key: step-{n}\n    label: Build part {n}\n    cmd: cargo build --release\n    image: rust:1.95\n    env:\n      A: b\n",
        ""
    ),
);

pub(crate) const PLAIN_JSON: Shape = json(
    "plain steps in JSON",
    numbered!(
        "{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\"}",
        ",\n  {{\"key\": \"step-{n}\", \"cmd\": \"cargo build --release\", \"image\": \"rust:1.95\"}}",
        "]}"
    ),
);

/// Every shape. What is slow in a new way gets a line here.
pub(crate) const SHAPES: &[Shape] = &[
    PLAIN_YAML,
    PLAIN_JSON,
    // Keys and names.
    yaml("unknown keys in a step", numbered!(STEP, "    unknown-key-{n}: 1\n", "")),
    yaml("unknown keys in a pipeline", numbered!("", "name-of-key-{n}: 1\n", STEP)),
    yaml("unknown keys without steps", numbered!("", "stepz{n}: 1\n", "")),
    yaml("the same key again", repeated!(STEP, "    cmd: x\n", "")),
    yaml("duplicate keys of a step", numbered!(STEP, "    k{n}: 1\n    k{n}: 1\n", "")),
    yaml("misspelt keys", repeated!("steps:\n", "  - kye: a\n    cmdd: b\n    imaeg: c\n", "")),
    yaml("keys in another case", numbered!(STEP, "    CMD{n}: x\n", "")),
    yaml("long keys", |bytes| same(bytes, STEP, &format!("    {}: 1\n", "k".repeat(900)), "")),
    yaml("long explicit keys", |bytes| same(bytes, STEP, &format!("    ? {}\n    : 1\n", "k ".repeat(5_000)), "")),
    yaml("complex keys", numbered!("", "? [a, {n}]\n: 1\n", STEP)),
    yaml("steps without a key", repeated!("steps:\n", "  - cmd: x\n", "")),
    yaml("steps without a command", numbered!("steps:\n", "  - key: s{n}\n", "")),
    yaml("steps that are words", repeated!("steps:\n", "  - wiat\n", "")),
    yaml("steps that are null", repeated!("steps:\n", "  -\n", "")),
    yaml("steps with one key", repeated!("steps:\n", "  - {key: a, cmd: x}\n", "")),
    yaml(
        "colliding step keys",
        numbered!("steps:\n", "  - {{key: 'a b', cmd: x}}\n  - {{key: 'a.b', cmd: x{n}}}\n", ""),
    ),
    yaml("unknown references", numbered!("steps:\n", "  - {{key: step-{n}, cmd: x, depends_on: [stpe-{n}]}}\n", "")),
    yaml("unknown parents", numbered!("steps:\n", "  - {{key: step-{n}, cmd: x, builds_in: stpe-{n}}}\n", "")),
    yaml("unknown references of one step", |bytes| {
        halves(
            bytes,
            |text, n| writeln!(text, "  - {{key: step-{n}, cmd: x}}").expect("a string takes all"),
            "  - key: last\n    cmd: x\n    depends_on:\n",
            |text, n| writeln!(text, "      - stepp-{n}").expect("a string takes all"),
        )
    }),
    yaml("unknown references of unnamed steps", |bytes| {
        halves(
            bytes,
            |text, n| writeln!(text, "  - {{key: step-{n}, cmd: x}}").expect("a string takes all"),
            "",
            |text, n| writeln!(text, "  - {{cmd: x, depends_on: [stepp-{n}]}}").expect("a string takes all"),
        )
    }),
    yaml(
        "misspelt references that would close a cycle",
        numbered!("steps:\n", "  - {{key: step-{n}, cmd: x, depends_on: [step-{n}x], builds_in: step-{n}y}}\n", ""),
    ),
    yaml("self references", numbered!("steps:\n", "  - {{key: s{n}, cmd: x, depends_on: [s{n}]}}\n", "")),
    yaml("redundant dependencies", |bytes| {
        same(bytes, "steps:\n  - {key: a, cmd: x}\n  - {key: b, cmd: x, depends_on: [a", ", a", "]}\n")
    }),
    yaml("redundant dependencies on lines", |bytes| {
        same(bytes, "steps:\n  - {key: a, cmd: x}\n  - key: b\n    cmd: x\n    depends_on:\n", "      - a\n", "")
    }),
    yaml(
        "images without effect",
        numbered!("steps:\n  - {key: a, cmd: x}\n", "  - {{key: s{n}, cmd: x, image: b:1, builds_in: a}}\n", ""),
    ),
    // Graphs.
    yaml("a dense graph", dense_graph),
    yaml("dense cycles", dense_cycles),
    yaml("a long cycle", |bytes| {
        let count = bytes / 40;
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: x, depends_on: [s{}]}}", (n + 1) % count.max(1))
                .expect("a string takes all");
        })
    }),
    yaml("cycles of two", |bytes| {
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: x, depends_on: [s{}]}}", n ^ 1).expect("a string takes all");
        })
    }),
    yaml("a long line of parents", |bytes| {
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: x, builds_in: s{}}}", n.saturating_sub(1))
                .expect("a string takes all");
        })
    }),
    yaml("steps after steps after a wait", |bytes| {
        halves(
            bytes,
            |text, n| writeln!(text, "  - {{key: s{n}, cmd: x}}").expect("a string takes all"),
            "  - wait\n",
            |text, n| writeln!(text, "  - {{key: t{n}, cmd: x}}").expect("a string takes all"),
        )
    }),
    yaml("waits", repeated!("steps:\n  - {key: a, cmd: x}\n", "  - wait\n", "")),
    yaml(
        "waits between steps",
        numbered!("steps:\n", "  - {{key: s{n}, cmd: x}}\n  - wait: {{continue_on_failure: true}}\n", ""),
    ),
    yaml("references across a wait", |bytes| {
        halves(
            bytes,
            |text, n| writeln!(text, "  - {{key: s{n}, cmd: x, depends_on: [t{n}]}}").expect("a string takes all"),
            "  - wait\n",
            |text, n| writeln!(text, "  - {{key: t{n}, cmd: x}}").expect("a string takes all"),
        )
    }),
    yaml("misspelt references after a wait", |bytes| {
        halves(
            bytes,
            |text, n| writeln!(text, "  - {{key: s{n}, cmd: x}}").expect("a string takes all"),
            "  - wait\n",
            |text, n| writeln!(text, "  - {{key: t{n}, cmd: x, depends_on: [tt{n}]}}").expect("a string takes all"),
        )
    }),
    // Anchors.
    yaml("anchors nobody uses", numbered!("", "x-{n}: &a{n} 1\n", STEP)),
    yaml("aliases to one anchor", repeated!("x-a: &a 1\nx-b:\n", "  - *a\n", STEP)),
    yaml("undefined aliases", numbered!("x-b:\n", "  - *a{n}\n", STEP)),
    yaml("recursive aliases", repeated!("x-b: &a\n", "  - *a\n", STEP)),
    yaml("aliases of aliases", |bytes| {
        fill(bytes, "x-0: &a0 1\n", STEP, |text, n| {
            writeln!(text, "x-{}: &a{} [*a{n}]", n + 1, n + 1).expect("a string takes all");
        })
    }),
    yaml("a billion laughs", |bytes| {
        fill(bytes, "x-0: &a0 [1]\n", STEP, |text, n| {
            writeln!(text, "x-{}: &a{} [*a{n}, *a{n}]", n + 1, n + 1).expect("a string takes all");
        })
    }),
    yaml(
        "steps that merge defaults",
        numbered!("x-d: &d {image: a:1, env: {A: b}}\nsteps:\n", "  - {{<<: *d, key: s{n}, cmd: x}}\n", ""),
    ),
    yaml("steps that merge many keys", |bytes| {
        let keys: String = (0..bytes.isqrt()).map(|n| format!("k{n}: 1, ")).collect();
        fill(bytes, &format!("x-d: &d {{{keys}z: 1}}\nsteps:\n"), "", |text, n| {
            writeln!(text, "  - {{<<: *d, key: s{n}, cmd: x}}").expect("a string takes all");
        })
    }),
    yaml("steps that share a large environment", |bytes| {
        let keys: String = (0..bytes.isqrt()).map(|n| format!("K{n}: v, ")).collect();
        fill(bytes, &format!("x-d: &d {{{keys}Z: v}}\nsteps:\n"), "", |text, n| {
            writeln!(text, "  - {{env: *d, key: s{n}, cmd: x}}").expect("a string takes all");
        })
    }),
    yaml("steps that share a large command", |bytes| {
        let command = "if a; then b; fi; ".repeat(bytes.isqrt() / 16);
        fill(bytes, &format!("x-d: &d '{command}'\nsteps:\n"), "", |text, n| {
            writeln!(text, "  - {{cmd: *d, key: s{n}}}").expect("a string takes all");
        })
    }),
    yaml("steps that share unknown references", |bytes| {
        let names: String = (0..bytes.isqrt() / 2).map(|n| format!("nothing{n}, ")).collect();
        fill(bytes, &format!("x-d: &d [{names}z]\nsteps:\n"), "", |text, n| {
            writeln!(text, "  - {{depends_on: *d, key: s{n}, cmd: x}}").expect("a string takes all");
        })
    }),
    yaml("steps that share paths", |bytes| {
        let names: String = (0..bytes.isqrt() / 2).map(|n| format!("p{n}, ")).collect();
        fill(bytes, &format!("x-d: &d {{policy: on_change, paths: [{names}z]}}\nsteps:\n"), "", |text, n| {
            writeln!(text, "  - {{cache: *d, key: s{n}, cmd: x}}").expect("a string takes all");
        })
    }),
    yaml("a chain of merges", merge_chain),
    yaml(
        "merges of a list",
        repeated!("x-a: &a {image: a}\nsteps:\n  - <<: [*a", ", *a", "]\n    key: a\n    cmd: x\n"),
    ),
    yaml(
        "merge keys again and again",
        repeated!("x-a: &a {image: a}\nsteps:\n  - key: a\n    cmd: x\n", "    <<: *a\n", ""),
    ),
    yaml(
        "anchors on removed entries",
        numbered!(
            "steps:\n  - {key: a, cmd: x}\n",
            "  - {{key: s{n}, cmd: x, depends_on: [a, &r{n} a]}}\n  - {{key: t{n}, cmd: x, builds_in: *r{n}}}\n",
            ""
        ),
    ),
    // Values.
    yaml("environment", numbered!("env:\n", "  NAME_{n}: yes\n", STEP)),
    yaml("bad names of variables", numbered!("env:\n", "  {n}: x\n", STEP)),
    yaml("environments of steps", numbered!("steps:\n", "  - {{key: s{n}, cmd: x, env: {{A{n}: '{n}', B: c}}}}\n", "")),
    yaml("secrets", numbered!("steps:\n  - key: a\n    cmd: x\n    secrets:\n", "      - SECRET_{n}\n", "")),
    yaml("secret literals", numbered!("env:\n", "  TOKEN_{n}_TOKEN: 8f3b2c1d9e7a6054{n}\n", STEP)),
    yaml(
        "tokens in one command",
        repeated!("steps:\n  - key: a\n    cmd: |\n", "      echo AKIAXXXXXXXXXXXXXXXX npm_ hf_ ghp_\n", ""),
    ),
    yaml("addresses in one command", repeated!("steps:\n  - key: a\n    cmd: |\n", "      ://", "\n")),
    yaml("prefixes in one word", repeated!("steps:\n  - key: a\n    cmd: |\n      ", "AIza", "\n")),
    yaml("images that are none", numbered!("steps:\n", "  - {{key: s{n}, cmd: x, image: 'A b{n}'}}\n", "")),
    yaml("one long image", repeated!("steps:\n  - key: a\n    cmd: x\n    image: ", "a/", "a\n")),
    yaml("one long image of dashes", repeated!("steps:\n  - key: a\n    cmd: x\n    image: a", "-", "b\n")),
    yaml(
        "services",
        numbered!(
            "steps:\n  - key: a\n    cmd: x\n    runner_args:\n      services:\n",
            "        s{n}: {{image: 'a:1', cmd: 'x (', ready: 99}}\n",
            ""
        ),
    ),
    yaml(
        "service names that are none",
        numbered!(
            "steps:\n  - key: a\n    cmd: x\n    runner_args:\n      services:\n",
            "        S_{n}: {{image: a}}\n",
            ""
        ),
    ),
    yaml("runner arguments", numbered!("steps:\n  - key: a\n    cmd: x\n    runner_args:\n", "      arg{n}: 1\n", "")),
    yaml(
        "mounts",
        repeated!("steps:\n  - key: a\n    cmd: x\n    runner_args:\n      mounts:\n", "        - a:b\n", ""),
    ),
    yaml("triggers", numbered!("triggers:\n", "  - {{event: psuh, branch: b{n}}}\n", STEP)),
    yaml("nested policies", |bytes| {
        let depth = 20.min(bytes / 50);
        let open = "{policy: compose, sub_policies: [".repeat(depth);
        let close = "]}".repeat(depth);
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: x, cache: {open}{{policy: ttl}}{close}}}")
                .expect("a string takes all");
        })
    }),
    yaml("policies that are none", numbered!("steps:\n", "  - {{key: s{n}, cmd: x, cache: {{policy: forver}}}}\n", "")),
    yaml(
        "paths",
        numbered!(
            "steps:\n  - key: a\n    cmd: x\n    cache:\n      policy: on_change\n      paths:\n",
            "        - src/{n}/**/*.rs\n",
            ""
        ),
    ),
    yaml(
        "wrong types",
        numbered!(
            "steps:\n",
            "  - {{key: {n}, cmd: [a], image: {{b: c}}, timeout_seconds: x, env: 1, depends_on: {{}}}}\n",
            ""
        ),
    ),
    yaml(
        "numbers",
        numbered!("steps:\n", "  - {{key: s{n}, cmd: x, timeout_seconds: 99999999999999999999999{n}}}\n", ""),
    ),
    yaml("one long number", repeated!("timeout_seconds: ", "9", "\nsteps:\n  - {key: a, cmd: x}\n")),
    yaml("empty values", repeated!("steps:\n", "  - key:\n    cmd:\n    image:\n    env:\n", "")),
    yaml("empty values far apart", |bytes| {
        let blanks = "\n".repeat(bytes.isqrt());
        same(bytes, "steps:\n", &format!("  - key:\n{blanks}    cmd:\n{blanks}"), "")
    }),
    yaml(
        "many lines after empty values",
        repeated!("steps:\n  - key:\n", "\n", "    cmd:\n    image:\n    env:\n    label:\n"),
    ),
    yaml("yes and no", repeated!("steps:\n", "  - {key: yes, cmd: no, label: on}\n", "")),
    yaml("lists that are texts", repeated!("steps:\n", "  - {key: a, cmd: x, artifacts: 'a, b, c'}\n", "")),
    yaml("relative folders", numbered!("steps:\n", "  - {{key: s{n}, cmd: x, workdir: src/{n}}}\n", "")),
    yaml("long texts in lists", |bytes| {
        same(bytes, "steps:\n  - key: a\n    cmd: x\n    artifacts:\n", &format!("      - {}\n", "x".repeat(9_000)), "")
    }),
    // Documents, comments, lines.
    yaml("documents", repeated!("", "---\nsteps:\n  - {key: a, cmd: x}\n", "")),
    yaml("empty documents", repeated!("", "---\n", "")),
    yaml("documents that are words", repeated!("", "---\nword\n", "")),
    yaml("broken documents", repeated!("", "---\nsteps: [\n", "")),
    yaml("document ends", repeated!(STEP, "...\n", "")),
    yaml("directives", repeated!("", "%YAML 1.2\n", "---\nsteps: []\n")),
    yaml("tag directives", numbered!("", "%TAG !e{n}! tag:example.com,2000:\n", "---\nsteps: []\n")),
    yaml("tags", repeated!("x-a:\n", "  - !!str a\n", STEP)),
    yaml("long tags", |bytes| same(bytes, "x-a:\n", &format!("  - !{} a\n", "t".repeat(900)), STEP)),
    yaml("comments", repeated!(STEP, "# a comment\n", "")),
    yaml(
        "comments that silence",
        repeated!("steps:\n", "  # pipelens: ignore unknown-key\n  - {key: a, cmd: x, unknown: 1}\n", ""),
    ),
    yaml(
        "one comment that silences much",
        repeated!("steps:\n  # pipelens: ignore", " unknown-key", "\n  - {key: a, cmd: x}\n"),
    ),
    yaml("one line with much to silence", |bytes| {
        let codes = " nothing".repeat(bytes / 24);
        let keys: String = (0..bytes / 16).map(|n| format!("u{n}: 1, ")).collect();
        format!("steps:\n  # pipelens: ignore{codes}\n  - {{{keys}key: a, cmd: x}}\n")
    }),
    yaml("blank lines", repeated!(STEP, "\n", "")),
    yaml("blank lines before", repeated!("", "\n", STEP)),
    yaml("blanks in lines", repeated!(STEP, "          \n", "")),
    yaml("one long line of blanks", repeated!(STEP, " ", "\n")),
    yaml("one long line", repeated!("", "x", "")),
    yaml("one long line of words", repeated!("", "word ", "")),
    yaml("one long line of steps", numbered!("{steps: [", "{{key: s{n}, cmd: x}}, ", "{key: z, cmd: x}]}")),
    yaml(
        "one long line of broken steps",
        numbered!("{steps: [", "{{key s{n}, cmd: x, unknown{n}: 1}}, ", "{key: z, cmd: x}]}"),
    ),
    yaml(
        "one long line of wide letters",
        numbered!("{steps: [", "{{key: '𝄞é{n}', cmd: x, depends_on: [nothing]}}, ", "{key: z, cmd: x}]}"),
    ),
    yaml("carriage returns", repeated!("steps:\r\n", "  - {key: a, cmd: x}\r\n", "")),
    yaml("lone carriage returns", repeated!("steps:\r", "  - {key: a, cmd: x}\r", "")),
    yaml("tabs", repeated!(STEP, "\tkey: a\n", "")),
    yaml("tabs alone", repeated!("", "\t", "")),
    yaml("byte order marks", repeated!("", "\u{feff}", STEP)),
    yaml("zeros", repeated!("", "\0", "")),
    yaml("zeros in values", repeated!(STEP, "    label: \"\0\"\n", "")),
    yaml(
        "escapes of a terminal",
        repeated!("steps:\n", "  - {key: \"\\e[31m\", cmd: \"\\e]0;x\\a\", label: \"\u{202e}\"}\n", ""),
    ),
    yaml("deep indentation", |bytes| {
        let mut text = String::new();
        for depth in 0.. {
            if text.len() >= bytes {
                break;
            }
            writeln!(text, "{}a:", " ".repeat(depth)).expect("a string takes all");
        }
        text
    }),
    yaml("dashes in dashes", repeated!("", "- ", "a\n")),
    yaml("question marks", repeated!("", "? ", "a\n")),
    yaml("colons", repeated!("", ": ", "a\n")),
    // Brackets and quotes.
    yaml("square brackets", repeated!("", "[", "")),
    yaml("square brackets after steps", repeated!("steps: ", "[", "")),
    yaml("curly brackets", repeated!("", "{", "")),
    yaml("curly and square brackets", repeated!("", "[{a: ", "")),
    yaml("mappings in mappings", repeated!("", "{a: ", "")),
    yaml("square brackets on lines", repeated!("", "[\n", "")),
    yaml("closing brackets", repeated!("", "]", "")),
    yaml("closing brackets on lines", repeated!("", "]\n", "")),
    yaml("open brackets of steps", repeated!("steps:\n", "  - key: [\n", "")),
    yaml("brackets in pairs", repeated!("x: [", "[],", "]\n")),
    yaml("deep brackets in a list", |bytes| {
        let deep = format!("  - {}{}\n", "[".repeat(100), "]".repeat(100));
        same(bytes, "x-a:\n", &deep, STEP)
    }),
    yaml("brackets that do not match", repeated!("", "[}", "")),
    yaml("open quotes", repeated!("steps:\n", "  - key: \"a\n    cmd: x\n", "")),
    yaml("open single quotes", repeated!("steps:\n", "  - key: 'a\n    cmd: x\n", "")),
    yaml("quotes alone", repeated!("", "\"", "")),
    yaml("quotes on lines", repeated!("", "\"\n", "")),
    yaml("single quotes alone", repeated!("", "'", "")),
    yaml("three quotes", repeated!("", "\"\"\" ", "")),
    yaml("bad escapes", repeated!("steps:\n", "  - key: \"\\q\"\n", "")),
    yaml("one text of escapes", repeated!("steps:\n  - key: a\n    cmd: \"", "\\x41\\n", "\"\n")),
    // Broken on every line.
    yaml("bare words", repeated!("", "word\n", "")),
    yaml("bare words among keys", repeated!("a: b\n", "word\n", "")),
    yaml("bare words in steps", repeated!("steps:\n", "  - key: a\n    word\n", "")),
    yaml("colons again", repeated!("steps:\n", "  - key: a: b: c\n", "")),
    yaml("missing spaces", repeated!("steps:\n", "  - key:a\n    cmd:x\n", "")),
    yaml("dashes without a space", repeated!("steps:\n", "  -key: a\n", "")),
    yaml("lost dashes", repeated!("steps:\n  - key: a\n    cmd: x\n", "    key: a\n    cmd: x\n  - key: b\n", "")),
    yaml("indentation that fits nothing", repeated!("steps:\n", "  - key: a\n   cmd: x\n     image: b\n", "")),
    yaml("reserved letters", repeated!("steps:\n", "  - key: @a\n    cmd: `b`\n", "")),
    yaml("percent signs", repeated!("", "%\n", "")),
    yaml("asterisks", repeated!("", "* ", "")),
    yaml("ampersands", repeated!("", "&", "")),
    yaml("exclamation marks", repeated!("", "! ", "")),
    yaml("block headers", repeated!("steps:\n", "  - key: |x\n", "")),
    yaml("pipes", repeated!("", "|\n", "")),
    yaml(
        "merge conflicts",
        numbered!(
            "steps:\n",
            "<<<<<<< a\n  - {{key: a{n}, cmd: x}}\n=======\n  - {{key: b{n}, cmd: x}}\n>>>>>>> b\n",
            ""
        ),
    ),
    yaml("open merge conflicts", repeated!("steps:\n", "<<<<<<< a\n", "")),
    yaml(
        "broken at the end of a long block",
        repeated!("steps:\n  - key: a\n    env:\n", "      A: b\n", "      word\n    cmd: x\n"),
    ),
    yaml(
        "broken at the start of a long block",
        repeated!("steps:\n  - key: a\n    env:\n      word\n", "      A: b\n", "    cmd: x\n"),
    ),
    yaml(
        "broken with unknown names",
        numbered!("steps:\n  word\n", "  - {{key: s{n}, cmd: x, depends_on: [nothing{n}], what: 1}}\n", ""),
    ),
    yaml("broken with missing keys", repeated!("steps:\n  word\n", "  - what: x\n    why: y\n", "")),
    yaml("broken with misplaced keys", repeated!("steps:\n", "  - policy: x\n    why: y\n", "  word\n")),
    yaml("broken twelve times", |bytes| {
        let block = "  - {key: a, cmd: x, what: 1}\n".repeat(bytes / 30 / 12);
        (0..12).map(|_| format!("steps:\n{block}  - key: \"a\n")).collect()
    }),
    yaml("broken in one long line", repeated!("steps: [a b: c: d, ", "{x: y z: w}, ", "\n")),
    // JSON.
    json("bare words in JSON", repeated!("{\"steps\": [\n", "word\n", "]}")),
    json("bare words alone", repeated!("{", "word ", "}")),
    json("bare words on lines", repeated!("{\n", "word\n", "}\n")),
    json("bare words with quotes", repeated!("{\n", "\"word\"\n", "}\n")),
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
    // Commands.
    yaml("open substitutions", repeated!("steps:\n  - key: a\n    cmd: '", "$(", "'\n")),
    yaml("open variables", repeated!("steps:\n  - key: a\n    cmd: '", "${", "'\n")),
    yaml("open brackets in a command", repeated!("steps:\n  - key: a\n    cmd: '", "(", "'\n")),
    yaml("backticks", repeated!("steps:\n  - key: a\n    cmd: '", "`", "'\n")),
    yaml("quotes and substitutions", repeated!("steps:\n  - key: a\n    cmd: '", "\"$(", "'\n")),
    yaml("arithmetic", repeated!("steps:\n  - key: a\n    cmd: '", "$((1+", "'\n")),
    yaml("ifs", repeated!("steps:\n  - key: a\n    cmd: '", "if a; then ", "'\n")),
    yaml("closed ifs", repeated!("steps:\n  - key: a\n    cmd: '", "if a; then b; fi; ", "'\n")),
    yaml("cases", repeated!("steps:\n  - key: a\n    cmd: 'case a in ", "a|b) c ;; ", "'\n")),
    yaml("here-documents", repeated!("steps:\n  - key: a\n    cmd: |\n", "      cat <<E\n      x\n      E\n", "")),
    yaml("open here-documents", repeated!("steps:\n  - key: a\n    cmd: |\n", "      cat <<E <<F\n", "")),
    yaml("here-documents on one line", repeated!("steps:\n  - key: a\n    cmd: |\n      cat", " <<E", "\n      E\n")),
    yaml(
        "comments in a command",
        repeated!("steps:\n  - key: a\n    cmd: |\n      cat <<E\n      E\n", "      # '\n", ""),
    ),
    yaml(
        "comments on one line",
        repeated!("steps:\n  - key: a\n    cmd: |\n      cat <<E\n      E\n      # ", " #", "\n"),
    ),
    yaml("assignments", repeated!("steps:\n  - key: a\n    cmd: '", "A=$B ", "'\n")),
    yaml("one long assignment", repeated!("steps:\n  - key: a\n    cmd: 'A=", "$B$(c)", "'\n")),
    yaml("one long line of a command", repeated!("steps:\n  - key: a\n    cmd: ", "make all; ", "\n")),
    yaml("a folded command", repeated!("steps:\n  - key: a\n    cmd: >\n", "      make all &&\n\n", "")),
    yaml("a command of paths", repeated!("steps:\n  - key: a\n    cmd: |\n", "      cat src/a/b.rs\n", "")),
    yaml("commands that cannot be read", numbered!("steps:\n", "  - {{key: s{n}, cmd: 'echo ('}}\n", "")),
    yaml("long commands that cannot be read", |bytes| {
        let command = "echo é; ".repeat(6_000);
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: '{command} )'}}").expect("a string takes all")
        })
    }),
    yaml("commands near the limit", |bytes| {
        let command = "a $(b \"c $(d)\") <(e) ${f:-g} && ".repeat(1_900);
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: '{command} x'}}").expect("a string takes all")
        })
    }),
    yaml("nested commands near the limit", |bytes| {
        let command = format!("{}x{}; ", "$(".repeat(38), ")".repeat(38)).repeat(500);
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: '{command} x'}}").expect("a string takes all")
        })
    }),
    yaml("nested quotes near the limit", |bytes| {
        let command = format!("{}x{}; ", "\"$(".repeat(20), ")\"".repeat(20)).repeat(600);
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: '{command} x'}}").expect("a string takes all")
        })
    }),
    yaml("nested variables near the limit", |bytes| {
        let command = format!("{}x{}; ", "${a:-".repeat(30), "}".repeat(30)).repeat(300);
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: '{command} x'}}").expect("a string takes all")
        })
    }),
    yaml("nested brackets near the limit", |bytes| {
        let command = format!("{}x{}; ", "( ".repeat(38), ")".repeat(38)).repeat(400);
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: '{command} x'}}").expect("a string takes all")
        })
    }),
    yaml("nested functions near the limit", |bytes| {
        let command = format!("{}x{}; ", "f() { ".repeat(38), "; }".repeat(38)).repeat(150);
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: '{command} x'}}").expect("a string takes all")
        })
    }),
    yaml("extended patterns", |bytes| {
        let command = "echo @(a|b|!(c)) [[ $a =~ (b|c)+ ]]; ".repeat(1_500);
        fill(bytes, "steps:\n", "", |text, n| {
            writeln!(text, "  - {{key: s{n}, cmd: '{command} x'}}").expect("a string takes all")
        })
    }),
];
