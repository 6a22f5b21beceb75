//! pipelens: the language server and the command line, over the same core and the same engine.

mod artifacts;
mod cli;
mod consent;
mod doctor;
mod dotenv;
mod fix;
mod lsp;
mod present;
mod problems;
mod programs;
mod project;
mod project_context;
mod ran;
mod record;
mod settings;
mod shellcheck;
mod signals;
mod source;
mod state_folder;
mod terminal;
mod watching;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
