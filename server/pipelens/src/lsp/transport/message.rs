//! One message: what it is, and what is wrong with it.

use serde_json::Value;
use tower_lsp::jsonrpc::{Error, ErrorCode, Request, Response};

use super::surrogates;
use super::uris::Spellings;

pub(super) enum Message {
    /// A request, or a notification where it has no `id`.
    Request(Request),
    Response(Response),
}

/// Reads the body of a frame.
pub(super) fn parse(body: &[u8], spellings: &Spellings) -> Result<Message, Error> {
    let mut value: Value = serde_json::from_slice(body)
        .or_else(|error| surrogates::replaced(body).map_or(Err(error), |repaired| serde_json::from_slice(&repaired)))
        .map_err(|error| not_json(&error.to_string()))?;
    if !value.is_object() {
        return Err(invalid("a message is one JSON object; batches are not part of the protocol".to_owned()));
    }
    spellings.escape(&mut value);
    let is_response = value.get("method").is_none() && (value.get("result").is_some() || value.get("error").is_some());
    if is_response {
        let response = serde_json::from_value(value).map_err(|error| invalid(format!("not a response: {error}")))?;
        return Ok(Message::Response(response));
    }
    if !value.get("method").is_some_and(Value::is_string) {
        return Err(invalid("the message has no `method`".to_owned()));
    }
    let request = serde_json::from_value(value).map_err(|error| invalid(format!("not a request: {error}")))?;
    Ok(Message::Request(request))
}

fn not_json(why: &str) -> Error {
    Error { code: ErrorCode::ParseError, message: format!("the message is not JSON: {why}").into(), data: None }
}

fn invalid(why: String) -> Error {
    Error { code: ErrorCode::InvalidRequest, message: why.into(), data: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_request_a_notification_or_a_response() {
        let kind = |text: &str| match parse(text.as_bytes(), &Spellings::default()) {
            Ok(Message::Request(request)) if request.id().is_some() => "request".to_owned(),
            Ok(Message::Request(_)) => "notification".to_owned(),
            Ok(Message::Response(_)) => "response".to_owned(),
            Err(error) => format!("{}", error.code.code()),
        };
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#), "request");
        assert_eq!(kind(r#"{"jsonrpc":"2.0","method":"m"}"#), "notification");
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"result":null}"#), "response");
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1}"#), "-32600");
        assert_eq!(kind("[]"), "-32600");
        assert_eq!(kind("{"), "-32700");
    }
}
