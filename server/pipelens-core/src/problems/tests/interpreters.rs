//! Shells and interpreters.

use expect_test::expect;

use super::{check, check_lines};

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

#[test]
fn a_wrong_argument_of_php_has_the_places_of_the_call_and_of_the_function() {
    check_lines(
        "PHP Fatal error:  Uncaught TypeError: foo(): Argument #1 ($x) must be of type int, string given, \
            called in /workspace/a.php on line 9 and defined in /workspace/b.php:3\n\
            Stack trace:\n#0 /workspace/a.php(9): foo('x')\n#1 {main}\n  thrown in /workspace/b.php on line 3\n",
        &expect![[r#"
            /workspace/a.php:9 < /workspace/b.php:3 Error php -: Uncaught TypeError: foo(): Argument #1 ($x) must be of type int, string given
        "#]],
    );
}

#[test]
fn a_message_of_php_with_several_lines_has_its_place_at_the_end() {
    check_lines(
        "PHP Fatal error:  Uncaught Exception: first line\nsecond line in /workspace/a.php:3\nStack trace:\n\
            #0 {main}\n  thrown in /workspace/a.php on line 3\n",
        &expect![[r#"
            /workspace/a.php:3 Error php -: Uncaught Exception: first line
        "#]],
    );
}
