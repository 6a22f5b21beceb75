//! A step of a JSON file is being typed.

use expect_test::expect;
use pipelens_core::Format;

use super::{JSON, check};

#[test]
fn a_missing_comma() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key": "second"
      "cmd": "make second"
    },
"#,
        expect![[r#"
            |      "key": "second"
            |             ^^^^^^^^ syntax: A `,` is missing after this. Add it.
        "#]],
    );
}

#[test]
fn a_missing_value() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key": "second",
      "cmd":
    },
"#,
        expect![[r#"
            |      "cmd":
            |           ^ wrong-type: `cmd` has no value; it must be a string. Add a value, or remove `cmd`.
            |    },
            |    ^ syntax: Something is missing before this bracket. JSON needs a value here.
        "#]],
    );
}

#[test]
fn a_missing_value_before_another() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key":
      "cmd": "make second"
    },
"#,
        expect![[r#"
            |      "key":
            |      ^^^^^^ syntax: A value is missing after this. Add it.
        "#]],
    );
}

#[test]
fn an_unclosed_string() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key": "second",
      "cmd": "make second
    },
"#,
        expect![[r#"
            |      "cmd": "make second
            |             ^^^^^^^^^^^^ syntax: This `"` is never closed. Add `"` at the end.
        "#]],
    );
}

#[test]
fn an_unclosed_key() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key": "second",
      "cm
    },
"#,
        expect![[r#"
            |      "cm
            |      ^^^ syntax: This `"` is never closed. Add `"` at the end.
        "#]],
    );
}

#[test]
fn half_a_key() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key": "second",
      "cmd": "make second",
      ima
    },
"#,
        expect![[r#"
            |      ima
            |      ^^^ syntax: This is YAML, but not JSON: names and strings need double quotes. Correct it, or name the file `.yaml`.
            |      ima
            |      ^^^ unknown-key: Unknown key `ima` in a step; expected one of `key`, `label`, `cmd`, `shell`, `image`, `builds_in`, `depends_on`, `env`, `matrix`, `timeout_seconds`, `workdir`, `cache`, `cache_mounts`, `reuse`, `git`, `runner`, `runner_args`, `artifacts`, `needs_artifacts`, `secrets`, `soft_fail`, `retry`.
        "#]],
    );
}

#[test]
fn an_unclosed_list() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key": "second",
      "cmd": "make second",
      "depends_on": ["first"
    },
"#,
        expect![[r#"
            |      "depends_on": ["first"
            |                    ^ syntax: This bracket is never closed. Add `]`.
        "#]],
    );
}

#[test]
fn a_step_that_is_not_closed() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key": "second",
      "cmd": "make second"
"#,
        expect![[r#"
            |    {
            |    ^ syntax: This bracket is never closed. Add `}`.
        "#]],
    );
}

#[test]
fn a_step_without_a_comma_after() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key": "second",
      "cmd": "make second"
    }
"#,
        expect![[r#"
            |    }
            |    ^ syntax: A `,` is missing after this. Add it.
        "#]],
    );
}

#[test]
fn a_missing_colon() {
    check(
        JSON,
        Format::Json,
        r#"    {
      "key" "second",
      "cmd": "make second"
    },
"#,
        expect![[r#"
            |      "key" "second",
            |      ^^^^^ syntax: A `:` is missing after `"key"`. A key needs one.
        "#]],
    );
}

#[test]
fn merge_conflict_markers() {
    check(
        JSON,
        Format::Json,
        r#"<<<<<<< HEAD
    {"key": "second", "cmd": "make second"},
=======
    {"key": "zweiter", "cmd": "make zweiter"},
>>>>>>> other
"#,
        expect![[r#"
            |<<<<<<< HEAD
            |^^^^^^^^^^^^ syntax: This is a merge conflict. Choose one side and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`.
        "#]],
    );
}

#[test]
fn a_brace_alone() {
    check(
        JSON,
        Format::Json,
        "    {\n",
        expect![[r#"
            |    {
            |    ^ syntax: This bracket is never closed. Add `}`.
        "#]],
    );
}
