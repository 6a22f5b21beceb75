//! How the connection to the API server is encrypted: which servers are trusted, and which certificate says who the user is.

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::config::AuthInfo;
use parking_lot::RwLock;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::ExposeSecret as _;

use crate::error::with_causes;

/// The certificate by which the user is recognised. A login program may replace it: new connections use the new one.
#[derive(Debug, Default)]
pub(super) struct ClientCertificate(RwLock<Option<Arc<CertifiedKey>>>);

impl ClientCertificate {
    /// Reads the one that a kubeconfig names. The error is a reason without a full stop.
    pub(super) fn of(user: &AuthInfo) -> Result<Self, String> {
        let certificate =
            pem("client-certificate", user.client_certificate_data.as_deref(), user.client_certificate.as_deref())?;
        let key_data = user.client_key_data.as_ref().map(|data| data.expose_secret());
        let key = pem("client-key", key_data, user.client_key.as_deref())?;
        let this = Self::default();
        match (certificate, key) {
            (Some(certificate), Some(key)) => this.set(&certificate, &key)?,
            (None, None) => {}
            (Some(_), None) => return Err("the kubeconfig has a client certificate, but no `client-key`".to_owned()),
            (None, Some(_)) => return Err("the kubeconfig has a client key, but no `client-certificate`".to_owned()),
        }
        Ok(this)
    }

    /// Replaces the certificate by one in PEM.
    pub(super) fn set(&self, certificate: &[u8], key: &[u8]) -> Result<(), String> {
        let bad = |what: &str, error: &dyn std::error::Error| {
            format!("the client {what} cannot be used: {}", with_causes(error))
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| bad("certificate", &error))?;
        if chain.is_empty() {
            return Err("the client certificate is no PEM with a certificate".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| bad("key", &error))?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| bad("certificate", &error))?;
        *self.0.write() = Some(Arc::new(certified));
        Ok(())
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.read().clone()
    }

    fn has_certs(&self) -> bool {
        self.0.read().is_some()
    }
}

/// Returns a field's bytes, from the file itself or from the one that it names.
fn pem(field: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    let is_given = |text: &&str| !text.is_empty();
    if let Some(data) = data.filter(is_given) {
        let decoded = STANDARD.decode(data.trim());
        return decoded.map(Some).map_err(|error| format!("the kubeconfig's `{field}-data` is no Base64: {error}"));
    }
    let read = file.filter(is_given).map(|file| {
        fs::read(file).map_err(|error| format!("the kubeconfig's `{field}` cannot be read from {file}: {error}"))
    });
    read.transpose()
}

/// Trusts the kubeconfig's authority, or those of the system if it names none.
pub(super) fn client_config(config: &Config, certificate: Arc<ClientCertificate>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder();
    let builder = if config.accept_invalid_certs {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer::new()))
    } else if let Some(authorities) = &config.root_cert {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(CertificateDer::from(authority.as_slice()).into_owned()).map_err(|error| {
                format!("the kubeconfig's `certificate-authority` cannot be used: {}", with_causes(&error))
            })?;
        }
        builder.with_root_certificates(roots)
    } else {
        builder.with_platform_verifier().map_err(|error| {
            format!("the certificate authorities of this system cannot be used: {}", with_causes(&error))
        })?
    };
    Ok(builder.with_client_cert_resolver(certificate))
}

/// What `insecure-skip-tls-verify` asks for.
#[derive(Debug)]
struct AnyServer(WebPkiSupportedAlgorithms);

impl AnyServer {
    fn new() -> Self {
        let default = || Arc::new(rustls::crypto::ring::default_provider());
        Self(CryptoProvider::get_default().cloned().unwrap_or_else(default).signature_verification_algorithms)
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _revocation: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
