//! Whatever is in text: no panic, every range inside it on character borders, and the same answer twice.
#![expect(clippy::disallowed_methods, reason = "tests read their data from files")]

#[path = "sound/asks.rs"]
mod asks;
#[cfg(unix)]
#[path = "sound/processor.rs"]
mod processor;
mod sound;
#[cfg(unix)]
#[path = "sound/timely.rs"]
mod timely;

use std::path::Path;

use pipelens_core::{Format, schema};
use proptest::prelude::*;
use sound::assert_sound;

const SAMPLE: &str = "name: ä\nenv: {A: 1}\nx-a: &a {image: 'a:1'}\nsteps:\n  - key: a\n    <<: *a\n    cmd: |\n      echo ü\n  - wait\n  - {key: b, cmd: \"x\", depends_on: [a]}\n---\nsteps: []\n";

proptest! {
    #[test]
    fn any_text_can_be_analysed(text in "(?s).{0,80}") {
        assert_sound(&text, Format::Yaml);
        assert_sound(&text, Format::Json);
    }

    #[test]
    fn any_text_of_yaml_punctuation_can_be_analysed(text in "[\\[\\]{}:,\"'\\-#&*!|>%@a \t\r\nä<]{0,60}") {
        assert_sound(&text, Format::Yaml);
    }

    #[test]
    fn a_pipeline_with_random_text_in_it_can_be_analysed(
        start in 0..SAMPLE.len(), len in 0..12usize, put in "[\\[\\]{}:,\"'\\-#&*|>@a \t\nä<]{0,4}",
    ) {
        let border = |offset: usize| (0..=offset.min(SAMPLE.len())).rev().find(|at| SAMPLE.is_char_boundary(*at)).unwrap();
        let text = format!("{}{put}{}", &SAMPLE[..border(start)], &SAMPLE[border(start + len)..]);
        assert_sound(&text, Format::Yaml);
        assert_sound(&text.replace('\n', "\r\n"), Format::Yaml);
    }
}

/// The body of the fuzz target `timely`, whose limit a busy machine would break: here it only has to come to an end.
#[cfg(unix)]
#[test]
fn text_with_repeated_parts_can_be_analysed() {
    for (start, part, end) in
        [("", "[", ""), ("steps:\n", "  - {key: s#, depends_on: [t#]}\n", ""), ("{", "word ", "}")]
    {
        let text = timely::repeated((start, part, end), 10_000);
        assert!(text.len() >= 9_900, "{part}");
        for format in [Format::Yaml, Format::Json] {
            assert!(
                timely::slowest(&text, format).is_some_and(|slow| !slow.what.is_empty() && slow.took.as_secs() < 60)
            );
        }
    }
}

#[test]
fn every_prefix_of_a_pipeline_can_be_analysed() {
    for end in (0..SAMPLE.len()).filter(|end| SAMPLE.is_char_boundary(*end)) {
        assert_sound(&SAMPLE[..end], Format::Yaml);
    }
}

#[test]
fn the_checked_in_schema_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/pipeline.schema.json");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, schema()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == schema(), "run the tests with UPDATE_EXPECT=1 to write schemas/pipeline.schema.json again");
}
