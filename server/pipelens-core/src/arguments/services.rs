//! The services of a step: containers that run alongside its command.

use super::limits::ContainerOptions;
use super::value::Value;
use crate::keys::{Place, keys};

/// Enough for a database to initialise itself on a slow machine.
const READY_WITHIN_SECONDS: u64 = 60;
/// The longest label DNS allows.
const MAX_NAME_LENGTH: usize = 63;

/// A container that runs alongside a step's command.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The host name by which the step reaches it.
    pub name: String,
    pub image: String,
    /// Names and values, in file order.
    pub env: Vec<(String, String)>,
    /// A command line for the image's shell.
    pub cmd: Option<String>,
    pub ready: Option<Ready>,
    pub ready_within_seconds: u64,
    /// The names of secrets that it gets as files.
    pub secrets: Vec<String>,
    pub options: ContainerOptions,
}

/// How to tell that a service is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// A command that exits with 0 in the service.
    Command(String),
    /// A port that something listens on.
    Port(u16),
}

/// Reads the services of a step. For each that cannot be read, the error is half a sentence that says why.
pub fn services(arguments: &Value) -> Vec<Result<Service, String>> {
    let Value::Map(arguments) = arguments else { return Vec::new() };
    let Some((_, services)) = arguments.iter().find(|(name, _)| name == "services") else { return Vec::new() };
    match services {
        Value::Null => Vec::new(),
        Value::Map(services) => services.iter().map(|(name, value)| service(name, value)).collect(),
        _ => vec![Err("`services` must be a mapping from names to services".to_owned())],
    }
}

/// Returns the secrets of a step's services, each with the name of its service.
pub fn service_secrets(arguments: &Value) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let Value::Map(arguments) = arguments else { return found };
    let services = arguments.iter().filter(|(name, _)| name == "services");
    for (_, services) in services {
        let Value::Map(services) = services else { continue };
        for (service, value) in services {
            let Value::Map(entries) = value else { continue };
            for (_, secrets) in entries.iter().filter(|(key, _)| key == "secrets") {
                let Value::List(secrets) = secrets else { continue };
                found.extend(secrets.iter().filter_map(|secret| match secret {
                    Value::Text(secret) => Some((service.as_str(), secret.as_str())),
                    _ => None,
                }));
            }
        }
    }
    found
}

/// Tells whether a name is a valid host name for a service. It must be lowercase, because resolvers do not distinguish `DB` from `db`.
pub(crate) fn is_service_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name != "localhost"
        && name.len() <= MAX_NAME_LENGTH
        // A number would be read as an address.
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| is_word(byte) || byte == b'-')
        && !name.ends_with('-')
}

/// Reads a port number.
pub(crate) fn port(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port > 0)
}

/// Reads one service of a step.
pub(crate) fn service(name: &str, value: &Value) -> Result<Service, String> {
    if !is_service_name(name) {
        return Err(format!("`{name}` is not a valid service name: it must be a valid host name"));
    }
    let Value::Map(entries) = value else { return Err(format!("service `{name}` must be a mapping")) };
    let mut image = None;
    let (mut env, mut cmd, mut ready, mut ready_within_seconds) = (Vec::new(), None, None, READY_WITHIN_SECONDS);
    let (mut secrets, mut options) = (Vec::new(), ContainerOptions::default());
    for (key, value) in entries.iter().filter(|(_, value)| *value != Value::Null) {
        let bad = |wanted: &str| format!("`{key}` of service `{name}` must be {wanted}");
        match key.as_str() {
            "image" => image = Some(text(value).ok_or_else(|| bad("an image name"))?),
            "env" => env = variables(value).ok_or_else(|| bad("a mapping from names to values"))?,
            "cmd" => cmd = Some(text(value).ok_or_else(|| bad("a command"))?),
            "ready" => ready = Some(self::ready(value).ok_or_else(|| bad("a command or a port from 1 to 65535"))?),
            "ready_within_seconds" => {
                ready_within_seconds = seconds(value).ok_or_else(|| bad("a number of seconds, 1 or more"))?;
            }
            "secrets" => secrets = texts(value).ok_or_else(|| bad("a list of names"))?,
            _ if let Some(read) = options.read(key, value) => read.map_err(bad)?,
            _ => return Err(format!("unknown key `{key}` in service `{name}`; expected one of {}", known_keys())),
        }
    }
    let image = image.ok_or_else(|| format!("service `{name}` has no `image`"))?;
    Ok(Service { name: name.to_owned(), image, env, cmd, ready, ready_within_seconds, secrets, options })
}

fn known_keys() -> String {
    let names: Vec<String> = keys(Place::Service).iter().map(|key| format!("`{}`", key.name)).collect();
    names.join(", ")
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let Value::List(items) = value else { return None };
    items.iter().map(text).collect()
}

fn variables(value: &Value) -> Option<Vec<(String, String)>> {
    let Value::Map(entries) = value else { return None };
    let variable = |(name, value): &(String, Value)| {
        let text = match value {
            Value::Text(text) => text.clone(),
            // In an authored pipeline these are strings already, see `lower`.
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null => String::new(),
            Value::List(_) | Value::Map(_) => return None,
        };
        Some((name.clone(), text))
    };
    entries.iter().map(variable).collect()
}

fn ready(value: &Value) -> Option<Ready> {
    match value {
        Value::Text(command) if !command.trim().is_empty() => Some(Ready::Command(command.clone())),
        Value::Integer(number) => port(*number).map(Ready::Port),
        _ => None,
    }
}

fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(seconds) => u64::try_from(*seconds).ok().filter(|seconds| *seconds > 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_is_a_host_name() {
        for good in ["db", "db-2", "a", "redis7", &"a".repeat(63)] {
            assert!(is_service_name(good), "{good}");
        }
        for bad in ["", "Db", "2db", "db-", "-db", "d_b", "a.b", "localhost", "é", &"a".repeat(64)] {
            assert!(!is_service_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_port_is_a_16_bit_number() {
        assert_eq!([1, 65535, 0, 65536, -1].map(port), [Some(1), Some(65535), None, None, None]);
    }
}
