//! How the API server is reached, and how it learns who the user is: beside a stand-in for it, with TLS.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use pipelens_engine::cluster_settings::ClusterSettings;
use pipelens_engine::survey::cluster as examine;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::engines::{Certificates, has_program};
use crate::skipped::skipped;

/// One request, as the API server saw it.
#[derive(Debug, Clone, Default)]
struct Seen {
    has_certificate: bool,
    /// By lower-case name.
    headers: Vec<(String, String)>,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Says that everything is allowed. A client may have a certificate.
struct ApiServer {
    address: SocketAddr,
    certificates: Certificates,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl ApiServer {
    /// `None` where there is nothing to make certificates with. Requests with `refused` as their token are refused.
    async fn start(refused: Option<&str>) -> Option<Self> {
        if !has_program("openssl") {
            skipped("openssl", "no certificates can be made");
            return None;
        }
        rustls::crypto::ring::default_provider().install_default().ok();
        let certificates = Certificates::make();
        let home = certificates.home("server");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(home.join("ca.pem")).unwrap()).unwrap();
        let clients = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build().unwrap();
        let chain = vec![CertificateDer::from_pem_file(home.join("cert.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(home.join("key.pem")).unwrap();
        let config = ServerConfig::builder().with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, acceptor) = (Arc::default(), TlsAcceptor::from(Arc::new(config)));
        let this = Self { address, certificates, seen: Arc::clone(&seen) };
        let refused = refused.map(|token| format!("Bearer {token}"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, refused) = (acceptor.clone(), Arc::clone(&seen), refused.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let has_certificate = stream.get_ref().1.peer_certificates().is_some();
                        answer(stream, has_certificate, &seen, refused.as_deref()).await;
                    }
                });
            }
        });
        Some(this)
    }

    fn pem(&self, who: &str, name: &str) -> String {
        self.certificates.home(who).join(name).display().to_string()
    }

    /// What a kubeconfig says about it.
    fn cluster(&self) -> Value {
        let server = format!("https://{}", self.address);
        json!({ "server": server, "certificate-authority": self.pem("server", "ca.pem") })
    }

    /// The client's certificate and key, in PEM.
    fn client(&self) -> [String; 2] {
        ["cert.pem", "key.pem"].map(|name| fs::read_to_string(self.pem("client", name)).unwrap())
    }

    /// Looks at the cluster as `doctor` does; returns the first thing that is wrong with it, and the requests.
    async fn asked(&self, cluster: &Value, user: &Value) -> (Option<String>, Vec<Seen>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let config = json!({
            "current-context": "x",
            "clusters": [{ "name": "x", "cluster": cluster }],
            "users": [{ "name": "x", "user": user }],
            "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }],
        });
        fs::write(&file, config.to_string()).unwrap();
        self.seen.lock().clear();
        let registry = "http://127.0.0.1:1/none".to_owned();
        let facts = examine(&ClusterSettings { kubeconfig: Some(file), registry, ..ClusterSettings::default() }).await;
        let trouble = facts.into_iter().find(|fact| !fact.is_good && !fact.text.starts_with("registry "));
        (trouble.map(|fact| fact.text).filter(|text| !text.contains("agent")), self.seen.lock().clone())
    }
}

/// Answers requests on one connection until it ends.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    has_certificate: bool,
    seen: &Mutex<Vec<Seen>>,
    refused: Option<&str>,
) {
    let mut stream = BufReader::new(stream);
    while let Some((_, headers)) = head(&mut stream).await {
        let request = Seen { has_certificate, headers };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        let is_refused = refused.is_some() && request.header("authorization") == refused;
        seen.lock().push(request);
        let version = json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "", "status": { "allowed": true } });
        let (status, body) = match is_refused {
            true => (
                "401 Unauthorized",
                json!({ "kind": "Status", "code": 401, "message": "Unauthorized", "reason": "Unauthorized", "status": "Failure" }),
            ),
            false => ("200 OK", version),
        };
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
}

