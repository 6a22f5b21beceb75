//! Programs: what they declare is read from their text, and what they have made is put at its places, also after an edit.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use pipelens_core::ide;
use pipelens_core::programs::{Failure, Frame, Language, Made, Position, Rendering, analyze, analyze_again};
use proptest::prelude::*;

/// Says what a text declares and what is wrong with it.
fn check(text: &str, language: Language, expected: Expect) {
    let analysis = analyze(text, language, None);
    let mut said = String::new();
    for pipeline in &analysis.pipelines {
        let heading = &text[pipeline.heading.start..pipeline.heading.end];
        writeln!(said, "{}: {heading}", pipeline.name.as_ref().map_or("", |name| &name.value)).unwrap();
    }
    for found in &analysis.diagnostics {
        let line = analysis.line_index.line(found.range.start) + 1;
        let written = &text[found.range.start..found.range.end];
        writeln!(said, "{line} {written:?} {}: {}", found.code.as_str(), found.message).unwrap();
    }
    expected.assert_eq(&said);
}

#[test]
fn only_python_and_typescript_in_the_folders_of_the_harmont_tools_are_programs() {
    for path in [".hm/ci.py", "/a/.harmont/ci.py", r"C:\a\.hm\ci.py"] {
        assert_eq!(Language::of(path), Some(Language::Python), "{path}");
    }
    assert_eq!(Language::of("a/.hm/ci.ts"), Some(Language::TypeScript));
    for path in
        ["ci.py", ".hm/lib/ci.py", "a.hm/ci.py", ".hm/ci.d.ts", ".hm/ci.tsx", ".hm/.py", ".hm/ci.pyc", ".hm/ci.yml"]
    {
        assert_eq!(Language::of(path), None, "{path}");
    }
}

