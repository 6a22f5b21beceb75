//! Fixes that need nobody's choice, all at once.

use pipelens_core::fixes::fix_all;
use pipelens_core::text::apply_edits;
use pipelens_core::{Format, analyze};

/// Mends a text until nothing safe is left, as `check --fix` does.
fn mend(text: &str, format: Format) -> String {
    let mut text = text.to_owned();
    loop {
        let edits = fix_all(&analyze(&text, format).diagnostics);
        if edits.is_empty() {
            return text;
        }
        text = apply_edits(&text, &edits);
    }
}

#[test]
fn everything_obvious_is_mended_at_once_and_guesses_are_left() {
    let text = "fail_fast: yes\nenv: {MODE: 0777}\nsteps:\n- {key: a, cmd: x}\n- {key: b, cmd: x, builds_in: a, image: 'i:1', depends_on: [a, a]}\n- {key: c, cmd: x, builds_in: aa}\n";
    let mended = "fail_fast: true\nenv: {MODE: \"0777\"}\nsteps:\n- {key: a, cmd: x}\n- {key: b, cmd: x, builds_in: a}\n- {key: c, cmd: x, builds_in: aa}\n";
    assert_eq!(mend(text, Format::Yaml), mended);
}

#[test]
fn a_list_that_is_emptied_goes_with_its_key() {
    let text = "steps:\n- {key: a, cmd: x}\n- key: b\n  cmd: x\n  builds_in: a\n  depends_on:\n  - a\n  - a\n  - a\n";
    assert_eq!(mend(text, Format::Yaml), "steps:\n- {key: a, cmd: x}\n- key: b\n  cmd: x\n  builds_in: a\n");
}

#[test]
fn json_loses_its_comma_too_many() {
    assert_eq!(
        mend("{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\"},]}", Format::Json),
        "{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\"}]}"
    );
}
