//! What people write who do not know YAML yet: what is said, and what the safe fixes make of it.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use pipelens_core::fixes::fix_all;
use pipelens_core::text::apply_edits;
use pipelens_core::{Format, analyze};

/// Returns, for each text, the first finding under its place and the lines that the safe fixes change.
fn report(texts: &[&str]) -> String {
    let mut report = String::new();
    for text in texts {
        let analysis = analyze(text, Format::Yaml);
        let Some(found) = analysis.diagnostics.first() else {
            writeln!(report, "nothing: {text:?}").expect("a string takes any text");
            continue;
        };
        let lines = &analysis.line_index;
        let line = lines.line_range(lines.line(found.range.start));
        let column = found.range.start - line.start;
        let width = found.range.end.min(line.end).saturating_sub(found.range.start).max(1);
        let source = text.get(line.start..line.end).unwrap_or_default().trim_end();
        writeln!(report, "{source}\n{}{} {}", " ".repeat(column), "^".repeat(width), found.message)
            .expect("a string takes any text");
        let mut fixed = (*text).to_owned();
        for _ in 0..20 {
            let edits = fix_all(&analyze(&fixed, Format::Yaml).diagnostics);
            fixed = apply_edits(&fixed, &edits);
        }
        for line in fixed.lines().filter(|line| !text.lines().any(|old| old == *line)) {
            writeln!(report, "=> {line}").expect("a string takes any text");
        }
        let count = |text: &str| {
            analyze(text, Format::Yaml).diagnostics.iter().filter(|other| other.code == found.code).count()
        };
        assert!(fixed == *text || count(&fixed) < count(text), "{fixed}");
    }
    report
}

fn check(texts: &[&str], expected: Expect) {
    expected.assert_eq(&report(texts));
}

/// A step with these lines.
macro_rules! step {
    ($lines:literal) => {
        concat!("default_image: alpine:3.20\nsteps:\n  - key: a\n", $lines)
    };
}

