//! The output of real tools, and what is found in it. The samples are in `tests/fixtures/problems`; its README says where each comes from.

use std::path::Path;
use std::sync::Arc;

use expect_test::{Expect, expect};

use super::*;

fn read(lines: &str, matchers: &Matchers, command: &str) -> Vec<Problem> {
    let (mut reader, mut found) = (Reader::new(Arc::new(matchers.clone()), command), Vec::new());
    lines.lines().for_each(|line| reader.read(line, &mut found));
    reader.finish(&mut found);
    found
}

fn shown(problems: &[Problem]) -> String {
    let place = |place: &Place| {
        let mut text = format!("{}:{}", place.file, place.line);
        if let Some(column) = place.column {
            text += &format!(":{column}");
        }
        if place.end_line.is_some() || place.end_column.is_some() {
            let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
            text += &format!("-{}:{}", number(place.end_line), number(place.end_column));
        }
        text
    };
    let mut text = String::new();
    for problem in problems {
        let places: Vec<String> = problem.places.iter().map(place).collect();
        text += &format!(
            "{} {:?} {} {}: {}\n",
            places.join(" < "),
            problem.severity,
            problem.tool.as_deref().unwrap_or("?"),
            problem.code.as_deref().unwrap_or("-"),
            problem.message.replace('\n', "\n    "),
        );
        for (related, message) in &problem.related {
            text += &format!("  {}: {message}\n", place(related));
        }
    }
    text
}

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/problems");
    #[expect(clippy::disallowed_methods, reason = "the samples of a test")]
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn check(name: &str, expected: &Expect) {
    expected.assert_eq(&shown(&read(&sample(name), &Matchers::default(), "")));
}

