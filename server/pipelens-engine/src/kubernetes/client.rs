//! The connection to the API server.

use std::io::{IsTerminal as _, stdin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tower::retry::RetryLayer;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer as _, ServiceExt as _};

use crate::cluster_settings::ClusterSettings;
use crate::error::{EngineError, with_causes};
use crate::kubernetes::kubeconfig;
use crate::kubernetes::login::Login;
use crate::kubernetes::tls;

/// For the connection and TLS.
const CONNECTS_WITHIN: Duration = Duration::from_secs(30);

/// Returns a client for the cluster that the user has chosen, and the namespace.
pub(super) async fn connect(settings: &ClusterSettings) -> Result<(Client, String), EngineError> {
    let failed = |reason: String| EngineError::ClusterSettings { reason };
    let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
    let read = kubeconfig::read(settings.kubeconfig.as_deref()).map_err(failed)?;
    kubeconfig::check_context(&read, settings.context.as_deref()).map_err(failed)?;
    let config = Config::from_custom_kubeconfig(read, &options).await.map_err(|error| failed(with_causes(&error)))?;
    let namespace = settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let login = Arc::new(Login::of(&config.auth_info, stdin().is_terminal()).map_err(failed)?);
    // A login that fails is told before anything is sent, and may bring the certificate for the connection.
    login.header().await.map_err(|reason| EngineError::ClusterLogin { reason })?;
    Ok((client(&config, login).map_err(failed)?, namespace))
}

/// `kube` could make the client from the configuration, but then a login program would get the standard input of the language server. The error is
/// a reason without a full stop.
fn client(config: &Config, login: Arc<Login>) -> Result<Client, String> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let encrypted = encrypted(config, &login)?;
    let connector = tower::service_fn(move |address: Uri| {
        let opening = encrypted.clone().oneshot(address);
        let opened = tokio::time::timeout(CONNECTS_WITHIN, opening);
        opened.map(|opened| opened.unwrap_or_else(|_| Err(silence()))).boxed()
    });
    let http = HttpClient::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let send = tower::service_fn(move |mut request: Request<Body>| {
        let (http, login) = (http.clone(), Arc::clone(&login));
        async move {
            let header = login.header().await?;
            if let Some(header) = &header {
                request.headers_mut().insert(AUTHORIZATION, header.clone());
            }
            let response = http.request(request).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                login.was_refused(header.as_ref()).await;
            }
            Ok::<_, BoxError>(response)
        }
    });
    let headers = config.extra_headers_layer().map_err(|error| with_causes(&error))?;
    let service = headers.layer(send);
    let service = RetryLayer::new(RetryPolicy::server_retry()).layer(service);
    Ok(Client::new(config.base_uri_layer().layer(service), config.default_namespace.clone()))
}

fn silence() -> BoxError {
    format!("it did not accept a connection within {} s", CONNECTS_WITHIN.as_secs()).into()
}

/// Opens connections without encryption.
type Plain = BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError>;

fn encrypted(config: &Config, login: &Login) -> Result<HttpsConnector<Plain>, String> {
    let builder =
        HttpsConnectorBuilder::new().with_tls_config(tls::client_config(config, login.certificate())?).https_or_http();
    let builder = match &config.tls_server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone())
                .map_err(|error| format!("the kubeconfig's `tls-server-name` cannot be used: {error}"))?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    Ok(builder.enable_http1().wrap_connector(plain(config)?))
}

/// Opens the connection itself, or through the proxy of the kubeconfig or of the environment.
fn plain(config: &Config) -> Result<Plain, String> {
    let mut direct = HttpConnector::new();
    // TLS is added by the caller.
    direct.enforce_http(false);
    direct.set_nodelay(true);
    let Some(proxy) = &config.proxy_url else {
        return Ok(boxed(direct));
    };
    let matcher = Matcher::builder().all(proxy.to_string()).build();
    let unsupported = || {
        let proxy = without_password(proxy);
        format!("the proxy `{proxy}` of the cluster is not supported: only `http://` and `socks5://` are")
    };
    let intercept = matcher.intercept(&config.cluster_url).ok_or_else(unsupported)?;
    let address = intercept.uri().clone();
    match address.scheme_str() {
        Some("http") => {
            let tunnel = Tunnel::new(address, direct);
            Ok(boxed(match intercept.basic_auth().cloned() {
                Some(authorization) => tunnel.with_auth(authorization),
                None => tunnel,
            }))
        }
        Some(scheme @ ("socks5" | "socks5h")) => {
            let is_local = scheme == "socks5";
            let socks = SocksV5::new(address, direct).local_dns(is_local);
            Ok(boxed(match intercept.raw_auth() {
                Some((name, password)) => socks.with_auth(name.to_owned(), password.to_owned()),
                None => socks,
            }))
        }
        _ => Err(unsupported()),
    }
}

fn boxed<C>(connector: C) -> Plain
where
    C: tower::Service<Uri, Response = TokioIo<TcpStream>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    BoxCloneSyncService::new(tower::service_fn(move |address| {
        connector.clone().oneshot(address).map(|opened| opened.map_err(Into::into)).boxed()
    }))
}

/// Returns an address as it may be shown.
fn without_password(address: &Uri) -> String {
    let host = address.authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    format!("{}://{}", address.scheme_str().unwrap_or("http"), host.unwrap_or_default())
}
