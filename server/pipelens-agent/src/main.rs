//! `pipelens-agent serve` is the first process of a step's container; `pipelens-agent connect` leads to it.

#![expect(
    clippy::print_stderr,
    reason = "standard error is the only place where a program that cannot start can say why"
)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match pipelens_agent::agent::main(std::env::args_os().skip(1)) {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("pipelens-agent: {sentence}");
            ExitCode::from(125)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("pipelens-agent is the first process of a Linux container; it does not run on this system.");
    ExitCode::from(125)
}
