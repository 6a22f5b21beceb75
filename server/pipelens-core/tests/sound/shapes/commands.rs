//! Shell commands.

use std::fmt::Write as _;

use super::generate::{Shape, fill, numbered, repeated, same, yaml};

pub(super) const SHAPES: &[Shape] = &[
    // Commands.
    yaml("open substitutions", repeated!("steps:\n  - key: a\n    cmd: '", "$(", "'\n")),
    yaml("open variables", repeated!("steps:\n  - key: a\n    cmd: '", "${", "'\n")),
    yaml("open brackets in a command", repeated!("steps:\n  - key: a\n    cmd: '", "(", "'\n")),
    yaml("subscripts", repeated!("steps:\n  - key: a\n    cmd: '", "[", "'\n")),
    yaml("subscripts of a name", repeated!("steps:\n  - key: a\n    cmd: 'a", "[b", "'\n")),
    yaml("braces in one word", repeated!("steps:\n  - key: a\n    cmd: 'x", "{a", "'\n")),
    yaml("commands of bash", repeated!("steps:\n  - key: a\n    cmd: |\n", "      declare -a x\n", "")),
    yaml("files of processes", repeated!("steps:\n  - key: a\n    cmd: '", "cat <(a) ", "'\n")),
    yaml("expressions of another system", repeated!("steps:\n  - key: a\n    cmd: '", "${{ a.b ", "'\n")),
    yaml("lines that can fail", repeated!("steps:\n  - key: a\n    cmd: |\n", "      A=b\n", "      make\n")),
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
