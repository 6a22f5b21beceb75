//! The command line: what can be asked, and the exit codes.

mod check;
mod checked;
mod clean;
mod convert;
mod doctor;
mod explain;
pub(crate) mod files;
mod graph;
mod init;
#[cfg(feature = "kubernetes")]
mod kept_shell;
mod list;
mod logs;
mod output;
mod own_terminal;
mod past;
mod plan;
mod printable;
mod printer;
mod problems;
mod render;
mod replace;
mod replay;
mod report;
mod rerun;
mod run;
mod shell;
mod watch;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::{Parser, Subcommand};
use tracing_subscriber::fmt::format::FmtSpan;

use output::{EXIT_USAGE, complain, print};

/// Finds mistakes in CI pipelines while you type, and runs pipelines: one step, everything from a step on, or the whole graph.
///
/// In an editor, `pipelens lsp` does both. In a terminal and in CI, `check` and `run` do the same.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 success; 1 an error was found or a step failed; 2 wrong usage or an unusable file; 4 no container engine answered; \
124 timed out; 130 cancelled.

Environment: DOCKER_HOST, DOCKER_CONTEXT and DOCKER_CONFIG as the Docker client reads them; PIPELENS_STATE_DIR for logs; \
PIPELENS_SETTINGS for a file with your settings instead of `pipelens/settings.yaml` in your folder for configuration; PIPELENS_RUNNER for the \
runner; PIPELENS_LOG for the server's own log (e.g. `debug`); NO_COLOR.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves an editor over standard input and output (Language Server Protocol)
    Lsp {
        /// Accepted because some clients always send it; the server always uses standard input and output
        #[arg(long)]
        stdio: bool,
        /// Accepted because some clients always send it; the server learns the editor's process from the protocol
        #[arg(long = "clientProcessId", value_name = "PID", hide = true)]
        client_process_id: Option<u32>,
        /// Append the server's own log to this file, in detail [default: errors only, to standard error]
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
    },
    /// Checks pipeline files; exits with 0 if there are no errors, 1 if there are, 2 if a file cannot be read
    Check(check::CheckArgs),
    /// Runs a pipeline, or part of it
    Run(watch::RunCommand),
    /// Runs the steps again that failed when they ran last
    Rerun(rerun::RerunArgs),
    /// Opens a shell where a step's command would run, with its files, variables, services and cache mounts
    Shell(shell::ShellArgs),
    /// Opens a shell in what a failed step has left in a cluster, as the command line that is shown for it asks
    #[cfg(feature = "kubernetes")]
    #[command(hide = true)]
    KeptShell(kept_shell::KeptShellArgs),
    /// Prints the output of an earlier run, or of one of its steps
    Logs(logs::LogsArgs),
    /// Lists the pipelines of a project with their steps, or its remembered runs
    List(list::ListArgs),
    /// Shows what a run would do, and why steps would not be taken from the cache
    Plan(run::RunArgs),
    /// Removes the cached results and cache mounts of earlier runs
    Clean(clean::CleanArgs),
    /// Looks for the reason why something does not work: engines, settings, folders, programs
    Doctor(doctor::DoctorArgs),
    /// Explains a finding: what it means, and how to fix it
    Explain {
        /// The code of a finding, such as `unknown-step` [default: list all codes]
        code: Option<String>,
    },
    /// Draws the graph of a pipeline
    Graph(graph::GraphArgs),
    /// Converts a plan or an envelope to pipeline YAML, or a pipeline to a plan
    Convert(convert::ConvertArgs),
    /// Writes a first pipeline for the project in a directory
    Init(init::InitArgs),
    /// Prints the JSON Schema of pipeline files, for editors without a language server
    Schema {
        /// Print the schema of the editor settings instead
        #[arg(long)]
        settings: bool,
    },
}

/// Parses the command line and executes it.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| refuse(&error));
    start_log(&cli.command);
    let code = match cli.command {
        Command::Lsp { .. } => block_on(crate::lsp::serve()),
        Command::Check(args) => block_on(async move { check::check(&args).await }),
        Command::Run(args) => block_on(watch::run(args)),
        Command::Rerun(args) => block_on(rerun::rerun(args)),
        Command::Shell(args) => block_on(shell::shell(args)),
        #[cfg(feature = "kubernetes")]
        Command::KeptShell(args) => block_on(kept_shell::shell(args)),
        Command::Logs(args) => logs::logs(&args),
        Command::List(args) => list::list(&args),
        Command::Plan(args) => block_on(plan::show(args)),
        Command::Clean(args) => block_on(clean::clean(args)).and_then(|code| code),
        Command::Doctor(args) => block_on(doctor::doctor(args)).and_then(|code| code),
        Command::Explain { code } => explain::explain(code.as_deref()),
        Command::Graph(args) => graph::show(&args),
        Command::Convert(args) => convert::convert(&args),
        Command::Init(args) => init::init(&args),
        Command::Schema { settings: false } => print(&pipelens_core::schema()),
        Command::Schema { settings: true } => print(&crate::settings::schema()),
    };
    let code = code.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        EXIT_USAGE
    });
    // Not by return: a thread may still wait for standard input.
    std::process::exit(code.into())
}

fn block_on<T>(task: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(task))
}

/// Sends the program's own log to standard error, without those of its libraries. Editors show all of it as errors, so the server logs only errors.
fn start_log(command: &Command) {
    let default = match command {
        Command::Lsp { log: Some(_), .. } => "pipelens=debug",
        Command::Lsp { log: None, .. } => "pipelens=error",
        Command::Check(_)
        | Command::Run(_)
        | Command::Rerun(_)
        | Command::Shell(_)
        | Command::Logs(_)
        | Command::List(_)
        | Command::Plan(_)
        | Command::Clean(_)
        | Command::Doctor(_)
        | Command::Explain { .. }
        | Command::Graph(_)
        | Command::Convert(_)
        | Command::Init(_)
        | Command::Schema { .. } => "pipelens=warn",
        #[cfg(feature = "kubernetes")]
        Command::KeptShell(_) => "pipelens=warn",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("PIPELENS_LOG").unwrap_or_else(|_| default.into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    if let Command::Lsp { log: Some(path), .. } = command {
        match OpenOptions::new().create(true).append(true).open(path) {
            // A line for each request and each run, with its duration.
            Ok(file) => return log.with_span_events(FmtSpan::CLOSE).with_writer(Mutex::new(file)).init(),
            Err(error) => complain(&format!("The log file `{}` cannot be written: {error}", path.display())),
        }
    }
    log.with_writer(std::io::stderr).without_time().init();
}

/// Reports a command line error, or prints help. A shell turns file names into arguments, so control characters are escaped.
fn refuse(error: &clap::Error) -> ! {
    let text = error.render().ansi().to_string();
    let text = crate::terminal::visible(&text);
    // If the output is closed, there is no way to report anything.
    drop(if error.use_stderr() {
        anstream::stderr().write_all(text.as_bytes())
    } else {
        anstream::stdout().write_all(text.as_bytes())
    });
    std::process::exit(error.exit_code())
}
