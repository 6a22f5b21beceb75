//! Requests to a registry that its client does not know. Decides nothing.

use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, LOCATION};
use oci_client::secrets::RegistryAuth;
use reqwest::{Client, RequestBuilder, Response, Url};

use crate::error::{EngineError, with_causes};
use crate::kubernetes::registry_token::WantedToken;

/// What is needed to write to a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PushTarget {
    /// Such as `https://registry.example.com:5000`.
    pub(super) origin: String,
    /// The name of the repository within the registry.
    pub(super) name: String,
    /// The value of the header of that name.
    pub(super) authorization: Option<String>,
}

impl PushTarget {
    /// Removes an image. Returns `false` if the registry does not let this user remove anything. Its layers stay until the registry collects its
    /// garbage.
    pub(super) async fn remove(
        &self,
        digest: &str,
        login: &RegistryAuth,
        within: Duration,
    ) -> Result<bool, EngineError> {
        let doing = "remove an image";
        let request =
            || Client::new().delete(format!("{}/v2/{}/manifests/{digest}", self.origin, self.name)).timeout(within);
        let mut answer = self.send(doing, request()).await?;
        let is_plain = self.origin.starts_with("http://");
        let wanted =
            WantedToken::of(answer.headers(), is_plain).filter(|_| answer.status() == StatusCode::UNAUTHORIZED);
        // Who may push with a token may not remove with it.
        if let Some(wanted) = wanted {
            let token = wanted.ask(login, within).await.map_err(|error| failed("log in", with_causes(&error)))?;
            if let Some(token) = token {
                let again = request().bearer_auth(token).send().await;
                answer = again.map_err(|error| failed(doing, with_causes(&error)))?;
            }
        }
        match answer.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(true),
            StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_IMPLEMENTED => Ok(false),
            status => Err(failed(doing, format!("it answered {status}"))),
        }
    }

    /// Finds out whether the user may push: begins an upload, and cancels it.
    pub(super) async fn try_upload(&self, within: Duration) -> Result<(), EngineError> {
        let doing = "begin an upload";
        let url = format!("{}/v2/{}/blobs/uploads/", self.origin, self.name);
        let base = Url::parse(&url).map_err(|error| failed(doing, error.to_string()))?;
        let answer = self.send(doing, Client::new().post(base.clone()).timeout(within)).await?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(failed(doing, format!("it answered {}", answer.status())));
        }
        let location = answer.headers().get(LOCATION).and_then(|it| it.to_str().ok());
        if let Some(upload) = location.and_then(|it| base.join(it).ok()).filter(|it| it.origin() == base.origin()) {
            // Without an answer, the registry forgets it by itself.
            self.send("cancel an upload", Client::new().delete(upload).timeout(within)).await.ok();
        }
        Ok(())
    }

    async fn send(&self, doing: &str, mut request: RequestBuilder) -> Result<Response, EngineError> {
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(|error| failed(doing, with_causes(&error)))
    }
}

fn failed(doing: &str, reason: String) -> EngineError {
    EngineError::Registry { doing: doing.to_owned(), reason, is_away: false }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// A registry whose tokens for pushing remove nothing. Returns its address; `may` says whether its user may remove.
    async fn registry(may: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let realm = format!("{address}/token");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    assert!(stream.read_line(&mut head).await.unwrap() > 0);
                }
                let head = head.to_ascii_lowercase();
                let has = |text: &str| head.contains(text);
                // `me:it`
                let is_login = has("get /token?service=here&scope=repository%3ateam%3adelete ")
                    && has("authorization: basic bwu6axq=");
                let (status, headers, body) = match () {
                    () if is_login && may => ("200 OK", String::new(), r#"{"token": "remove"}"#),
                    () if has("get /token") => ("403 Forbidden", String::new(), ""),
                    () if has("delete /v2/team/manifests/sha256:1 ") && has("authorization: bearer remove") => {
                        ("202 Accepted", String::new(), "")
                    }
                    () => {
                        let wanted =
                            format!("Bearer realm=\"{realm}\",service=\"here\",scope=\"repository:team:delete\"");
                        ("401 Unauthorized", format!("www-authenticate: {wanted}\r\n"), "")
                    }
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn who_may_remove_gets_a_token_for_that() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let login = RegistryAuth::Basic("me".to_owned(), "it".to_owned());
        for may in [true, false] {
            let authorization = Some("Bearer push".to_owned());
            let target = PushTarget { origin: registry(may).await, name: "team".to_owned(), authorization };
            assert_eq!(target.remove("sha256:1", &login, Duration::from_secs(20)).await.unwrap(), may);
        }
    }
}