#[test]
fn sample_bash() {
    check(
        "bash.txt",
        &expect![[r#"
        b.sh:3 Error sh -: foo: command not found
        c.sh:3 Error sh -: syntax error: unexpected end of file
    "#]],
    );
}

#[test]
fn sample_cargo_colour() {
    check(
        "cargo-colour.txt",
        &expect![[r#"
        src/main.rs:6:20-:27 Error cargo E0425: cannot find value `missing` in this scope
            not found in this scope
        src/main.rs:1:5-:13 Warning cargo unused_imports: unused import: `std::fmt`
            `#[warn(unused_imports)]` (part of `#[warn(unused)]`) on by default
        src/main.rs:5:23-:30 Error cargo E0308: mismatched types
            expected `u32`, found `&str`
    "#]],
    );
}

#[test]
fn sample_cargo_short() {
    check(
        "cargo-short.txt",
        &expect![[r#"
        src/main.rs:6:20 Error cargo E0425: cannot find value `missing` in this scope: not found in this scope
        src/main.rs:1:5 Warning cargo -: unused import: `std::fmt`
        src/main.rs:5:23 Error cargo E0308: mismatched types: expected `u32`, found `&str`
    "#]],
    );
}

#[test]
fn sample_cargo_test() {
    check(
        "cargo-test.txt",
        &expect![[r#"
        src/lib.rs:9:9 Error cargo -: assertion `left == right` failed: two and two
              left: 6
             right: 4
    "#]],
    );
}

#[test]
fn sample_cargo() {
    check(
        "cargo.txt",
        &expect![[r#"
        src/main.rs:6:20-:27 Error cargo E0425: cannot find value `missing` in this scope
            not found in this scope
        src/main.rs:1:5-:13 Warning cargo unused_imports: unused import: `std::fmt`
            `#[warn(unused_imports)]` (part of `#[warn(unused)]`) on by default
        src/main.rs:5:23-:30 Error cargo E0308: mismatched types
            expected `u32`, found `&str`
    "#]],
    );
}

#[test]
fn sample_clang() {
    check(
        "clang.txt",
        &expect![[r#"
        src/util.h:2:5 Error cc -: conflicting types for 'helper'
          src/util.h:1:5: previous declaration is here
        src/main.c:5:13 Error cc -: use of undeclared identifier 'two'
        src/main.c:10:20 Warning cc -Wformat: format specifies type 'char *' but the argument has type 'int'
        src/main.c:10:22 Error cc -: expected ';' after expression
    "#]],
    );
}

#[test]
fn sample_dash() {
    check(
        "dash.txt",
        &expect![[r#"
        b.sh:3 Error sh -: foo: not found
        c.sh:3 Error sh -: Syntax error: end of file unexpected (expecting "fi")
    "#]],
    );
}

#[test]
fn sample_eslint_colour() {
    check(
        "eslint-colour.txt",
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
fn sample_eslint() {
    check(
        "eslint.txt",
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
fn sample_gcc_colour() {
    check(
        "gcc-colour.txt",
        &expect![[r#"
        src/util.h:2:5-:11 Error cc -: conflicting types for ‘helper’; have ‘int(char *)’
          src/util.h:1:5: previous declaration of ‘helper’ with type ‘int(int)’
        src/main.c:5:20-:23 Error cc -: ‘two’ undeclared (first use in this function)
          src/main.c:5:20: each undeclared identifier is reported only once for each function it appears in
        src/main.c:10:14 Warning cc -Wformat=: format ‘%s’ expects argument of type ‘char *’, but argument 2 has type ‘int’
        src/main.c:10:22 Error cc -: expected ‘;’ before ‘return’
        src/main.c:9:9-:15 Warning cc -Wunused-variable: unused variable ‘unused’
        src/main.c:6:1 Warning cc -Wreturn-type: control reaches end of non-void function
    "#]],
    );
}

#[test]
fn sample_gcc() {
    check(
        "gcc.txt",
        &expect![[r#"
        src/util.h:2:5-:11 Error cc -: conflicting types for ‘helper’; have ‘int(char *)’
          src/util.h:1:5: previous declaration of ‘helper’ with type ‘int(int)’
        src/main.c:5:20-:23 Error cc -: ‘two’ undeclared (first use in this function)
          src/main.c:5:20: each undeclared identifier is reported only once for each function it appears in
        src/main.c:10:14 Warning cc -Wformat=: format ‘%s’ expects argument of type ‘char *’, but argument 2 has type ‘int’
        src/main.c:10:22 Error cc -: expected ‘;’ before ‘return’
        src/main.c:9:9-:15 Warning cc -Wunused-variable: unused variable ‘unused’
        src/main.c:6:1 Warning cc -Wreturn-type: control reaches end of non-void function
    "#]],
    );
}

#[test]
fn sample_go_build() {
    check(
        "go-build.txt",
        &expect![[r#"
        ./main.go:5:2 Error go -: imported and not used: "os"
        ./main.go:9:14 Error go -: cannot use "seven" (untyped string constant) as int value in variable declaration
        ./main.go:10:14 Error go -: undefined: missing
    "#]],
    );
}

#[test]
fn sample_go_test() {
    check(
        "go-test.txt",
        &expect![[r#"
            calc_test.go:7 Error go -: Twice(2) = 6,
                want 4
            /usr/lib/go-1.19/src/testing/testing.go:1493 < /usr/lib/go-1.19/src/testing/testing.go:1446 < /workspace/go/calc/calc_test.go:13 < /usr/lib/go-1.19/src/runtime/panic.go:884 < /usr/lib/go-1.19/src/testing/testing.go:1399 < /usr/lib/go-1.19/src/testing/testing.go:1396 Error go -: runtime error: invalid memory address or nil pointer dereference
        "#]],
    );
}

#[test]
fn sample_go_vet() {
    check(
        "go-vet.txt",
        &expect![[r#"
        vet/vet.go:5:12 Error go -: fmt.Printf format %d has arg "x" of wrong type string
    "#]],
    );
}

#[test]
fn sample_javac_lint() {
    check(
        "javac-lint.txt",
        &expect![[r#"
        src/main/java/Other.java:4:5 Warning javac rawtypes: found raw type: List
              missing type arguments for generic class List<E>
              where E is a type-variable:
        src/main/java/Other.java:4:20 Warning javac rawtypes: found raw type: ArrayList
              missing type arguments for generic class ArrayList<E>
              where E is a type-variable:
        src/main/java/Other.java:5:23 Warning javac unchecked: unchecked call to add(E) as a member of the raw type List
              where E is a type-variable:
        src/main/java/Other.java:5:36 Error javac -: incompatible types: String cannot be converted to int
        src/main/java/Other.java:5:45 Error javac -: cannot find symbol
              symbol:   method missing()
              location: class Other
    "#]],
    );
}

#[test]
fn sample_javac() {
    check(
        "javac.txt",
        &expect![[r#"
        src/main/java/App.java:4:36 Error javac -: ';' expected
    "#]],
    );
}

#[test]
fn sample_ld() {
    check(
        "ld.txt",
        &expect![[r#"
        /workspace/c/src/link.c:1 Error ld -: undefined reference to `twice'
    "#]],
    );
}

#[test]
fn sample_make_error() {
    check(
        "make-error.txt",
        &expect![[r#"
        bad.mk:2 Error make -: missing separator.  Stop.
    "#]],
    );
}

#[test]
fn sample_make() {
    check(
        "make.txt",
        &expect![[r#"
        util.h:2:5-:11 Error cc -: conflicting types for ‘helper’; have ‘int(char *)’
          util.h:1:5: previous declaration of ‘helper’ with type ‘int(int)’
        main.c:5:20-:23 Error cc -: ‘two’ undeclared (first use in this function)
          main.c:5:20: each undeclared identifier is reported only once for each function it appears in
        main.c:10:14 Warning cc -Wformat=: format ‘%s’ expects argument of type ‘char *’, but argument 2 has type ‘int’
        main.c:10:22 Error cc -: expected ‘;’ before ‘return’
        main.c:9:9-:15 Warning cc -Wunused-variable: unused variable ‘unused’
        main.c:6:1 Warning cc -Wreturn-type: control reaches end of non-void function
    "#]],
    );
}

#[test]
fn sample_minitest() {
    check(
        "minitest.txt",
        &expect![[r#"
        test_calc.rb:9 Error ruby -: NoMethodError: undefined method `upcase' for nil:NilClass
        test_calc.rb:5 Error ruby -: Expected: 4
              Actual: 6
    "#]],
    );
}

#[test]
fn sample_mypy_pretty() {
    check(
        "mypy-pretty.txt",
        &expect![[r#"
            app/calc.py:6:16-6:30 Error mypy name-defined: Name "undefined_name" is not defined
            app/calc.py:10:12-10:13 Error mypy return-value: Incompatible return value type (got "int", expected "str")
        "#]],
    );
}

#[test]
fn sample_mypy() {
    check(
        "mypy.txt",
        &expect![[r#"
        app/calc.py:6 Error mypy name-defined: Name "undefined_name" is not defined
        app/calc.py:10 Error mypy return-value: Incompatible return value type (got "int", expected "str")
    "#]],
    );
}

#[test]
fn sample_node_syntax() {
    check(
        "node-syntax.txt",
        &expect![[r#"
        /workspace/ts/src/syntax.js:1 Error node -: SyntaxError: Unexpected token ';'
            Node.js v20.20.2
    "#]],
    );
}

#[test]
fn sample_node() {
    check(
        "node.txt",
        &expect![[r#"
        /workspace/ts/src/throws.js:4:1 < /workspace/ts/src/throws.js:2:9 Error node -: TypeError: wrong kind
    "#]],
    );
}

#[test]
fn sample_perl() {
    check(
        "perl.txt",
        &expect![[r#"
        p.pl:3 Error perl -: wrong
    "#]],
    );
}

#[test]
fn sample_php_lint() {
    check(
        "php-lint.txt",
        &expect![[r#"
        syntax.php:2 Error php -: syntax error, unexpected token "{", expecting variable
    "#]],
    );
}

#[test]
fn sample_php() {
    check(
        "php.txt",
        &expect![[r#"
        /workspace/php/run.php:3 Warning php -: Undefined variable $missing
        /workspace/php/run.php:3 Error php -: Uncaught Error: Call to a member function value() on null
    "#]],
    );
}

#[test]
fn sample_pytest_colour() {
    check(
        "pytest-colour.txt",
        &expect![[r#"
        /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:528 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/pathlib.py:640 < /home/user/.pyenv/versions/3.11.7/lib/python3.11/importlib/__init__.py:126 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/assertion/rewrite.py:176 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/assertion/rewrite.py:339 < /home/user/.pyenv/versions/3.11.7/lib/python3.11/ast.py:50 < /workspace/py/tests/test_syntax.py:1 Error pytest -: SyntaxError: invalid syntax
    "#]],
    );
}

#[test]
fn sample_pytest_line() {
    check(
        "pytest-line.txt",
        &expect![[r#"
        /workspace/py/tests/test_calc.py:6 Error pytest -: AssertionError: the name is wrong
        /workspace/py/app/calc.py:6 Error pytest -: NameError: name 'undefined_name' is not defined
    "#]],
    );
}

#[test]
fn sample_pytest_native() {
    check(
        "pytest-native.txt",
        &expect![[r#"
        /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:361 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:250 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_caller.py:197 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_manager.py:183 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:195 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/logging.py:878 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/capture.py:906 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/skipping.py:268 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:147 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:184 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:1798 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_caller.py:197 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_manager.py:183 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:195 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:147 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:187 < /workspace/py/tests/test_calc.py:6 Error python -: AssertionError: the name is wrong
        /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:361 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:250 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_caller.py:197 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_manager.py:183 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:195 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/logging.py:878 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/capture.py:906 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/skipping.py:268 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:147 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:184 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:1798 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_caller.py:197 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_manager.py:183 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:195 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:147 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:187 < /workspace/py/tests/test_calc.py:10 < /workspace/py/app/calc.py:6 Error python -: NameError: name 'undefined_name' is not defined
    "#]],
    );
}

#[test]
fn sample_pytest_short() {
    check(
        "pytest-short.txt",
        &expect![[r#"
        tests/test_calc.py:6 Error pytest -: AssertionError: the name is wrong
            assert 7 == 'seven'
        tests/test_calc.py:10 < app/calc.py:6 Error pytest -: NameError: name 'undefined_name' is not defined
    "#]],
    );
}

#[test]
fn sample_pytest_syntax() {
    check(
        "pytest-syntax.txt",
        &expect![[r#"
        /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:528 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/pathlib.py:640 < /home/user/.pyenv/versions/3.11.7/lib/python3.11/importlib/__init__.py:126 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/assertion/rewrite.py:176 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/assertion/rewrite.py:339 < /home/user/.pyenv/versions/3.11.7/lib/python3.11/ast.py:50 < /workspace/py/tests/test_syntax.py:1 Error pytest -: SyntaxError: invalid syntax
    "#]],
    );
}

#[test]
fn sample_pytest() {
    check(
        "pytest.txt",
        &expect![[r#"
        tests/test_calc.py:6 Error pytest -: AssertionError: the name is wrong
            assert 7 == 'seven'
        tests/test_calc.py:10 < app/calc.py:6 Error pytest -: NameError: name 'undefined_name' is not defined
    "#]],
    );
}

#[test]
fn sample_python_syntax() {
    check(
        "python-syntax.txt",
        &expect![[r#"
        /workspace/py/tests/test_syntax.py:1 Error python -: SyntaxError: invalid syntax
    "#]],
    );
}

#[test]
fn sample_python() {
    check(
        "python.txt",
        &expect![[r#"
        /workspace/py/run.py:10 < /workspace/py/run.py:7 < /workspace/py/app/calc.py:6 Error python -: NameError: name 'undefined_name' is not defined
    "#]],
    );
}

#[test]
fn sample_ruby_syntax() {
    check(
        "ruby-syntax.txt",
        &expect![[r#"
        syntax.rb:2 Error ruby -: syntax error, unexpected `if', expecting ')'
    "#]],
    );
}

#[test]
fn sample_ruby_warn() {
    check(
        "ruby-warn.txt",
        &expect![[r#"
            warn.rb:2 Warning ruby -: assigned but unused variable - unused
        "#]],
    );
}

#[test]
fn sample_ruby() {
    check(
        "ruby.txt",
        &expect![[r#"
        run.rb:2 Error ruby -: undefined local variable or method `missing' for main:Object (NameError)
    "#]],
    );
}

#[test]
fn sample_ruff_concise() {
    check(
        "ruff-concise.txt",
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
        "ruff-github.txt",
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
        "ruff.txt",
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
fn sample_rustc() {
    check(
        "rustc.txt",
        &expect![[r#"
        src/main.rs:6:20-:27 Error cargo E0425: cannot find value `missing` in this scope
            not found in this scope
        src/main.rs:1:5-:13 Warning cargo unused_imports: unused import: `std::fmt`
            `#[warn(unused_imports)]` (part of `#[warn(unused)]`) on by default
        src/main.rs:5:23-:30 Error cargo E0308: mismatched types
            expected `u32`, found `&str`
    "#]],
    );
}

#[test]
fn sample_shellcheck_colour() {
    check(
        "shellcheck-colour.txt",
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
fn sample_shellcheck_gcc() {
    check(
        "shellcheck-gcc.txt",
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
        "shellcheck.txt",
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
fn sample_tsc_pretty() {
    check(
        "tsc-pretty.txt",
        &expect![[r#"
            src/app.ts:3:25 Error tsc TS2322: Type 'string' is not assignable to type 'number'.
            src/app.ts:5:12 Error tsc TS2339: Property 'z' does not exist on type 'Point'.
            src/app.ts:7:7-:14 Error tsc TS2322: Type '(p: { x: number; y: string; }) => number' is not assignable to type '(p: Point) => string'.
                  Types of parameters 'p' and 'p' are incompatible.
                    Type 'Point' is not assignable to type '{ x: number; y: string; }'.
                      Types of property 'y' are incompatible.
                        Type 'number' is not assignable to type 'string'.
        "#]],
    );
}

#[test]
fn sample_tsc() {
    check(
        "tsc.txt",
        &expect![[r#"
        src/app.ts:3:25 Error tsc TS2322: Type 'string' is not assignable to type 'number'.
        src/app.ts:5:12 Error tsc TS2339: Property 'z' does not exist on type 'Point'.
        src/app.ts:7:7 Error tsc TS2322: Type '(p: { x: number; y: string; }) => number' is not assignable to type '(p: Point) => string'.
              Types of parameters 'p' and 'p' are incompatible.
                Type 'Point' is not assignable to type '{ x: number; y: string; }'.
                  Types of property 'y' are incompatible.
                    Type 'number' is not assignable to type 'string'.
    "#]],
    );
}

#[test]
fn sample_handmade() {
    check(
        "handmade.txt",
        &expect![[r#"
        Sources/App/main.swift:4:17-:24 Error swiftc -: cannot convert value of type 'String' to specified type 'Int'
        Sources/App/main.swift:5:7 Warning swiftc -: initialization of immutable value 'unused' was never used
        /workspace/src/main/java/App.java:4:28 Error maven -: cannot find symbol
              symbol:   variable missing
              location: class App
        /workspace/src/Main.kt:3:15 Error kotlinc -: Unresolved reference: missing
        Program.cs:5:13 Error dotnet CS0103: The name 'missing' does not exist in the current context
        src/app.js:3:9 Error ? -: no-undef - 'missing' is not defined.
        Dockerfile:3 Warning hadolint DL3008: Pin versions in apt get install
        a.yml:3:1 Error yamllint indentation: too many spaces
        app/models/user.rb:3:5 Information rubocop Style/StringLiterals: Prefer double-quoted strings
        CMakeLists.txt:3 Error cmake -: Cannot find source file:
        main.tf.py:1 Error ruff C0114: Missing module docstring (missing-module-docstring)
        src/sum.test.ts:5:18 Error node -: AssertionError: expected 6 to be 4 // Object.is equality
    "#]],
    );
}

fn own(patterns: Vec<PatternSpec>) -> Result<Matchers, MatcherError> {
    Matchers::new(vec![Matcher::new(Some("mine".to_owned()), Some("warning"), None, patterns)?])
}

fn pattern(expression: &str, groups: &[(Field, usize)], is_loop: bool) -> PatternSpec {
    PatternSpec { expression: expression.to_owned(), groups: groups.to_vec(), is_loop, is_file: false }
}

#[test]
fn matchers_of_the_user_can_have_several_lines_and_a_loop() {
    let matchers = own(vec![
        pattern(r"^FILE (\S+)$", &[(Field::File, 1)], false),
        pattern(
            r"^\s+(\d+),(\d+) (\w+)? ?#(\w+) (.*)$",
            &[(Field::Line, 1), (Field::Column, 2), (Field::Severity, 3), (Field::Code, 4), (Field::Message, 5)],
            true,
        ),
    ])
    .unwrap();
    let lines = "FILE a.x\n  1,2 error #E1 first\n  3,4 #E2 second\nother\n  5,6 #E3 not read\nFILE b.x\n  7,8 info #E4 third\n";
    expect![[r#"
        a.x:1:2 Error mine E1: first
        a.x:3:4 Warning mine E2: second
        b.x:7:8 Information mine E4: third
    "#]]
    .assert_eq(&shown(&read(lines, &matchers, "")));
    let located = own(vec![pattern(
        r"^(\S+)@([\d,]+) (.*)$",
        &[(Field::File, 1), (Field::Location, 2), (Field::Message, 3)],
        false,
    )]);
    expect![[r#"
        a.x:1:2-3:4 Warning mine -: text
    "#]]
    .assert_eq(&shown(&read("a.x@1,2,3,4 text", &located.unwrap(), "")));
}

#[test]
fn a_matcher_that_cannot_be_used_says_why() {
    let why = |patterns| own(patterns).unwrap_err().to_string();
    let file_and_line = [(Field::File, 1), (Field::Line, 2)];
    assert_eq!(why(Vec::new()), "it has 0 patterns, expected 1 to 10");
    assert_eq!(
        why(vec![pattern("(a)", &[(Field::File, 1)], false)]),
        "it needs a group for `file`, and one for `line` or `location`"
    );
    assert_eq!(why(vec![pattern("(a)", &file_and_line, false)]), "the expression `(a)` has no group 2");
    assert_eq!(why(vec![pattern("(a)(b)", &file_and_line, true)]), "`loop` belongs to the last of several patterns");
    assert!(why(vec![pattern("(?=a)(b)", &file_and_line, false)]).ends_with("expressions cannot look ahead or behind"));
    assert!(why(vec![pattern(r"(\w{900}){900}", &file_and_line, false)]).ends_with("it is too large"));
    let long = "a".repeat(3_000);
    assert_eq!(why(vec![pattern(&long, &file_and_line, false)]), "an expression is longer than 2000 bytes");
}

#[test]
fn what_is_printed_twice_is_reported_once_and_there_is_an_end() {
    let twice = "a.c:1:2: error: x\na.c:1:2: error: x\n".repeat(3);
    assert_eq!(read(&twice, &Matchers::default(), "").len(), 1);
    let many: String = (1..2_000).map(|line| format!("a.c:{line}:1: error: x\n")).collect();
    assert_eq!(read(&many, &Matchers::default(), "").len(), MAX_PROBLEMS);
}

#[test]
fn the_command_tells_tools_apart_that_print_alike() {
    let tool = |line: &str, command: &str| read(line, &Matchers::default(), command).remove(0).tool;
    assert_eq!(tool("a.c:1:2: error: x", "clang -c a.c").as_deref(), Some("clang"));
    assert_eq!(tool("a.c:1:2: error: x", "make").as_deref(), Some("cc"));
    assert_eq!(tool("a.py:1:2: F401 x", "flake8 .").as_deref(), Some("flake8"));
    assert_eq!(tool("a.swift:1:2: error: x", "swift build").as_deref(), Some("swiftc"));
    assert_eq!(tool("a.txt:1:2: x", "lint"), None);
}

#[test]
fn lines_that_are_not_about_a_place_are_none() {
    for line in [
        "",
        "12:30:45 started",
        "http://localhost:8080/a",
        "error: could not compile",
        "ok 1 - test",
        "a: b: c",
        "[::1]:80",
    ] {
        assert_eq!(read(line, &Matchers::default(), ""), Vec::new(), "{line}");
    }
}

#[test]
fn four_times_the_output_takes_about_four_times_the_work() {
    // Each of these begins something that is never finished.
    for line in [
        "error: x",
        "E   x",
        "/a/b.js",
        "thread 'x' panicked at a:1:2:",
        "TypeError: x",
        "  File \"a\", line 1",
        "make: Entering directory 'a'",
    ] {
        let text = format!("{line}\n").repeat(3_000);
        assert!(read(&text, &Matchers::default(), "").len() <= MAX_PROBLEMS);
    }
    let line = format!("{}:1:1: x", "a ".repeat(50_000));
    assert!(read(&line, &Matchers::default(), "").len() <= 1);
}
