//! Gets the token that a registry asks for when it refuses a request.

use std::time::Duration;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use oci_client::secrets::RegistryAuth;
use reqwest::{Client, Url};
use serde_json::Value;

/// No token is longer than this.
const MOST_BYTES: usize = 1 << 20;

/// What a registry wants, and who gives it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WantedToken {
    /// The address with what is asked for.
    address: Url,
}

impl WantedToken {
    /// Reads a refusal. `is_plain`: whether the registry is reached without TLS, which is the only case in which the login may be sent without it.
    pub(super) fn of(headers: &HeaderMap, is_plain: bool) -> Option<Self> {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        challenges.filter_map(Self::parse).find(|wanted| wanted.address.scheme() == "https" || is_plain)
    }

    fn parse(text: &str) -> Option<Self> {
        let challenges = http_auth::parse_challenges(text).ok()?;
        let challenge = challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"))?;
        let parameter = |name: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let mut address = Url::parse(&parameter("realm")?).ok()?;
        for name in ["service", "scope"] {
            if let Some(value) = parameter(name) {
                address.query_pairs_mut().append_pair(name, &value);
            }
        }
        Some(Self { address })
    }

    /// Asks for the token. `None` if this user does not get one.
    pub(super) async fn ask(&self, login: &RegistryAuth, within: Duration) -> Result<Option<String>, reqwest::Error> {
        let mut request = Client::new().get(self.address.clone()).timeout(within);
        if let RegistryAuth::Basic(user, password) = login {
            request = request.basic_auth(user, Some(password));
        }
        let mut answer = request.send().await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_BYTES {
                return Ok(None);
            }
        }
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = value.get("token").or_else(|| value.get("access_token"));
        Ok(token.and_then(Value::as_str).map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wanted(challenges: &[&'static str], is_plain: bool) -> Option<String> {
        let mut headers = HeaderMap::new();
        for challenge in challenges {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        WantedToken::of(&headers, is_plain).map(|wanted| wanted.address.to_string())
    }

    #[test]
    fn a_refusal_says_where_the_token_is_and_for_what() {
        let challenge =
            r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:team/x:delete""#;
        let address = "https://auth.example.com/token?service=registry&scope=repository%3Ateam%2Fx%3Adelete";
        assert_eq!(wanted(&[challenge], false).as_deref(), Some(address));
        assert_eq!(wanted(&["Basic realm=\"x\"", challenge], false).as_deref(), Some(address));
        assert_eq!(wanted(&["Basic realm=\"x\""], false), None);
        assert_eq!(wanted(&["Bearer service=\"x\"", "Bearer realm=\"no address\"", "Bearer realm=", ""], true), None);
    }

    #[test]
    fn a_login_is_not_sent_without_tls_for_a_registry_with_it() {
        let challenge = r#"Bearer realm="http://auth.example.com/token""#;
        assert_eq!(wanted(&[challenge], false), None);
        assert_eq!(wanted(&[challenge], true).as_deref(), Some("http://auth.example.com/token"));
    }
}
