//! The container's network: what listens, and the names of others.

use std::fs;
use std::io::{self, Write as _};

use super::requests::failure;
use crate::protocol::message::{Failure, Host};

const SOCKETS: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// The state of a listening socket.
const LISTENING: &str = "0A";
const HOSTS: &str = "/etc/hosts";

/// Whether something listens on a TCP port, in this container or in another one of the same network.
pub(super) fn listens(port: u16) -> bool {
    // A kernel may have no IPv6.
    SOCKETS.iter().filter_map(|file| fs::read_to_string(file).ok()).any(|table| has_listener(&table, port))
}

fn has_listener(table: &str, port: u16) -> bool {
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next(), fields.nth(1));
        let local_port = local.and_then(|local| u16::from_str_radix(local.rsplit(':').next()?, 16).ok());
        local_port == Some(port) && state == Some(LISTENING)
    })
}

/// Adds names to `/etc/hosts`, which only root may.
pub(super) fn add_hosts(hosts: &[Host]) -> Result<(), Failure> {
    append(hosts).map_err(|error| failure(format!("`{HOSTS}` cannot be written: {error}")))
}

fn append(hosts: &[Host]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().append(true).open(HOSTS)?;
    let lines: String = hosts.iter().map(|host| format!("{}\t{}\n", host.address, host.name)).collect();
    file.write_all(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listening_socket_counts() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                     0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000\n   \
                     1: 0100007F:1B58 0100007F:9C40 01 00000000:00000000 00:00000000\n";
        assert!(has_listener(table, 8080));
        assert!(!has_listener(table, 7000));
        assert!(!has_listener(table, 40000));
    }
}
