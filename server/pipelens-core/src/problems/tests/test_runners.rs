//! Test runners.

use expect_test::expect;

use super::{check, check_lines};

#[test]
fn sample_cargo_test() {
    check(
        &["cargo-test.txt"],
        &expect![[r#"
        src/lib.rs:9:9 Error cargo -: assertion `left == right` failed: two and two
              left: 6
             right: 4
    "#]],
    );
}

#[test]
fn sample_go_test() {
    check(
        &["go-test.txt"],
        &expect![[r#"
            (example.com/broken/calc) calc_test.go:7 Error go -: Twice(2) = 6,
                want 4
            /usr/lib/go-1.19/src/testing/testing.go:1493 < /usr/lib/go-1.19/src/testing/testing.go:1446 < /workspace/go/calc/calc_test.go:13 < /usr/lib/go-1.19/src/runtime/panic.go:884 < /usr/lib/go-1.19/src/testing/testing.go:1399 < /usr/lib/go-1.19/src/testing/testing.go:1396 Error go -: runtime error: invalid memory address or nil pointer dereference
        "#]],
    );
}

#[test]
fn sample_minitest() {
    check(
        &["minitest.txt"],
        &expect![[r#"
        test_calc.rb:9 Error ruby -: NoMethodError: undefined method `upcase' for nil:NilClass
        test_calc.rb:5 Error ruby -: Expected: 4
              Actual: 6
    "#]],
    );
}

#[test]
fn sample_pytest_syntax() {
    check(
        &["pytest-colour.txt", "pytest-syntax.txt"],
        &expect![[r#"
        /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:528 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/pathlib.py:640 < /home/user/.pyenv/versions/3.11.7/lib/python3.11/importlib/__init__.py:126 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/assertion/rewrite.py:176 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/assertion/rewrite.py:339 < /home/user/.pyenv/versions/3.11.7/lib/python3.11/ast.py:50 < /workspace/py/tests/test_syntax.py:1 Error pytest -: SyntaxError: invalid syntax
    "#]],
    );
}

#[test]
fn sample_pytest_line() {
    check(
        &["pytest-line.txt"],
        &expect![[r#"
        /workspace/py/tests/test_calc.py:6 Error pytest -: AssertionError: the name is wrong
        /workspace/py/app/calc.py:6 Error pytest -: NameError: name 'undefined_name' is not defined
    "#]],
    );
}

#[test]
fn sample_pytest_native() {
    check(
        &["pytest-native.txt"],
        &expect![[r#"
        /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:361 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:250 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_caller.py:197 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_manager.py:183 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:195 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/logging.py:878 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/capture.py:906 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/skipping.py:268 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:147 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:184 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:1798 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_caller.py:197 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_manager.py:183 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:195 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:147 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:187 < /workspace/py/tests/test_calc.py:6 Error python -: AssertionError: the name is wrong
        /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:361 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:250 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_caller.py:197 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_manager.py:183 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:195 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/logging.py:878 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/capture.py:906 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:167 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/skipping.py:268 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:147 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/runner.py:184 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:1798 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_caller.py:197 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_manager.py:183 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:195 < /usr/lib/venv/lib/python3.11/site-packages/pluggy/_execution.py:147 < /usr/lib/venv/lib/python3.11/site-packages/_pytest/python.py:187 < /workspace/py/tests/test_calc.py:10 < /workspace/py/app/calc.py:6 Error python -: NameError: name 'undefined_name' is not defined
    "#]],
    );
}

#[test]
fn sample_pytest() {
    check(
        &["pytest.txt", "pytest-short.txt"],
        &expect![[r#"
        tests/test_calc.py:6 Error pytest -: AssertionError: the name is wrong
            assert 7 == 'seven'
        tests/test_calc.py:10 < app/calc.py:6 Error pytest -: NameError: name 'undefined_name' is not defined
    "#]],
    );
}

#[test]
fn go_says_which_package_a_file_is_in() {
    check_lines(
        "# example.com/x/pkg [example.com/x/pkg.test]\npkg/a.go:3:4: undefined: f\n\n\
            a.go:5:6: other (lint)\n\
            --- FAIL: TestA (0.00s)\n    main_test.go:12: wrong\nFAIL\nFAIL\texample.com/x/a\t0.01s\n\
            --- FAIL: TestB (0.00s)\n    main_test.go:12: wrong\nFAIL\nFAIL\texample.com/x/b\t0.01s\n\
            --- FAIL: TestC (0.00s)\n    main_test.go:12: wrong\n",
        &expect![[r#"
            (example.com/x/pkg) pkg/a.go:3:4 Error go -: undefined: f
            a.go:5:6 Error go lint: other
            (example.com/x/a) main_test.go:12 Error go -: wrong
            (example.com/x/b) main_test.go:12 Error go -: wrong
            main_test.go:12 Error go -: wrong
        "#]],
    );
}

#[test]
fn warnings_of_python_are_warnings() {
    check_lines(
        "/workspace/src/mod.py:8: DeprecationWarning: old\n  warnings.warn(\"old\", DeprecationWarning)\n",
        &expect![[r#"
            /workspace/src/mod.py:8 Warning python -: DeprecationWarning: old
        "#]],
    );
    check_lines(
        "=============================== warnings summary ===============================\n\
            tests/test_a.py::test_x\n  \
            /workspace/src/mod.py:8: DeprecationWarning: old\n    warnings.warn(\"old\")\n\n\
            tests/test_a.py:3\n  \
            /workspace/tests/test_a.py:3: PytestUnknownMarkWarning: Unknown pytest.mark.x - is this a typo?\n    @x\n",
        &expect![[r#"
            /workspace/src/mod.py:8 Warning python -: DeprecationWarning: old
            /workspace/tests/test_a.py:3 Warning python -: PytestUnknownMarkWarning: Unknown pytest.mark.x - is this a typo?
        "#]],
    );
}

#[test]
fn pytest_with_one_line_a_failure() {
    check_lines(
        "=================================== FAILURES ===================================\n\
            /workspace/tests/test_a.py:7: assert 1 == 2\n\
            /workspace/tests/test_a.py:9: DeprecationWarning: old\n\
            /workspace/tests/test_a.py:11: app.Stopped: no more\n\
            =========================== short test summary info ============================\n\
            FAILED tests/test_a.py::test_x - assert 1 == 2\n",
        &expect![[r#"
            /workspace/tests/test_a.py:7 Error pytest -: assert 1 == 2
            /workspace/tests/test_a.py:9 Error pytest -: DeprecationWarning: old
            /workspace/tests/test_a.py:11 Error pytest -: app.Stopped: no more
        "#]],
    );
}

#[test]
fn what_a_failed_test_has_printed_is_no_failure() {
    check_lines(
        "=================================== FAILURES ===================================\n\
            ____________________________________ test_x ____________________________________\n\n    \
            def test_x():\n>       assert f() == 2\nE       assert 1 == 2\nE        +  where 1 = f()\n\n\
            tests/test_a.py:4: AssertionError\n\
            ----------------------------- Captured stderr call -----------------------------\n\
            /workspace/src/mod.py:8: DeprecationWarning: old\n",
        &expect![[r#"
            tests/test_a.py:4 Error pytest -: assert 1 == 2
                +  where 1 = f()
            /workspace/src/mod.py:8 Warning python -: DeprecationWarning: old
        "#]],
    );
}

#[test]
fn a_missing_fixture_is_on_the_test_that_asks_for_it() {
    check_lines(
        "==================================== ERRORS ====================================\n\
            _________________________ ERROR at setup of test_nofix _________________________\n\
            file /workspace/tests/test_a.py, line 3\n  def test_nofix(nofix):\n\
            E       fixture 'nofix' not found\n\
            >       available fixtures: cache, capfd\n\
            >       use 'pytest --fixtures [testpath]' for help on them.\n\n\
            /workspace/tests/test_a.py:3\n",
        &expect![[r#"
            /workspace/tests/test_a.py:3 Error pytest -: fixture 'nofix' not found
        "#]],
    );
}

#[test]
fn phpunit_finds_every_failure_and_error() {
    check_lines(
        "There was 1 error:\n\n1) AppTest::testErr\nError: Call to undefined function foo()\n\n\
            /workspace/src/App.php:3\n/workspace/tests/AppTest.php:20\n\n--\n\n\
            There were 2 failures:\n\n1) AppTest::testOne\nFailed asserting that 1 matches expected 2.\n\n\
            /workspace/tests/AppTest.php:8\n\n\
            2) Tests\\AppTest::testTwo with data set #0 (1)\nFailed asserting that false is true.\n\n\
            /workspace/tests/AppTest.php:13\n\n\
            1 test triggered 1 warning:\n\n1) /workspace/src/App.php:5\nUndefined variable $x\n\nERRORS!\n",
        &expect![[r#"
            /workspace/tests/AppTest.php:20 < /workspace/src/App.php:3 Error php -: AppTest::testErr
                Error: Call to undefined function foo()
            /workspace/tests/AppTest.php:8 Error php -: AppTest::testOne
                Failed asserting that 1 matches expected 2.
            /workspace/tests/AppTest.php:13 Error php -: Tests\AppTest::testTwo with data set #0 (1)
                Failed asserting that false is true.
            /workspace/src/App.php:5 Warning php -: Undefined variable $x
        "#]],
    );
}

#[test]
fn failures_of_gradle_and_stacks_of_java_name_files_without_their_folders() {
    check_lines(
        "AppTest > adds() FAILED\n    org.opentest4j.AssertionFailedError at AppTest.java:19\n\
            java.lang.IllegalStateException: wrong\n\tat com.example.App.run(App.java:7)\n\
            \tat app//com.example.AppTest.adds(AppTest.java:20)\n",
        &expect![[r#"
            AppTest.java:19 Error gradle -: org.opentest4j.AssertionFailedError
            (com.example) AppTest.java:20 < (com.example) App.java:7 Error java -: java.lang.IllegalStateException: wrong
        "#]],
    );
}