/// Reads the beginning of a request: its first line, and its headers.
async fn head(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<(String, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Some((lines.first()?.clone(), headers))
}

#[tokio::test]
async fn a_token_a_password_and_other_names_arrive() {
    let Some(api) = ApiServer::start(None).await else { return };
    let (trouble, seen) =
        api.asked(&api.cluster(), &json!({ "token": "abc", "as": "other", "as-groups": ["a", "b"] })).await;
    assert_eq!(trouble, None);
    assert!(seen.len() > 5, "{seen:?}");
    for request in &seen {
        assert_eq!(request.header("authorization"), Some("Bearer abc"));
        assert_eq!(request.header("impersonate-user"), Some("other"));
        assert!(!request.has_certificate);
    }
    let (trouble, seen) = api.asked(&api.cluster(), &json!({ "username": "me", "password": "it" })).await;
    assert_eq!(trouble, None);
    assert_eq!(seen[0].header("authorization"), Some("Basic bWU6aXQ="));
}

#[tokio::test]
async fn a_certificate_comes_from_files_from_the_kubeconfig_or_from_a_program() {
    let Some(api) = ApiServer::start(None).await else { return };
    let [certificate, key] = api.client();
    let folder = tempfile::tempdir().unwrap();
    let status = json!({ "status": { "clientCertificateData": certificate, "clientKeyData": key } });
    let program = program(folder.path(), &format!("cat <<'END'\n{status}\nEND"));
    for user in [
        json!({ "client-certificate": api.pem("client", "cert.pem"), "client-key": api.pem("client", "key.pem") }),
        json!({ "client-certificate-data": STANDARD.encode(&certificate), "client-key-data": STANDARD.encode(&key) }),
        json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": program } }),
    ] {
        let (trouble, seen) = api.asked(&api.cluster(), &user).await;
        assert_eq!(trouble, None, "{user}");
        assert!(!seen.is_empty() && seen.iter().all(|request| request.has_certificate), "{seen:?}");
    }
    for (user, expected) in [
        (json!({ "client-certificate": api.pem("client", "cert.pem") }), "but no `client-key`"),
        (json!({ "client-key-data": STANDARD.encode(&key) }), "but no `client-certificate`"),
        (json!({ "client-certificate-data": "?", "client-key-data": "?" }), "`client-certificate-data` is no Base64"),
        (
            json!({ "client-certificate-data": STANDARD.encode(&certificate), "client-key": api.pem("stranger", "key.pem") }),
            "the client certificate cannot be used",
        ),
    ] {
        let (trouble, seen) = api.asked(&api.cluster(), &user).await;
        assert!(trouble.as_ref().is_some_and(|trouble| trouble.contains(expected)), "{user}: {trouble:?}");
        assert!(seen.is_empty());
    }
}

#[tokio::test]
async fn a_server_is_trusted_for_its_authority_its_name_or_because_the_user_says_so() {
    let Some(api) = ApiServer::start(None).await else { return };
    let server = format!("https://{}", api.address);
    let localhost = format!("https://localhost:{}", api.address.port());
    let authority = api.pem("server", "ca.pem");
    for (cluster, is_trusted) in [
        (api.cluster(), true),
        (json!({ "server": server }), false),
        (json!({ "server": server, "certificate-authority": api.pem("stranger", "cert.pem") }), false),
        (json!({ "server": server, "insecure-skip-tls-verify": true }), true),
        (json!({ "server": localhost, "certificate-authority": authority }), false),
        (json!({ "server": localhost, "certificate-authority": authority, "tls-server-name": "127.0.0.1" }), true),
    ] {
        let (trouble, seen) = api.asked(&cluster, &json!({ "token": "abc" })).await;
        assert_eq!(trouble.is_none(), is_trusted, "{cluster}: {trouble:?}");
        assert_eq!(seen.is_empty(), !is_trusted);
        if let Some(trouble) = trouble {
            assert!(trouble.contains("certificate"), "{trouble}");
        }
    }
}

#[tokio::test]
async fn a_login_program_is_run_once_and_again_for_the_request_after_a_refused_one() {
    let Some(api) = ApiServer::start(Some("1")).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let counting = "echo run >> runs; echo \"status: {token: '$(wc -l < runs)'}\"";
    let user = json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": program(folder.path(), counting) } });
    let (trouble, seen) = api.asked(&api.cluster(), &user).await;
    assert!(trouble.unwrap().contains("Unauthorized"));
    assert_eq!(seen.len(), 1);
    // Another process would start with this one.
    let (trouble, seen) = api.asked(&api.cluster(), &user).await;
    assert_eq!(trouble, None);
    assert!(
        seen.len() > 5 && seen.iter().all(|request| request.header("authorization") == Some("Bearer 2")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_proxy_of_the_kubeconfig_is_used() {
    let Some(api) = ApiServer::start(None).await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let (line, headers) = head(&mut stream).await.unwrap();
                let mut to = TcpStream::connect(line.split(' ').nth(1).unwrap()).await.unwrap();
                seen.lock().push((line, headers));
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                tokio::io::copy_bidirectional(&mut stream, &mut to).await.ok();
            });
        }
    });
    let mut cluster = api.cluster();
    cluster["proxy-url"] = json!(format!("http://me:p%40ss@{proxy}"));
    let (trouble, seen) = api.asked(&cluster, &json!({ "token": "abc" })).await;
    assert_eq!(trouble, None);
    assert!(!seen.is_empty());
    let (line, headers) = asked.lock()[0].clone();
    assert_eq!(line, format!("CONNECT {} HTTP/1.1", api.address));
    let authorization = ("proxy-authorization".to_owned(), format!("Basic {}", STANDARD.encode("me:p@ss")));
    assert!(headers.contains(&authorization), "{headers:?}");
    cluster["proxy-url"] = json!(format!("ftp://me:secret@{proxy}"));
    let (trouble, _) = api.asked(&cluster, &json!({})).await;
    let trouble = trouble.unwrap();
    assert!(trouble.contains(&format!("the proxy `ftp://{proxy}` of the cluster is not supported")), "{trouble}");
}

/// Writes a program; its folder is where it runs.
fn program(folder: &Path, script: &str) -> String {
    let file = folder.join("login");
    fs::write(&file, format!("#!/bin/sh\ncd '{}'\n{script}\n", folder.display())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn a_login_that_fails_is_told_before_anything_is_sent() {
    let Some(api) = ApiServer::start(None).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = program(folder.path(), "echo 'Your session has ended.' >&2; exit 1");
    let user = json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": file } });
    let (trouble, seen) = api.asked(&api.cluster(), &user).await;
    let expected = format!(
        "Logging in to the cluster failed: the login program `{file}` failed (exit status: 1): Your session has ended. Log in as you do \
         for `kubectl`, then run again"
    );
    assert_eq!(trouble, Some(expected));
    assert!(seen.is_empty());
}