#[test]
fn the_pipelines_of_a_python_program_are_found_under_any_name_of_the_sdk() {
    check(
        "import harmont\nfrom harmont import pipeline as ci\nimport other as hm\n\n@harmont.pipeline()\ndef build(): ...\n\n@ci('two', name='Two')\n@other\ndef second(): ...\n\n@hm.pipeline('no')\ndef third(): ...\n\nif True:\n    @ci(slug=\"four\")\n    def fourth(): ...\n\ndef f():\n    @ci('inner')\n    def fifth(): ...\n",
        Language::Python,
        expect![[r#"
            build: @harmont.pipeline()
            two: @ci('two', name='Two')
            four: @ci(slug="four")
        "#]],
    );
}

#[test]
fn names_and_arguments_that_the_sdk_refuses_are_found() {
    check(
        "import harmont as hm\n\n@hm.pipeline()\ndef my_build(): ...\n\n@hm.pipeline('a', colour=1)\ndef a(): ...\n\n@hm.pipeline('a')\ndef b(): ...\n\n@hm.pipeline\ndef c(): ...\n\n@hm.pipeline(NAME)\ndef d(): ...\n",
        Language::Python,
        expect![[r#"
            my_build: @hm.pipeline()
            a: @hm.pipeline('a', colour=1)
            a: @hm.pipeline('a')
            c: @hm.pipeline
            4 "my_build" program-slug: `my_build` cannot be the name of a pipeline: lower-case letters, digits and `-`, at most 64, with a letter first. Try `my-build`.
            6 "colour" program-argument: A pipeline has no argument `colour`. Known are `slug`, `name`, `triggers`, `allow_manual`, `env`, `timeout`.
            9 "a" program-slug: There is already a pipeline `a`. Give each a name of its own.
            12 "@hm.pipeline" program-argument: `@hm.pipeline` needs parentheses: `@hm.pipeline()`.
        "#]],
    );
}

#[test]
fn the_pipelines_of_a_typescript_program_are_found_wherever_they_are() {
    check(
        "import { pipeline } from '@harmont/hm';\nconst a = { slug: 'a', pipeline: pipeline([]) };\nexport const pipelines: PipelineDefinition[] = [a, { slug: \"B\", allowmanual: true, pipeline }];\nconst other = { slug: 'x' };\n",
        Language::TypeScript,
        expect![[r#"
            a: a
            B: B
            3 "B" program-slug: `B` cannot be the name of a pipeline: lower-case letters, digits and `-`, at most 64, with a letter first. Try `b`.
            3 "allowmanual" program-argument: A pipeline has no argument `allowmanual`. Did you mean `allowManual`?
        "#]],
    );
}

#[test]
fn syntax_errors_are_at_their_place() {
    check(
        "def f(:\n    pass\n",
        Language::Python,
        expect![[r#"
        1 "" syntax: This is not valid Python: `)` is missing here.
    "#]],
    );
}

#[test]
fn syntax_errors_of_typescript_are_at_their_place() {
    check(
        "const a = {;\n",
        Language::TypeScript,
        expect![[r#"
        1 "" syntax: This is not valid TypeScript: `}` is missing here.
    "#]],
    );
}

const PROGRAM: &str =
    "import harmont as hm\n\n@hm.pipeline('ci')\ndef ci():\n    return hm.sh('make').sh('make test')\n";

const ENVELOPE: &str = r#"{"schema_version": "1", "pipelines": [{"slug": "ci", "name": "ci", "allow_manual": true, "triggers": [], "definition":
{"version": "0", "graph": {"nodes": [{"step": {"key": "a", "cmd": "make", "image": "gcc:14"}, "env": {}}, {"step": {"key": "b", "cmd": "make test"}, "env": {}}],
"node_holes": [], "edge_property": "directed", "edges": [[0, 1, "builds_in"]]}}}]}"#;

fn rendered() -> Rendering {
    rendered_again(PROGRAM, ENVELOPE, 4, None)
}

/// A rendering of the program with its steps on a line, after another one.
fn rendered_again(text: &str, envelope: &str, line: usize, before: Option<&Rendering>) -> Rendering {
    let frame =
        |start, end| Frame { start: Position { line, column: start }, end: Some(Position { line, column: end }) };
    let made = Made { declared: None, steps: vec![Some(frame(11, 24)), Some(frame(11, 40))] };
    Rendering::new(text, Language::Python, envelope, &[made], None, before)
}

#[test]
fn what_was_rendered_before_changes_nothing_of_what_is_made_now() {
    let moved = format!("# one more line\n{PROGRAM}");
    let wrong = ENVELOPE.replace("\"key\": \"b\"", "\"key\": \"a\"");
    let failure = Failure { message: "The program failed.".to_owned(), place: None, related: Vec::new() };
    let failed = Rendering::failed(PROGRAM, Language::Python, &failure, Some(&rendered()));
    for before in [rendered(), failed, rendered_again(PROGRAM, &wrong, 4, None)] {
        for envelope in [ENVELOPE, &wrong, "{}", "["] {
            let alone = analyze(&moved, Language::Python, Some(&rendered_again(&moved, envelope, 5, None)));
            let again = analyze(&moved, Language::Python, Some(&rendered_again(&moved, envelope, 5, Some(&before))));
            assert_eq!(alone.pipelines, again.pipelines);
            assert_eq!(alone.diagnostics, again.diagnostics);
            assert_eq!(alone.diagnostics.is_empty(), envelope == ENVELOPE, "{:?}", alone.diagnostics);
        }
    }
}

/// Returns the parts of the text at which steps can be run.
fn shown(text: &str) -> Vec<String> {
    let analysis = analyze(text, Language::Python, Some(&rendered()));
    let steps = ide::run_places(&analysis).into_iter().filter(|place| place.step.is_some());
    steps.map(|place| text[place.range.start..place.range.end].to_owned()).collect()
}

#[test]
fn each_step_of_a_chain_has_its_own_link_and_stays_there_while_the_text_around_it_changes() {
    assert_eq!(shown(PROGRAM), ["hm.sh('make')", "sh('make test')"]);
    assert_eq!(shown(&format!("# größe\n{PROGRAM}x = (\n")), ["hm.sh('make')", "sh('make test')"]);
    assert_eq!(shown(&PROGRAM.replace("'make')", "'cmake')")), ["sh('make test')"]);
    assert_eq!(shown(&PROGRAM.replace("make test", "make tests")), ["hm.sh('make')"]);
    assert!(shown("").is_empty());
}

proptest! {
    #[test]
    fn what_is_shown_after_any_edit_is_what_was_there_before(start in 0..PROGRAM.len(), length in 0_usize..30, new in "[a-z'().\\n ]{0,20}") {
        let end = (start + length).min(PROGRAM.len());
        let text = format!("{}{new}{}", &PROGRAM[..start], &PROGRAM[end..]);
        for step in shown(&text) {
            prop_assert!(["hm.sh('make')", "sh('make test')"].contains(&step.as_str()), "{step}");
        }
    }

    #[test]
    fn any_text_is_read(text in "\\PC{0,200}") {
        analyze(&text, Language::Python, Some(&rendered()));
        analyze(&text, Language::TypeScript, None);
    }
}

/// A program of each language, with what a person may have in one.
const EDITED: [(Language, &str); 2] = [
    (Language::Python, include_str!("../../../tests/fixtures/programs/python/unicode.py")),
    (Language::TypeScript, include_str!("../../../tests/fixtures/programs/typescript/unicode.ts")),
];

/// What a person types, a few characters or a whole word at once.
const TYPED: &str =
    r#"[a-z@().,:'"\n#=éß🦀 \[\]{}`]{0,6}|@hm\.pipeline\('x'\)\n|\n    |"""|def f\(\):\n|import harmont as h\n"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// After any edits, what is known of a program is what would be known if it had just been opened.
    #[test]
    fn an_edited_program_is_read_as_if_it_were_new(
        is_python in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, TYPED), 1..8),
    ) {
        let (language, text) = EDITED[usize::from(!is_python)];
        let mut text = text.to_owned();
        let mut edited = analyze(&text, language, None);
        for (at, removed, added) in edits {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary(start + removed).max(start);
            text.replace_range(start..end, &added);
            edited = analyze_again(&text, language, None, Some(&edited));
            let new = analyze(&text, language, None);
            prop_assert_eq!(&edited.diagnostics, &new.diagnostics, "{}", text);
            prop_assert_eq!(&edited.pipelines, &new.pipelines, "{}", text);
        }
    }
}
