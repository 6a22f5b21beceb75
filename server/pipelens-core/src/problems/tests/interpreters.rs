//! Shells and interpreters.

use expect_test::expect;

use super::check;

#[test]
fn sample_bash() {
    check(
        &["bash.txt"],
        &expect![[r#"
        b.sh:3 Error sh -: foo: command not found
        c.sh:3 Error sh -: syntax error: unexpected end of file
    "#]],
    );
}

#[test]
fn sample_dash() {
    check(
        &["dash.txt"],
        &expect![[r#"
        b.sh:3 Error sh -: foo: not found
        c.sh:3 Error sh -: Syntax error: end of file unexpected (expecting "fi")
    "#]],
    );
}

#[test]
fn sample_node_syntax() {
    check(
        &["node-syntax.txt"],
        &expect![[r#"
        /workspace/ts/src/syntax.js:1 Error node -: SyntaxError: Unexpected token ';'
            Node.js v20.20.2
    "#]],
    );
}

#[test]
fn sample_node() {
    check(
        &["node.txt"],
        &expect![[r#"
        /workspace/ts/src/throws.js:4:1 < /workspace/ts/src/throws.js:2:9 Error node -: TypeError: wrong kind
    "#]],
    );
}

#[test]
fn sample_perl() {
    check(
        &["perl.txt"],
        &expect![[r#"
        p.pl:3 Error perl -: wrong
    "#]],
    );
}

#[test]
fn sample_php() {
    check(
        &["php.txt"],
        &expect![[r#"
        /workspace/php/run.php:3 Warning php -: Undefined variable $missing
        /workspace/php/run.php:3 Error php -: Uncaught Error: Call to a member function value() on null
    "#]],
    );
}

#[test]
fn sample_python_syntax() {
    check(
        &["python-syntax.txt"],
        &expect![[r#"
        /workspace/py/tests/test_syntax.py:1 Error python -: SyntaxError: invalid syntax
    "#]],
    );
}

#[test]
fn sample_python() {
    check(
        &["python.txt"],
        &expect![[r#"
        /workspace/py/run.py:10 < /workspace/py/run.py:7 < /workspace/py/app/calc.py:6 Error python -: NameError: name 'undefined_name' is not defined
    "#]],
    );
}

#[test]
fn sample_ruby_syntax() {
    check(
        &["ruby-syntax.txt"],
        &expect![[r#"
        syntax.rb:2 Error ruby -: syntax error, unexpected `if', expecting ')'
    "#]],
    );
}

#[test]
fn sample_ruby_warn() {
    check(
        &["ruby-warn.txt"],
        &expect![[r#"
            warn.rb:2 Warning ruby -: assigned but unused variable - unused
        "#]],
    );
}

#[test]
fn sample_ruby() {
    check(
        &["ruby.txt"],
        &expect![[r#"
        run.rb:2 Error ruby -: undefined local variable or method `missing' for main:Object (NameError)
    "#]],
    );
}
