//! Any text: no panic, no hang, and every range inside it. `cargo +nightly fuzz run analyze -- -max_total_time=600`
#![no_main]

#[path = "../../server/pipelens-core/tests/sound/mod.rs"]
mod sound;

use libfuzzer_sys::fuzz_target;
use pipelens_core::Format;

fuzz_target!(|text: &str| {
    sound::assert_sound(text, Format::Yaml);
    sound::assert_sound(text, Format::Json);
});
