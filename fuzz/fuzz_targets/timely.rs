//! A text repeated until it is long: every answer comes in time. `cargo +nightly fuzz run timely -- -max_total_time=600`
#![no_main]

#[path = "../../server/pipelens-core/tests/sound/asks.rs"]
mod asks;
#[path = "../../server/pipelens-core/tests/sound/processor.rs"]
mod processor;
#[path = "../../server/pipelens-core/tests/sound/timely.rs"]
mod timely;

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pipelens_core::Format;

/// What a million bytes may take, 300 ms, eight times over: an instrumented build is that much slower.
const LIMIT: Duration = Duration::from_millis(2_400);

fuzz_target!(|parts: (&str, &str, &str)| {
    let text = timely::repeated(parts, 1_000_000);
    for format in [Format::Yaml, Format::Json] {
        if let Some(slow) = timely::slowest(&text, format).filter(|slow| slow.took > LIMIT) {
            panic!("{} took {:?} for {parts:?}", slow.what, slow.took);
        }
    }
});
