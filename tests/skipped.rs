//! Says that a test did not run here, or only in part; `cargo xtask test --no-engine` counts these.

use std::io::Write as _;

/// Prints that the running test does not do all it could, and records what it needs (`a container engine`, `strace`, `Neovim`) in the
/// file that `PIPELENS_SKIPPED` names.
pub(crate) fn skipped(need: &str, why: &str) {
    println!("skipped: 1 ({why})");
    let Some(path) = std::env::var_os("PIPELENS_SKIPPED") else { return };
    let arguments: Vec<String> = std::env::args().collect();
    // cargo-nextest names the one test it runs in a process; `cargo test` runs each on a thread of its name.
    let named = arguments.iter().skip_while(|argument| *argument != "--exact").nth(1).cloned();
    let test = named.or_else(|| std::thread::current().name().map(str::to_owned)).unwrap_or_default();
    // One write, so that lines of several processes do not mix.
    let line = format!("{}::{test}\t{need}\n", env!("CARGO_PKG_NAME"));
    let file = std::fs::File::options().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a skipped test can be recorded");
}
