//! The project's own chores. `cargo xtask` without arguments lists them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who does it")]
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for what it has not")]

#[path = "../../../tests/bench/mod.rs"]
mod bench;
mod chaos;
mod codegen;
mod demo;
mod docker;
mod lint;
mod test;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <CHORE>

  test [FILTER…]  Runs every test, on a private Docker daemon and in real Neovims; installs what is missing and says so
  demo            Shows the main job: a mistake, its fix, the run buttons, a run with its log
  bench [NAME…]   Measures typing beside yaml-language-server (`analysis`), answers while a step floods (`flood`), and runs
                  beside the engine's bare calls and the Harmont CLI (`engine`)
  chaos [N [SEED]]  Kills N runs (200) at random moments in every way, and looks at what they say and leave
  lint            Formatting, clippy, licences and bans; the extension's and the plugin's own linters
  codegen         Writes what is generated: the schemas";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let chore = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let done = match chore.as_deref() {
        Some("test") => test::test(&rest),
        Some("demo") => demo::demo(),
        Some("bench") => bench::bench(&rest),
        Some("chaos") => chaos::chaos(&rest),
        Some("lint") => lint::lint(),
        Some("codegen") => codegen::codegen(),
        Some(_) | None => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
