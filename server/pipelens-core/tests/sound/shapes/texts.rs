//! Documents, lines, brackets and quotes, whole and broken.

use std::fmt::Write as _;

use super::generate::{STEP, Shape, fill, numbered, repeated, same, yaml};

pub(super) const SHAPES: &[Shape] = &[
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
        "comments that silence one after another",
        repeated!("steps:\n", "  # pipelens: ignore unknown-key\n", "  - {key: a, cmd: x}\n"),
    ),
    yaml(
        "comments that silence in a command",
        repeated!("steps:\n  - key: a\n    cmd: |\n", "      # pipelens: ignore shell-syntax\n", "      make\n"),
    ),
    yaml("lists with brackets on lines of their own", |bytes| {
        same(
            bytes,
            "steps:\n  - key: a\n    cmd: x\n    depends_on: [\n",
            "    ]\n  - {key: b,\n    cmd: x,\n    artifacts: [\n      x,\n    ]\n    }\n",
            "",
        )
    }),
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
];