#[test]
fn commands_that_look_like_lists_mappings_and_quotes() {
    check(
        &[
            step!("    cmd: [ -f Makefile ] && make\n"),
            step!("    cmd: [ -f x ] || { echo no; exit 1; }\n"),
            step!("    cmd: [[ -f x ]] && make # why\n"),
            step!("    cmd: [ -f x ]\n"),
            step!("    cmd: { make; make test; } 2>&1\n"),
            step!("    cmd: {{ x }}\n"),
            step!("    cmd: \"make\" test\n"),
            step!("    cmd: 'make' && make test\n"),
            step!("    cmd: 'don't'\n"),
            step!("    cmd: \"$BIN\" --help; echo \\\"\n"),
        ],
        expect![[r#"
                cmd: [ -f Makefile ] && make
                     ^^^^^^^^^^^^^^^^^^^^^^^ A value that starts with `[` is a list in YAML, and nothing may follow its `]`. Put the whole value in quotes.
            =>     cmd: '[ -f Makefile ] && make'
                cmd: [ -f x ] || { echo no; exit 1; }
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ A value that starts with `[` is a list in YAML, and nothing may follow its `]`. Put the whole value in quotes.
            =>     cmd: '[ -f x ] || { echo no; exit 1; }'
                cmd: [[ -f x ]] && make # why
                     ^^^^^^^^^^^^^^^^^^ A value that starts with `[` is a list in YAML, and nothing may follow its `]`. Put the whole value in quotes.
            =>     cmd: '[[ -f x ]] && make' # why
                cmd: [ -f x ]
                     ^^^^^^^^ `cmd` must be a string, but this is a list. A value that starts with `[` has to be in quotes to be text.
            =>     cmd: "[ -f x ]"
                cmd: { make; make test; } 2>&1
                     ^^^^^^^^^^^^^^^^^^^^^^^^^ A value that starts with `{` is a mapping in YAML, and nothing may follow its `}`. Put the whole value in quotes.
            =>     cmd: '{ make; make test; } 2>&1'
                cmd: {{ x }}
                     ^^^^^^^ `cmd` must be a string, but this is a mapping. A value that starts with `{` has to be in quotes to be text.
                cmd: "make" test
                     ^^^^^^^^^^^ A value that starts with a quote ends with the next one, and nothing may follow: `test` is left over. Put the whole value in quotes.
            =>     cmd: '"make" test'
                cmd: 'make' && make test
                     ^^^^^^^^^^^^^^^^^^^ A value that starts with a quote ends with the next one, and nothing may follow: `&& make test` is left over. Put the whole value in quotes.
            =>     cmd: "'make' && make test"
                cmd: 'don't'
                     ^^^^^^^ This `'` ends the value. Inside of single quotes, write it twice: `''`.
            =>     cmd: 'don''t'
                cmd: "$BIN" --help; echo \"
                     ^^^^^^^^^^^^^^^^^^^^^^ A value that starts with a quote ends with the next one, and nothing may follow: `--help; echo \"` is left over. Put the whole value in quotes.
            =>     cmd: '"$BIN" --help; echo \"'
        "#]],
    );
}

#[test]
fn values_that_start_with_a_character_of_yaml() {
    check(
        &[
            step!("    cmd: *.sh\n"),
            step!("    cmd: & echo\n"),
            step!("    cmd: && make\n"),
            step!("    cmd: %PATH%\n"),
            step!("    cmd: @echo off\n"),
            step!("    cmd: `date`\n"),
            step!("    cmd: > out.txt\n"),
            step!("    cmd: | make\n"),
            step!("    cmd: - make\n"),
            step!("    cmd: ? x\n"),
        ],
        expect![[r#"
                cmd: *.sh
                     ^^^^ `*.sh` starts with `*`, so YAML reads it as a reference to an anchor. If it is text, put it in quotes.
            =>     cmd: '*.sh'
                cmd: & echo
                     ^^^^^^ A value that starts with `&` names an anchor in YAML. If it is text, put it in quotes.
            =>     cmd: '& echo'
                cmd: && make
                     ^^ `&&` starts with `&`, so YAML reads it as the name of an anchor and not as text. If it is text, put the value in quotes.
                cmd: %PATH%
                     ^^^^^^ A value cannot start with `%`. Put the value in quotes.
            =>     cmd: '%PATH%'
                cmd: @echo off
                     ^^^^^^^^^ A value cannot start with `@`. Put the value in quotes.
            =>     cmd: '@echo off'
                cmd: `date`
                     ^^^^^^ A value cannot start with a backtick. Put the value in quotes.
            =>     cmd: '`date`'
                cmd: > out.txt
                     ^^^^^^^^^ A value that starts with `>` is a block in YAML, and its text is on the next lines. If this is the text, put it in quotes.
            =>     cmd: '> out.txt'
                cmd: | make
                     ^^^^^^ Only `+`, `-` or one digit may follow `|` or `>`. Start the text on the next line.
                cmd: - make
                     ^^^^^^ A list cannot start on the same line as its key. Put `-` on a line of its own.
                cmd: ? x
                     ^^^ There is a second `: ` on this line, so it is unclear what the key is. Put the value in quotes.
            =>     cmd: '? x'
        "#]],
    );
}

#[test]
fn colons_in_commands() {
    check(
        &[
            step!("    cmd: curl -H \"A: b\" http://x\n"),
            step!("    cmd: echo a: b\n"),
            step!("    cmd: curl -H 'Accept: text/plain' -d \"a\" http://x # comment\n"),
            step!("    cmd: echo:\n"),
            step!("    cmd: make\n      && make test: all\n"),
            step!("    cmd: curl\n      -H \"A: b\"\n      http://x\n"),
        ],
        expect![[r#"
                cmd: curl -H "A: b" http://x
                     ^^^^^^^^^^^^^^^^^^^^^^^ There is a second `: ` on this line, so it is unclear what the key is. Put the value in quotes.
            =>     cmd: 'curl -H "A: b" http://x'
                cmd: echo a: b
                     ^^^^^^^^^ There is a second `: ` on this line, so it is unclear what the key is. Put the value in quotes.
            =>     cmd: 'echo a: b'
                cmd: curl -H 'Accept: text/plain' -d "a" http://x # comment
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ There is a second `: ` on this line, so it is unclear what the key is. Put the value in quotes.
            =>     cmd: 'curl -H ''Accept: text/plain'' -d "a" http://x' # comment
                cmd: echo:
                     ^^^^^ There is a second `: ` on this line, so it is unclear what the key is. Put the value in quotes.
            =>     cmd: 'echo:'
                  && make test: all
                  ^^^^^^^^^^^^^^^^^ This continues the value of `cmd`, but its `: ` makes it look like a key. Put the whole value in quotes.
            =>     cmd: 'make
            =>       && make test: all'
                  -H "A: b"
                  ^^^^^^^^^ This continues the value of `cmd`, but its `: ` makes it look like a key. Put the whole value in quotes.
            =>     cmd: 'curl
            =>       http://x'
        "#]],
    );
}

#[test]
fn escapes_that_yaml_does_not_have() {
    check(
        &[
            step!("    cmd: \"echo \\d\"\n"),
            step!("    cmd: \"grep '\\.txt$' x; echo \\n\\$x\"\n"),
            step!("    cmd: \"C:\\Users\\x\"\n"),
        ],
        expect![[r#"
                cmd: "echo \d"
                           ^^ `\d` is no escape in double quotes. Write `\\d` for the backslash itself, or use single quotes.
            =>     cmd: "echo \\d"
                cmd: "grep '\.txt$' x; echo \n\$x"
                            ^^ `\.` is no escape in double quotes. Write `\\.` for the backslash itself, or use single quotes.
            =>     cmd: "grep '\\.txt$' x; echo \n\\$x"
                cmd: "C:\Users\x"
                        ^^ `\U` is no escape in double quotes. Write `\\U` for the backslash itself, or use single quotes.
            =>     cmd: "C:\\Users\\x"
        "#]],
    );
}

#[test]
fn globs_without_quotes() {
    check(
        &[
            step!("    cmd: make\n    artifacts: [*.txt, out/*]\n"),
            step!("    cmd: make\n    artifacts:\n      - *.txt\n      - **/*.log\n"),
            step!("    cmd: make\n    artifacts: [*]\n"),
        ],
        expect![[r#"
                artifacts: [*.txt, out/*]
                            ^^^^^ `*.txt` starts with `*`, so YAML reads it as a reference to an anchor. If it is text, put it in quotes.
            =>     artifacts: ['*.txt', out/*]
                  - *.txt
                    ^^^^^ `*.txt` starts with `*`, so YAML reads it as a reference to an anchor. If it is text, put it in quotes.
            =>       - '*.txt'
            =>       - '**/*.log'
                artifacts: [*]
                            ^ A name is missing after `*` or `&`. If this is ordinary text, put it in quotes.
            =>     artifacts: ['*']
        "#]],
    );
}

#[test]
fn spaces_dashes_and_columns() {
    check(
        &[
            "default_image: a:1\nsteps:\n  - key:a\n    cmd: make\n",
            "default_image: a:1\nsteps:\n  - key:a\n    cmd:make\n",
            "default_image: a:1\nsteps:\n  - {key:a, cmd: make}\n",
            step!("    cmd:make\n"),
            step!("    cmd: make\n    env: {A:b}\n"),
            "default_image:alpine:3.20\nsteps:\n  - key: a\n    cmd: make\n",
            "default_image: a:1\nsteps:\n  -key: a\n   cmd: make\n",
            "default_image: a:1\nsteps:\n  - key: a\n    cmd: make\n  -key: b\n    cmd: make\n",
            "default_image: a:1\nsteps:\n\t- key: a\n\t  cmd: make\n",
            step!("\tcmd: make\n"),
            "default_image: a:1\nsteps:\n  - key: a\n  cmd: make\n",
            "default_image: a:1\nsteps:\n  - key: a\n     cmd: make\n",
            "default_image: a:1\nsteps:\n  key: a\n  cmd: |\n    make\n",
            "default_image: a:1\nsteps:\n  - key = a\n",
            "default_image: a:1\nsteps:\n  - \"key\": \"a\"\n    \"cmd\": \"make\",\n",
        ],
        expect![[r#"
              - key:a
              ^^^^^^^ A space is missing after `key:`. Without it, this is one word and not a key with a value.
            =>   - key: a
              - key:a
                ^^^^^ A space is missing after `key:`. Without it, this is a string and not a key with a value.
            =>   - key: a
            =>     cmd: make
              - {key:a, cmd: make}
                 ^^^^^ A space is missing after `key:`. Without it, this is one word and not a key with a value.
            =>   - {key: a, cmd: make}
                cmd:make
                ^^^^^^^^ A space is missing after `cmd:`. Without it, this is one word and not a key with a value.
            =>     cmd: make
                env: {A:b}
                      ^^^ `A:b` is not a valid environment variable name. Use letters, digits and `_`, and do not start with a digit.
            =>     env: {A: b}
            default_image:alpine:3.20
            ^^^^^^^^^^^^^^^^^^^^^^^^^ A space is missing after `default_image:`. Without it, this is one word and not a key with a value.
            => default_image: alpine:3.20
              -key: a
              ^ A space is missing after this `-`. Without it, this is a word and not a list item.
            =>   - key: a
            =>     cmd: make
              -key: b
              ^ A space is missing after this `-`. Without it, this is a word and not a list item.
            =>   - key: b
            	- key: a
            ^ YAML does not allow a tab here. Indent with spaces.
            => - key: a
            =>   cmd: make
            	cmd: make
            ^ YAML does not allow a tab here. Indent with spaces.
            =>     cmd: make
              cmd: make
              ^^^^^^^^^ `cmd` is in the column of the `-` above. The keys of an item are all in one column: indent it by two more.
            =>     cmd: make
                 cmd: make
            ^^^^^ The indentation matches no line above. Align it with the lines around it.
            =>     cmd: make
              key: a
              ^^^ `steps` must be a list, but this is one step without its `-`. Write `- ` before its first key.
            =>   - key: a
            =>     cmd: |
            =>       make
              - key = a
                ^^^^^^^ A key ends with a colon and not with `=`. Write `key: a`.
                "cmd": "make",
                             ^ A `,` separates values only inside of brackets. Remove it.
            =>     "cmd": "make"
        "#]],
    );
}

#[test]
fn two_merge_keys_become_one() {
    let head = "default_image: a:1\nx-a: &a {retry: 2}\nx-b: &b {soft_fail: true}\nx-c: &c {label: x}\nsteps:\n";
    let texts = [
        format!("{head}  - <<: *a\n    <<: *b\n    <<: *c\n    key: t\n    cmd: make\n"),
        format!("{head}  - {{<<: *a, key: t, cmd: make, <<: *b}}\n  - {{<<: *c, key: u, cmd: make}}\n"),
    ];
    check(
        &texts.each_ref().map(String::as_str),
        expect![[r#"
            <<: *b
            ^^ `<<` is here twice, and other YAML parsers take only one of them. Write one with a list: `<<: [*a, *b]`.
        =>   - <<: [*a, *b, *c]
          - {<<: *a, key: t, cmd: make, <<: *b}
                                        ^^ `<<` is here twice, and other YAML parsers take only one of them. Write one with a list: `<<: [*a, *b]`.
        =>   - {<<: [*a, *b], key: t, cmd: make}
    "#]],
    );
}

#[test]
fn closing_brackets_may_be_in_the_column_of_their_key() {
    for text in [
        step!(
            "    cmd: make\n    artifacts: [\n      \"x\",\n    ]\n  - key: b\n    cmd: make\n    depends_on: [\n      a\n    ]\n"
        ),
        "steps: [\n  {key: a, cmd: make, image: 'a:1'},\n]\n",
        "env: {\n  A: b\n}\nsteps:\n- key: a\n  image: a:1\n  cmd: |\n    x=[\n    ]\n  env: {\n    B: [\n  ]}\n",
    ] {
        let found = analyze(text, Format::Yaml);
        let codes: Vec<_> = found.diagnostics.iter().map(|found| found.code.as_str()).collect();
        assert!(codes.iter().all(|code| *code == "wrong-type"), "{codes:?} {text}");
        assert!(!found.is_repaired, "{text}");
        // A block scalar with brackets is left as it is.
        let command = found.pipelines[0].steps[0].cmd.as_ref().map(|cmd| cmd.value.as_str());
        assert!(matches!(command, Some("make" | "x=[\n]\n")), "{command:?}");
    }
}
