//! Opens connections to an engine: a local socket or pipe, TCP, TLS, SSH. Does not choose between them.

use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use futures_util::FutureExt as _;
use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tower::ServiceExt as _;

use crate::deadlines::Deadlines;
use crate::docker::client_error::Unusable;
use crate::docker::ssh;
use crate::docker::transport::{self, Carrier, Way};
use crate::error::with_causes;

/// TCP keepalive: when the kernel starts to probe a silent connection, how often, and after how many unanswered probes it gives up. A connection
/// that broke silently ends within a minute, whatever it is waiting for.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(20);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// Returns a client for an address; `tls_folder` is where `ca.pem`, `cert.pem` and `key.pem` are. Nothing is opened yet.
pub(super) fn client(
    host: &str,
    tls_folder: Option<&Path>,
    project: Option<&Path>,
    deadlines: Deadlines,
) -> Result<Docker, Unusable> {
    match host.split_once("://").map(|(scheme, _)| scheme) {
        Some("unix" | "npipe") => local_client(host, deadlines),
        Some("ssh") => ssh::client(host, project, deadlines),
        Some("tcp" | "http" | "https") => match tls_folder {
            Some(folder) if !folder.join("ca.pem").exists() => {
                Err(format!("TLS requires certificates, but `{}` does not exist", folder.join("ca.pem").display())
                    .into())
            }
            Some(folder) => tls_client(host, folder, deadlines),
            None => tcp_client(host, deadlines),
        },
        Some(_) | None => Err("an address must start with `unix://`, `npipe://`, `tcp://` or `ssh://`".into()),
    }
}

fn tcp_client(host: &str, deadlines: Deadlines) -> Result<Docker, Unusable> {
    let way = Way { address: http_address("http", &with_port(host, "2375")), ..Way::default() };
    let connector = tcp_connector();
    transport::client(way, deadlines, move |address: Uri| {
        let opening = connector.clone().oneshot(address);
        async move {
            let opened = opening.await.map_err(std::io::Error::other)?;
            Ok(Box::new(opened.into_inner()) as Box<dyn Carrier>)
        }
        .boxed()
    })
}

fn tls_client(host: &str, folder: &Path, deadlines: Deadlines) -> Result<Docker, Unusable> {
    let way = Way { address: http_address("https", &with_port(host, "2376")), ..Way::default() };
    let connector = HttpsConnector::from((tcp_connector(), tls_config(folder)?));
    transport::client(way, deadlines, move |address: Uri| {
        let opening = connector.clone().oneshot(address);
        async move {
            let opened = opening.await.map_err(std::io::Error::other)?;
            Ok(Box::new(TokioIo::new(opened)) as Box<dyn Carrier>)
        }
        .boxed()
    })
}

fn tcp_connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    // TLS is added by the caller.
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE_AFTER));
    connector.set_keepalive_interval(Some(KEEPALIVE_EVERY));
    connector.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    // Keepalive does not probe while sent bytes are unacknowledged.
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(KEEPALIVE_AFTER + KEEPALIVE_EVERY * KEEPALIVE_PROBES));
    connector
}

/// Trusts only certificates signed by the folder's `ca.pem`, as the Docker client does.
fn tls_config(folder: &Path) -> Result<ClientConfig, Unusable> {
    let bad = |name: &str, error: &dyn std::error::Error| {
        Unusable(format!("`{}` cannot be used: {}", folder.join(name).display(), with_causes(error)))
    };
    let certificates = |name: &str| {
        CertificateDer::pem_file_iter(folder.join(name))
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| bad(name, &error))
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(certificates("ca.pem")?);
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).map_err(|error| bad("key.pem", &error))?;
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates("cert.pem")?, key)
        .map_err(|error| bad("cert.pem", &error))
}

fn http_address(scheme: &str, host: &str) -> String {
    let authority = host.split_once("://").map_or(host, |(_, rest)| rest);
    format!("{scheme}://{}", authority.trim_end_matches('/'))
}

/// Adds the usual port of container engines to an address without a port.
fn with_port(host: &str, port: &str) -> String {
    let authority = host.strip_prefix("tcp://").map(|rest| rest.trim_end_matches('/'));
    // A port comes after the bracket of an address like `[::1]`.
    let has_port = |authority: &str| authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    match authority {
        Some(authority) if !has_port(authority) => format!("tcp://{authority}:{port}"),
        Some(_) | None => host.to_owned(),
    }
}

#[cfg(unix)]
fn local_client(host: &str, deadlines: Deadlines) -> Result<Docker, Unusable> {
    let Some(path) = host.strip_prefix("unix://").map(std::path::PathBuf::from) else {
        return Err("named pipes exist only on Windows".into());
    };
    if !path.exists() {
        return Err("the socket does not exist".into());
    }
    transport::client(Way::default(), deadlines, move |_| {
        let opening = tokio::net::UnixStream::connect(path.clone());
        async move { Ok(Box::new(opening.await?) as Box<dyn Carrier>) }.boxed()
    })
}

#[cfg(windows)]
fn local_client(host: &str, deadlines: Deadlines) -> Result<Docker, Unusable> {
    use tokio::net::windows::named_pipe::ClientOptions;

    /// All instances of the engine's pipe are in use; it creates a new one immediately.
    const PIPE_BUSY: i32 = 231;
    const PIPE_BUSY_PAUSE: Duration = Duration::from_millis(50);

    let Some(path) = host.strip_prefix("npipe://").map(|path| path.replace('/', "\\")) else {
        return Err("sockets are not supported on Windows; its engines listen on `npipe://`".into());
    };
    transport::client(Way::default(), deadlines, move |_| {
        let path = path.clone();
        async move {
            loop {
                match ClientOptions::new().open(&path) {
                    Ok(pipe) => return Ok(Box::new(pipe) as Box<dyn Carrier>),
                    Err(error) if error.raw_os_error() == Some(PIPE_BUSY) => {
                        tokio::time::sleep(PIPE_BUSY_PAUSE).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        .boxed()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcp_address_without_a_port_gets_the_usual_one() {
        for (host, expected) in [
            ("tcp://there", "tcp://there:2376"),
            ("tcp://there/", "tcp://there:2376"),
            ("tcp://[fe80::1]", "tcp://[fe80::1]:2376"),
            ("tcp://[fe80::1]:1", "tcp://[fe80::1]:1"),
            ("tcp://there:1", "tcp://there:1"),
            ("http://there", "http://there"),
        ] {
            assert_eq!(with_port(host, "2376"), expected);
        }
    }

    #[test]
    fn tls_without_certificates_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let why = client("tcp://there", Some(folder.path()), None, Deadlines::default()).unwrap_err();
        assert_eq!(
            why,
            Unusable(format!(
                "TLS requires certificates, but `{}` does not exist",
                folder.path().join("ca.pem").display()
            ))
        );
    }
}
