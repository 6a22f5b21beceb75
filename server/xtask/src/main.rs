//! The project's own chores: `cargo xtask --help` lists them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who does it")]
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for what it has not")]

mod agent;
#[path = "../../../tests/bench/mod.rs"]
mod bench;
mod chaos;
mod codegen;
mod demo;
mod docker;
mod footprint;
mod harmont;
mod interrupts;
#[cfg_attr(not(target_os = "linux"), path = "kubernetes/none.rs")]
mod kubernetes;
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
    ///
    /// With `kubernetes` as the first filter, it runs only the tests that need a Kubernetes cluster, on one of real programs: etcd, an API
    /// server, and nodes with a Docker daemon and a kubelet each. The first time it builds them from Debian's sources, with Debian's Go
    /// (downloads 120 MB, takes about 5 minutes, and leaves 210 MB below the target directory). Further filters choose among those tests.
    Test {
        /// Only tests whose names contain one of these (without cargo-nextest: the first).
        filters: Vec<String>,
        /// Run only the tests that need neither root nor a container engine, and count those that were left out.
        #[arg(long, conflicts_with_all = ["docker", "containerd_store"])]
        no_engine: bool,
        /// How many nodes the Kubernetes cluster has.
        #[arg(long, default_value_t = 3)]
        nodes: u8,
        #[command(flatten)]
        choice: Choice,
    },
    /// Run a command beside a Kubernetes cluster, in the sandbox that `test kubernetes` uses.
    ///
    /// Needs what `test kubernetes` needs. The command runs in the repository, without a network, with the variables by which the tests find
    /// the cluster: `cargo xtask cluster --nodes 1 -- sh -c 'kubectl --kubeconfig "$PIPELENS_TEST_KUBERNETES_ADMIN" get pods'`.
    Cluster {
        /// How many nodes it has.
        #[arg(long, default_value_t = 3)]
        nodes: u8,
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
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
    Vsix {
        /// With the runner for Kubernetes clusters and its agents, as in releases. Needs what `agent` needs.
        #[arg(long)]
        kubernetes: bool,
    },
    /// Build the agent of the Kubernetes runner as static programs for linux/amd64 and linux/arm64.
    ///
    /// Adds the targets to Rust with rustup if they are missing, and needs a C compiler for each.
    Agent,

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
    InsideClusterTest {
        #[arg(long)]
        nodes: u8,
        filters: Vec<String>,
    },
    #[command(hide = true)]
    InsideCluster {
        #[arg(long)]
        nodes: u8,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    #[command(hide = true)]
    ClusterNode { folder: PathBuf },
    /// Break something of the cluster in whose sandbox this runs, or mend it.
    #[command(hide = true)]
    ClusterFault { words: Vec<String> },
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

fn kubernetes_test(filters: &[String], nodes: u8, choice: Choice) -> anyhow::Result<()> {
    anyhow::ensure!(!choice.is_made(), "the cluster's nodes have the Docker of this machine's own suite");
    footprint::unchanged(|| kubernetes::test(filters.get(1..).unwrap_or_default(), nodes))
}

fn main() -> ExitCode {
    let done = match Chores::parse().chore {
        Chore::Test { filters, no_engine: false, nodes, choice } if kubernetes::is_wanted(&filters) => {
            kubernetes_test(&filters, nodes, choice)
        }
        Chore::Cluster { nodes, command } => footprint::unchanged(|| kubernetes::cluster(&command, nodes)),
        Chore::Test { filters, no_engine: false, choice, .. } => footprint::unchanged(|| test::test(&filters, choice)),
        Chore::Test { filters, no_engine: true, .. } => footprint::unchanged(|| test::without_engine(&filters)),
        Chore::Demo => footprint::unchanged(demo::demo),
        Chore::Bench { names } => footprint::unchanged(|| bench::bench(&names)),
        Chore::Chaos { runs, seed } => footprint::unchanged(|| chaos::chaos(runs, seed)),
        Chore::Lint => lint::lint(),
        Chore::Codegen => codegen::codegen(),
        Chore::Vsix { kubernetes } => vsix::vsix(kubernetes),
        Chore::Agent => agent::agent(),
        Chore::Sandbox { command } => footprint::unchanged(|| sandbox::run_program(&command)),
        Chore::SandboxInit { scratch, arguments } => match sandbox::init(&scratch, &arguments) {
            Ok(code) => return ExitCode::from(code),
            Err(error) => Err(error),
        },
        Chore::InsideClusterTest { nodes, filters } => match kubernetes::inside_test(&filters, nodes) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Chore::InsideCluster { nodes, command } => match kubernetes::inside(&command, nodes) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Chore::ClusterNode { folder } => kubernetes::node(&folder),
        Chore::ClusterFault { words } => kubernetes::fault(&words),
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
