//! `pipelens-agent connect`: joins its standard streams with the agent's socket. Understands nothing of what passes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use super::peer;

/// The agent may have been started only just now.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn connect() -> Result<ExitCode, String> {
    super::hide_memory()?;
    let socket = find_agent()?;
    // Not the buffered streams of the standard library.
    let failed = |error: io::Error| error.to_string();
    let input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
    let to_agent = socket.try_clone().map_err(failed)?;
    thread::spawn(move || {
        pass_on(input, &to_agent).ok();
        // The agent closes its side as soon as it has read everything.
        to_agent.shutdown(Shutdown::Write).ok();
    });
    pass_on(&socket, output).ok();
    Ok(ExitCode::SUCCESS)
}

fn find_agent() -> Result<UnixStream, String> {
    let failed = |error: io::Error| format!("the agent does not answer: {error}");
    let address = peer::address().map_err(failed)?;
    let mut attempts = 0;
    let socket = loop {
        match UnixStream::connect_addr(&address) {
            Ok(socket) => break socket,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && attempts < ATTEMPTS => {
                attempts += 1;
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(failed(error)),
        }
    };
    // Somebody in the same network could listen in its place.
    match peer::peer_of(&socket).map_err(failed)? {
        Some(1) => Ok(socket),
        _ => Err("another process listens in the place of the agent".into()),
    }
}

fn pass_on(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}
