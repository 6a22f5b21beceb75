//! Linters and type checkers.

use expect_test::expect;

use super::{check, check_lines};

#[test]
fn sample_eslint() {
    check(
        &["eslint.txt", "eslint-colour.txt"],
        &expect![[r#"
        /workspace/ts/src/a.js:1:7 Error eslint no-unused-vars: 'unused' is assigned a value but never used
        /workspace/ts/src/a.js:2:5 Error eslint no-undef: 'document' is not defined
        /workspace/ts/src/a.js:2:20 Warning eslint eqeqeq: Expected '===' and instead saw '=='
        /workspace/ts/src/a.js:2:31 Error eslint no-undef: 'missing' is not defined
        /workspace/ts/src/b.js:1:1 Error eslint -: Parsing error: The keyword 'let' is reserved
    "#]],
    );
}

#[test]
fn sample_go_vet() {
    check(
        &["go-vet.txt"],
        &expect![[r#"
            (example.com/broken/vet) vet/vet.go:5:12 Error go -: fmt.Printf format %d has arg "x" of wrong type string
        "#]],
    );
}

#[test]
fn sample_mypy_pretty() {
    check(
        &["mypy-pretty.txt"],
        &expect![[r#"
            app/calc.py:6:16-6:30 Error mypy name-defined: Name "undefined_name" is not defined
            app/calc.py:10:12-10:13 Error mypy return-value: Incompatible return value type (got "int", expected "str")
        "#]],
    );
}

#[test]
fn sample_mypy() {
    check(
        &["mypy.txt"],
        &expect![[r#"
        app/calc.py:6 Error mypy name-defined: Name "undefined_name" is not defined
        app/calc.py:10 Error mypy return-value: Incompatible return value type (got "int", expected "str")
    "#]],
    );
}

#[test]
fn sample_php_lint() {
    check(
        &["php-lint.txt"],
        &expect![[r#"
        syntax.php:2 Error php -: syntax error, unexpected token "{", expecting variable
    "#]],
    );
}

#[test]
fn sample_ruff_concise() {
    check(
        &["ruff-concise.txt"],
        &expect![[r#"
        app/calc.py:1:1 Error ruff I001: Import block is un-sorted or un-formatted
        app/calc.py:1:8 Error ruff F401: `os` imported but unused
        app/calc.py:2:8 Error ruff F401: `json` imported but unused
        app/calc.py:6:16 Error ruff F821: Undefined name `undefined_name`
        run.py:1:1 Error ruff I001: Import block is un-sorted or un-formatted
        tests/test_syntax.py:1:12 Error ruff invalid-syntax: Expected a parameter or the end of the parameter list
        tests/test_syntax.py:1:13 Error ruff invalid-syntax: Expected `)`, found newline
    "#]],
    );
}

#[test]
fn sample_ruff_github() {
    check(
        &["ruff-github.txt"],
        &expect![[r#"
        /workspace/py/app/calc.py:1 Error ruff I001: Import block is un-sorted or un-formatted
              help: Organize imports
        /workspace/py/app/calc.py:1:8-1:10 Error ruff F401: `os` imported but unused
              help: Remove unused import: `os`
        /workspace/py/app/calc.py:2:8-2:12 Error ruff F401: `json` imported but unused
              help: Remove unused import: `json`
        /workspace/py/app/calc.py:6:16-6:30 Error ruff F821: Undefined name `undefined_name`
        /workspace/py/run.py:1:1-1:11 Error ruff I001: Import block is un-sorted or un-formatted
              help: Organize imports
        /workspace/py/tests/test_syntax.py:1:12-1:13 Error ruff invalid-syntax: Expected a parameter or the end of the parameter list
        /workspace/py/tests/test_syntax.py:1 Error ruff invalid-syntax: Expected `)`, found newline
    "#]],
    );
}

#[test]
fn sample_ruff() {
    check(
        &["ruff.txt"],
        &expect![[r#"
        app/calc.py:1:1 Error ruff I001: Import block is un-sorted or un-formatted
            Organize imports
        app/calc.py:1:8-:10 Error ruff F401: `os` imported but unused
            Remove unused import: `os`
        app/calc.py:2:8-:12 Error ruff F401: `json` imported but unused
            Remove unused import: `json`
        app/calc.py:6:16-:30 Error ruff F821: Undefined name `undefined_name`
        run.py:1:1-:11 Error ruff I001: Import block is un-sorted or un-formatted
            Organize imports
        tests/test_syntax.py:1:12 Error ruff invalid-syntax: Expected a parameter or the end of the parameter list
        tests/test_syntax.py:1:13 Error ruff invalid-syntax: Expected `)`, found newline
    "#]],
    );
}

#[test]
fn sample_shellcheck_gcc() {
    check(
        &["shellcheck-gcc.txt"],
        &expect![[r#"
        a.sh:2:6 Information shellcheck SC2086: Double quote to prevent globbing and word splitting.
        a.sh:3:1 Warning shellcheck SC2164: Use 'cd ... || exit' or 'cd ... || return' in case cd fails.
        a.sh:3:4 Information shellcheck SC2086: Double quote to prevent globbing and word splitting.
        a.sh:4:1 Information shellcheck SC2162: read without -r will mangle backslashes.
        a.sh:5:3 Information shellcheck SC2086: Double quote to prevent globbing and word splitting.
        a.sh:5:11 Warning shellcheck SC3014: In POSIX sh, == in place of = is undefined.
    "#]],
    );
}

#[test]
fn sample_shellcheck() {
    check(
        &["shellcheck.txt", "shellcheck-colour.txt"],
        &expect![[r#"
            a.sh:2:6 Information shellcheck SC2086: Double quote to prevent globbing and word splitting.
            a.sh:3:1-:6 Warning shellcheck SC2164: Use 'cd ... || exit' or 'cd ... || return' in case cd fails.
            a.sh:3:4 Information shellcheck SC2086: Double quote to prevent globbing and word splitting.
            a.sh:4:1-:5 Information shellcheck SC2162: read without -r will mangle backslashes.
            a.sh:5:3-:10 Information shellcheck SC2086: Double quote to prevent globbing and word splitting.
            a.sh:5:11 Warning shellcheck SC3014: In POSIX sh, == in place of = is undefined.
        "#]],
    );
}

#[test]
fn ruff_grouped_by_file() {
    check_lines(
        "app/calc.py:\n  1:1  I001 [*] Import block is un-sorted or un-formatted\n  \
            6:16 F821 Undefined name `x`\n\ntests/test_syntax.py:\n  \
            1:12 invalid-syntax: Expected `)`, found newline\n\nFound 3 errors.\n",
        &expect![[r#"
            app/calc.py:1:1 Error ruff I001: Import block is un-sorted or un-formatted
            app/calc.py:6:16 Error ruff F821: Undefined name `x`
            tests/test_syntax.py:1:12 Error ruff invalid-syntax: Expected `)`, found newline
        "#]],
    );
}

#[test]
fn eslint_with_a_line_for_each_problem() {
    check_lines(
        "/workspace/a.js:1:7: 'unused' is assigned a value but never used. [Error/no-unused-vars]\n\
            /workspace/a.js:2:20: Expected '===' and instead saw '=='. [Warning/eqeqeq]\n\
            /workspace/b.js:1:1: Parsing error: The keyword 'let' is reserved [Error]\n\
            /workspace/c.js: line 1, col 7, Error - 'unused' is assigned a value but never used. (no-unused-vars)\n\
            /workspace/c.js: line 2, col 20, Warning - Expected '===' and instead saw '=='. (eqeqeq)\n\
            /workspace/d.js(2,20): warning eqeqeq : Expected '===' and instead saw '=='.\n",
        &expect![[r#"
            /workspace/a.js:1:7 Error eslint no-unused-vars: 'unused' is assigned a value but never used.
            /workspace/a.js:2:20 Warning eslint eqeqeq: Expected '===' and instead saw '=='.
            /workspace/b.js:1:1 Error eslint -: Parsing error: The keyword 'let' is reserved
            /workspace/c.js:1:7 Error eslint no-unused-vars: 'unused' is assigned a value but never used.
            /workspace/c.js:2:20 Warning eslint eqeqeq: Expected '===' and instead saw '=='.
            /workspace/d.js:2:20 Warning eslint eqeqeq: Expected '===' and instead saw '=='.
        "#]],
    );
}
