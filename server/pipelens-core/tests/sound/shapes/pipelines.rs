//! Pipelines with many keys, references, anchors or values.

use std::fmt::Write as _;

use super::generate::{
    STEP, Shape, dense_cycles, dense_graph, fill, halves, merge_chain, numbered, repeated, same, yaml,
};

pub(super) const SHAPES: &[Shape] = &[
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
    yaml("anchors without an alias", numbered!("", "x-{n}: &a{n} 1\n", STEP)),
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
    // Matrices.
    yaml(
        "values of an axis",
        numbered!("steps:\n  - key: a\n    cmd: x\n    matrix:\n      v:\n", "        - v{n}\n", ""),
    ),
    yaml("the same value again", repeated!("steps:\n  - key: a\n    cmd: x\n    matrix: {v: [a", ", a", "]}\n")),
    yaml("axes", numbered!("steps:\n  - key: a\n    cmd: x\n    matrix:\n", "      a{n}: [1]\n", "")),
    yaml(
        "entries of include",
        numbered!("steps:\n  - key: a\n    cmd: x\n    matrix:\n      include:\n", "        - {{v: a{n}}}\n", ""),
    ),
    yaml(
        "entries of exclude",
        numbered!(
            "steps:\n  - key: a\n    cmd: x\n    matrix:\n      v: [1, 2]\n      exclude:\n",
            "        - {{w: a{n}, v: b}}\n",
            ""
        ),
    ),
    yaml(
        "steps with a matrix",
        numbered!(
            "steps:\n",
            "  - {{key: s{n}, cmd: x, image: 'a:${{{{ matrix.v }}}}', matrix: {{v: [1, 2], w: [3]}}}}\n",
            ""
        ),
    ),
    yaml("steps that share a matrix", |bytes| {
        let values: String = (0..bytes.isqrt() / 2).map(|n| format!("v{n}, ")).collect();
        fill(bytes, &format!("x-d: &d {{v: [{values}z]}}\nsteps:\n"), "", |text, n| {
            writeln!(text, "  - {{matrix: *d, key: s{n}, cmd: x, depends_on: [s0]}}").expect("a string takes all");
        })
    }),
    yaml(
        "references to a matrix",
        numbered!(
            "steps:\n  - {key: a, cmd: x, matrix: {v: [1, 2, 3], w: [1, 2, 3]}}\n",
            "  - {{key: s{n}, cmd: x, depends_on: [a, 'a (1, 2)', 'a (1, {n})']}}\n",
            ""
        ),
    ),
    yaml(
        "expressions of a matrix",
        repeated!(
            "steps:\n  - key: a\n    cmd: x\n    matrix: {v: [1, 2]}\n    label: '",
            "${{ matrix.v }}${{ matrix.nothing }} ",
            "'\n"
        ),
    ),
    yaml(
        "expressions in a command",
        repeated!(
            "steps:\n  - key: a\n    matrix: {v: [1, 2]}\n    cmd: |\n",
            "      x ${{ matrix.v }} $MATRIX_V\n",
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
];
