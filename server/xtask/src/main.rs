//! The project's own chores: `cargo xtask --help` lists them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who does it")]
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for what it has not")]

#[path = "../../../tests/bench/mod.rs"]
mod bench;
mod chaos;
mod codegen;
mod demo;
mod docker;
mod footprint;
mod harmont;
mod interrupts;
mod lint;
mod packages;
#[cfg_attr(not(target_os = "linux"), path = "sandbox/none.rs")]
mod sandbox;
mod test;
mod tools;
mod vsix;
mod workbench;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::docker::release::Choice;

/// The chores of this project.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", subcommand_required = true, arg_required_else_help = true)]
struct Chores {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run every test, on a private Docker daemon and in real Neovims.
    ///
    /// Needs Linux and root: the tests and the daemon run in namespaces of their own, and nothing they do reaches the machine.
    /// Programs that are missing are unpacked below the target directory with apt-get; the Harmont SDKs get there with pip, npm and cargo
    /// (480 MB, with runtimes for TypeScript and a language server for Python). Nothing is installed.
    /// Without a filter, or with the filter `editors`, it also gets the workbench of VS Code (800 MB, with npm) and uses the extension in
    /// it; if it cannot be had, `editors` fails, and all tests together run without it, which is said.
    /// Takes about 9 minutes, and as long again for the first build.
    Test {
        /// Only tests whose names contain one of these (without cargo-nextest: the first).
        filters: Vec<String>,
        /// Run only the tests that need neither root nor a container engine, and count those that were left out.
        #[arg(long, conflicts_with_all = ["docker", "containerd_store"])]
        no_engine: bool,
        #[command(flatten)]
        choice: Choice,
    },
    /// Show the main job: a mistake, its fix, the run buttons, a run with its log.
    ///
    /// Takes a few seconds, and some minutes for the first build.
    Demo,
    /// Measure: typing, answers while a step floods, and whole runs.
    ///
    /// The server is measured beside yaml-language-server, runs beside the container engine's bare calls and the Harmont CLI. Runs
    /// are measured on a private daemon (needs Linux and root), or on the one that PIPELENS_TEST_DOCKER_HOST names.
    Bench {
        /// Which benchmarks; default: all.
        names: Vec<bench::Name>,
    },
    /// Kill runs at random moments, in every way a run can be killed, and look at what they report and leave.
    ///
    /// Needs Linux and root, as `test` does.
    Chaos {
        /// How many runs.
        #[arg(default_value_t = chaos::RUNS)]
        runs: u64,
        /// Repeats the moments of an earlier call, as far as the machine does.
        seed: Option<u64>,
    },
    /// Check formatting, clippy, licences and bans, and the linters of the extension and the plugin.
    Lint,
    /// Write everything that is generated: schemas, settings of the extension, types of the protocol.
    Codegen,
    /// Pack the extension for VS Code on this platform, with the server inside.
    Vsix,

    /// Run a program in a sandbox, as `test` runs the tests.
    #[command(hide = true)]
    Sandbox {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    #[command(hide = true)]
    SandboxInit {
        scratch: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    #[command(hide = true)]
    InsideTest {
        neovims: String,
        filters: Vec<String>,
        /// Why there is no workbench of VS Code.
        #[arg(long)]
        without_workbench: Option<String>,
        #[command(flatten)]
        choice: Choice,
    },
    #[command(hide = true)]
    InsideBench,
    #[command(hide = true)]
    InsideChaos { runs: u64, seed: u64 },
    #[command(hide = true)]
    InsideProgram {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let done = match Chores::parse().chore {
        Chore::Test { filters, no_engine: false, choice } => footprint::unchanged(|| test::test(&filters, choice)),
        Chore::Test { filters, no_engine: true, .. } => footprint::unchanged(|| test::without_engine(&filters)),
        Chore::Demo => footprint::unchanged(demo::demo),
        Chore::Bench { names } => footprint::unchanged(|| bench::bench(&names)),
        Chore::Chaos { runs, seed } => footprint::unchanged(|| chaos::chaos(runs, seed)),
        Chore::Lint => lint::lint(),
        Chore::Codegen => codegen::codegen(),
        Chore::Vsix => vsix::vsix(),
        Chore::Sandbox { command } => footprint::unchanged(|| sandbox::run_program(&command)),
        Chore::SandboxInit { scratch, arguments } => match sandbox::init(&scratch, &arguments) {
            Ok(code) => return ExitCode::from(code),
            Err(error) => Err(error),
        },
        // The process outside says that tests failed.
        Chore::InsideTest { neovims, filters, without_workbench, choice } => {
            match test::inside(&neovims, &filters, choice, without_workbench.as_deref()) {
                Ok(true) => Ok(()),
                Ok(false) => return ExitCode::FAILURE,
                Err(error) => Err(error),
            }
        }
        Chore::InsideBench => bench::inside(),
        Chore::InsideChaos { runs, seed } => chaos::inside(runs, seed),
        Chore::InsideProgram { command } => sandbox::program(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
