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

#[test]
fn go_programs_that_stop_or_race() {
    check_lines(
        "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n\
            main.main()\n\t/workspace/main.go:5 +0x2d\nexit status 2\n",
        &expect![[r#"
            /workspace/main.go:5 Error go -: all goroutines are asleep - deadlock!
        "#]],
    );
    check_lines(
        "fatal error: concurrent map writes\n\ngoroutine 9 [running]:\nruntime.fatal()\n\
            \t/usr/lib/go/src/runtime/panic.go:1 +0x2d\n\ngoroutine 1 [runnable]:\n\
            main.main()\n\t/workspace/main.go:12 +0x2d\n\nexit status 2\n",
        &expect![[r#"
            /workspace/main.go:12 < /usr/lib/go/src/runtime/panic.go:1 Error go -: concurrent map writes
        "#]],
    );
    check_lines(
        "==================\nWARNING: DATA RACE\nRead at 0x00c000012345 by goroutine 8:\n  main.main.func1()\n      \
            /workspace/main.go:10 +0x3c\n\nPrevious write at 0x00c000012345 by main goroutine:\n  main.main()\n      \
            /workspace/main.go:13 +0x88\n==================\n",
        &expect![[r#"
            /workspace/main.go:10 Error go -: DATA RACE
        "#]],
    );
}

#[test]
fn swift_programs_that_stop() {
    check_lines(
        "Fatal error: boom: file App/main.swift, line 3\nApp/main.swift:7: Fatal error: Index out of range\n\
            App/main.swift:9: Precondition failed\n",
        &expect![[r#"
            App/main.swift:3 Error swift -: Fatal error: boom
            App/main.swift:7 Error swift -: Fatal error: Index out of range
            App/main.swift:9 Error swift -: Precondition failed
        "#]],
    );
}
