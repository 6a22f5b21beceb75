//! Requests to a registry that its client does not know. Decides nothing.

use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, LOCATION};
use reqwest::{Client, RequestBuilder, Response, Url};

use crate::error::{EngineError, with_causes};

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
    pub(super) async fn remove(&self, digest: &str, within: Duration) -> Result<bool, EngineError> {
        let doing = "remove an image";
        let url = format!("{}/v2/{}/manifests/{digest}", self.origin, self.name);
        let answer = self.send(doing, Client::new().delete(url).timeout(within)).await?;
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
