//! The output of real tools, and what is found in it. The samples are in `tests/fixtures/problems`; its README says where each comes from.

mod checkers;
mod compilers;
mod interpreters;
mod test_runners;

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
        let package = place.package.as_ref().map(|package| format!("({package}) ")).unwrap_or_default();
        let mut text = format!("{package}{}:{}", place.file, place.line);
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

/// Compares what is found in each of some samples, such as one with colours and one without.
fn check(names: &[&str], expected: &Expect) {
    for name in names {
        expected.assert_eq(&shown(&read(&sample(name), &Matchers::default(), "")));
    }
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

/// Compares what is found in a few lines.
fn check_lines(lines: &str, expected: &Expect) {
    expected.assert_eq(&shown(&read(lines, &Matchers::default(), "")));
}

#[test]
fn a_line_with_a_place_of_its_own_is_never_part_of_another_problem() {
    let mypy = "src/mod.py:6: note: Revealed type is \"builtins.int\"\n\
        src/mod.py:7: error: Incompatible return value type [return-value]\n\
        src/mod.py:8: note: Revealed type is \"builtins.int\"\n\
        ::error file=src/a.py,line=3::wrong [code]\n";
    check_lines(
        mypy,
        &expect![[r#"
            src/mod.py:6 Information mypy -: Revealed type is "builtins.int"
            src/mod.py:7 Error mypy return-value: Incompatible return value type
            src/mod.py:8 Information mypy -: Revealed type is "builtins.int"
            src/a.py:3 Error ? -: wrong [code]
        "#]],
    );
    let nested = "--- FAIL: TestAll (0.00s)\n    --- FAIL: TestAll/sub (0.00s)\n        \
        a_test.go:5: first\n        a_test.go:6: second\n            more\n";
    check_lines(
        nested,
        &expect![[r#"
            a_test.go:5 Error go -: first
            a_test.go:6 Error go -: second
                more
        "#]],
    );
    check_lines(
        "# x\n./a.go:3:6: f redeclared in this block\n\t./b.go:4:6: other declaration of f\n",
        &expect![[r#"
            (x) ./a.go:3:6 Error go -: f redeclared in this block
                ./b.go:4:6: other declaration of f
        "#]],
    );
}

#[test]
fn a_line_that_a_matcher_of_the_user_finds_is_not_part_of_another_problem() {
    let matchers =
        own(vec![pattern(r"^  (\S+)@(\d+) (.*)$", &[(Field::File, 1), (Field::Line, 2), (Field::Message, 3)], false)]);
    expect![[r#"
        a.ts:1:2 Error tsc TS1: x
        a.x:3 Warning mine -: text
    "#]]
    .assert_eq(&shown(&read("a.ts(1,2): error TS1: x\n  a.x@3 text\n", &matchers.unwrap(), "")));
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
