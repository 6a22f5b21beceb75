//! How a request says who the user is: what the kubeconfig names for that, and what has to be renewed while a run goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use kube::config::AuthInfo;
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;

use crate::kubernetes::login_program::{Credential, LoginProgram};
use crate::kubernetes::tls::ClientCertificate;

/// Who puts a token into a file replaces it there before it expires.
const FILE_IS_READ_EVERY: Duration = Duration::from_secs(60);

/// What requests carry.
pub(super) struct Login {
    source: Source,
    certificate: Arc<ClientCertificate>,
}

enum Source {
    /// Nothing, or the certificate alone.
    Nothing,
    Fixed(HeaderValue),
    File(TokenFile),
    Program {
        program: Box<LoginProgram>,
        current: Mutex<Option<Credential>>,
    },
}

impl Login {
    /// Takes what the kubeconfig says about a user. Runs nothing yet. The error is a reason without a full stop.
    pub(super) fn of(user: &AuthInfo, has_terminal: bool) -> Result<Self, String> {
        let source = if let Some(provider) = &user.auth_provider {
            match (provider.name.as_str(), provider.config.get("id-token")) {
                ("oidc", Some(token)) => Source::Fixed(bearer(token)?),
                (name, _) => {
                    return Err(format!(
                        "the kubeconfig logs in with the `auth-provider` `{name}`, which Kubernetes no longer has. Use a program (`exec`) instead"
                    ));
                }
            }
        } else if let (Some(name), Some(password)) = (&user.username, &user.password) {
            Source::Fixed(header(&basic(name, password.expose_secret()))?)
        } else if let Some(token) = &user.token {
            Source::Fixed(bearer(token.expose_secret())?)
        } else if let Some(file) = &user.token_file {
            Source::File(TokenFile::open(Path::new(file))?)
        } else if let Some(exec) = &user.exec {
            let program = Box::new(LoginProgram::new(exec, has_terminal)?);
            Source::Program { program, current: Mutex::new(None) }
        } else {
            Source::Nothing
        };
        Ok(Self { source, certificate: Arc::new(ClientCertificate::of(user)?) })
    }

    /// The certificate that connections use.
    pub(super) fn certificate(&self) -> Arc<ClientCertificate> {
        Arc::clone(&self.certificate)
    }

    /// Returns the value of `Authorization`, renewed if it is about to expire.
    pub(super) async fn header(&self) -> Result<Option<HeaderValue>, String> {
        match &self.source {
            Source::Nothing => Ok(None),
            Source::Fixed(header) => Ok(Some(header.clone())),
            Source::File(file) => Ok(Some(file.header().await)),
            Source::Program { program, current } => {
                // Others wait until it has been asked.
                let mut current = current.lock().await;
                if let Some(credential) = current.as_ref().filter(|credential| !credential.is_expiring()) {
                    return carried(credential);
                }
                let credential = program.run().await?;
                if let Some((certificate, key)) = &credential.certificate {
                    self.certificate.set(certificate.as_bytes(), key.as_bytes())?;
                }
                carried(current.insert(credential))
            }
        }
    }

    /// The API server did not accept what a request carried: a program is asked again for the next one.
    pub(super) async fn was_refused(&self, header: Option<&HeaderValue>) {
        if let Source::Program { current, .. } = &self.source {
            // By now there may be another one.
            let is_it = |credential: &mut Credential| carried(credential).ok().flatten().as_ref() == header;
            current.lock().await.take_if(is_it);
        }
    }
}

/// A token in a file.
struct TokenFile {
    path: PathBuf,
    current: Mutex<(HeaderValue, Instant)>,
}

impl TokenFile {
    fn open(path: &Path) -> Result<Self, String> {
        let current = Mutex::new((Self::read(path)?, Instant::now()));
        Ok(Self { path: path.to_owned(), current })
    }

    fn read(path: &Path) -> Result<HeaderValue, String> {
        let token = fs::read_to_string(path);
        bearer(
            &token.map_err(|error| {
                format!("the kubeconfig's `tokenFile` cannot be read from {}: {error}", path.display())
            })?,
        )
    }

    async fn header(&self) -> HeaderValue {
        let mut current = self.current.lock().await;
        if current.1.elapsed() >= FILE_IS_READ_EVERY {
            // If it is gone, the last token may still be good.
            let header = Self::read(&self.path).unwrap_or_else(|_| current.0.clone());
            *current = (header, Instant::now());
        }
        current.0.clone()
    }
}

/// Returns what requests carry of a credential; with a certificate alone, nothing.
fn carried(credential: &Credential) -> Result<Option<HeaderValue>, String> {
    credential.token.as_deref().map(bearer).transpose()
}

/// Returns the value of `Authorization` for a name and a password.
pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// Returns the value of `Authorization` for a token.
fn bearer(token: &str) -> Result<HeaderValue, String> {
    header(&format!("Bearer {}", token.trim()))
}

fn header(text: &str) -> Result<HeaderValue, String> {
    let header = HeaderValue::try_from(text);
    let mut header = header.map_err(|_| "the token or password has characters that no request can carry".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
