use pipelens_core::ide::{TokenKind, tokens};
use pipelens_core::text::TextRange;
use pipelens_core::{Format, analyze};

fn check(text: &str, expected: &[(&str, TokenKind)]) {
    let analysis = analyze(text, Format::Yaml);
    let found = tokens(&analysis, TextRange::new(0, text.len()));
    let shown: Vec<(&str, TokenKind)> =
        found.iter().map(|token| (&text[token.range.start..token.range.end], token.kind)).collect();
    assert_eq!(shown, expected, "{text}");
}

use TokenKind::{Function, Keyword, Operator, Parameter, String, Variable};

#[test]
fn the_shell_in_a_block_has_colours_line_by_line() {
    check(
        r#"steps:
- key: a
  cmd: |
    if make -s; then
      echo "é
      $X"
    fi
"#,
        &[
            ("if", Keyword),
            ("make", Function),
            ("-s", Parameter),
            (";", Operator),
            ("then", Keyword),
            ("echo", Function),
            ("\"é", String),
            ("  ", String),
            ("$X", Variable),
            ("\"", String),
            ("fi", Keyword),
        ],
    );
}

#[test]
fn a_command_on_one_line_has_colours_with_quotes_and_without() {
    check("steps:\n- {key: a, cmd: ls -l}\n", &[("ls", Function), ("-l", Parameter)]);
    check("steps:\n- {key: a, cmd: \"ls $A\"}\n", &[("ls", Function), ("$A", Variable)]);
    check("steps:\n- {key: a, cmd: 'ls'}\n", &[("ls", Function)]);
}

#[test]
fn escapes_and_folded_lines_are_coloured_in_place() {
    check(
        "steps:\n- {key: a, cmd: \"ls \\t -\\x61; \\\"é\\\"\"}\n",
        &[("ls", Function), ("-\\x61", Parameter), (";", Operator), ("\\\"é\\\"", String)],
    );
    check(
        r"steps:
- key: a
  cmd: >
    ls
    -l
",
        &[("ls", Function), ("-l", Parameter)],
    );
    check(
        r"steps:
- {key: a, cmd: 'ls ''a''
    -l'}
",
        &[("ls", Function), ("''a''", String), ("-l", Parameter)],
    );
}

#[test]
fn only_the_requested_part_is_coloured() {
    let text = r"steps:
- {key: a, cmd: ls}
- {key: b, cmd: cat}
";
    let analysis = analyze(text, Format::Yaml);
    assert_eq!(tokens(&analysis, TextRange::at(text.len())).len(), 0);
    assert_eq!(tokens(&analysis, TextRange::new(0, 25)).len(), 1);
}
