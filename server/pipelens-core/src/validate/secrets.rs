//! Values that look like secrets: known tokens anywhere, and values of variables whose names suggest a secret.

use super::services::services;
use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::model::{EnvVar, Pipeline};
use crate::project::Project;
use crate::syntax::offsets::Offsets;
use crate::text::{Spanned, TextRange};

/// How tokens of well-known services start, and how many characters follow at least.
const PREFIXES: &[(&str, usize, &str)] = &[
    ("AKIA", 16, "an AWS access key"),
    ("ASIA", 16, "an AWS access key"),
    ("ghp_", 36, "a GitHub token"),
    ("gho_", 36, "a GitHub token"),
    ("ghs_", 36, "a GitHub token"),
    ("github_pat_", 40, "a GitHub token"),
    ("glpat-", 20, "a GitLab token"),
    ("npm_", 36, "an npm token"),
    ("pypi-", 50, "a PyPI token"),
    ("xoxb-", 20, "a Slack token"),
    ("xoxp-", 20, "a Slack token"),
    ("sk_live_", 20, "a Stripe key"),
    ("rk_live_", 20, "a Stripe key"),
    ("AIza", 35, "a Google API key"),
    ("dckr_pat_", 20, "a Docker Hub token"),
    ("hf_", 34, "a Hugging Face token"),
];
const NAMES: &[&str] =
    &["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY", "CREDENTIALS"];
const PRIVATE_KEY: &str = "PRIVATE KEY-----";
/// Shorter ones are words.
const MIN_SECRET_LENGTH: usize = 12;
/// The shortest of the shapes above, prefix included.
const MIN_TOKEN_LENGTH: usize = 20;

pub(super) fn check(text: &str, pipeline: &Pipeline, findings: &mut Findings) {
    findings.extend(pipeline.env.iter().filter_map(|variable| in_variable(text, variable)));
    for step in pipeline.all_steps() {
        findings.extend(step.env.iter().filter_map(|variable| in_variable(text, variable)));
        findings.extend(step.cmd.iter().filter_map(|cmd| in_text(text, cmd)));
        if let Some(matrix) = &step.matrix {
            findings.extend(matrix.written_values().filter_map(|value| in_text(text, value)));
        }
        for service in services(step) {
            findings.extend(service.env.iter().filter_map(|variable| in_variable(text, variable)));
            findings.extend(service.cmd.iter().filter_map(|cmd| in_text(text, cmd)));
        }
    }
}

/// Finds secrets for which a run would first ask for consent.
pub(super) fn check_consent(pipeline: &Pipeline, project: &dyn Project, findings: &mut Findings) {
    for step in pipeline.all_steps() {
        let mut ask = |who: &str, secrets: &[Spanned<String>]| {
            let asked = secrets.iter().filter(|secret| project.has_secret(&secret.value) == Some(false));
            findings.extend(asked.map(|secret| {
                let name = &secret.value;
                let message = format!(
                    "The {who} uses your secret `{name}`, which this project is not allowed to use yet. The first run asks for your consent; check what the {who} does with it."
                );
                Diagnostic::new(Code::SecretConsent, secret.range, message)
            }));
        };
        ask("step", &step.secrets);
        for service in services(step) {
            ask("service", &service.secrets);
        }
    }
}

fn in_variable(text: &str, variable: &EnvVar) -> Option<Diagnostic> {
    let by_shape = in_text(text, &variable.value);
    if by_shape.is_some() || !(is_random(&variable.value.value) && says_secret(&variable.name.value)) {
        return by_shape;
    }
    let name = &variable.name.value;
    let message = format!(
        "The value of `{name}` looks like a secret, and everyone who can read this file can read it. List `{name}` in `secrets` instead."
    );
    Some(Diagnostic::new(Code::SecretLiteral, variable.value.range, message))
}

fn in_text(text: &str, written: &Spanned<String>) -> Option<Diagnostic> {
    let value = written.value.as_str();
    if !may_hold_one(value.as_bytes()) {
        return None;
    }
    let (range, what) = token(value).or_else(|| private_key(value)).or_else(|| password_in_address(value))?;
    let exact = Offsets::of(text, written).and_then(|offsets| offsets.source(range));
    let range = exact.unwrap_or(written.range);
    let message = format!(
        "This looks like {what}, and everyone who can read this file can read it. Replace it, and read the new one from a variable listed in `secrets`."
    );
    Some(Diagnostic::new(Code::SecretLiteral, range, message))
}

/// A long word, an address or the line around a key: most commands have none of these, and this runs at every keystroke.
fn may_hold_one(bytes: &[u8]) -> bool {
    let mut run = 0;
    bytes.len() >= MIN_TOKEN_LENGTH
        && bytes.iter().enumerate().any(|(position, byte)| {
            let is_letter = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            run = if is_letter { run + 1 } else { 0 };
            run >= MIN_TOKEN_LENGTH
                || (*byte == b':' && bytes.get(position + 1..position + 3) == Some(b"//"))
                || (*byte == b'-' && bytes.get(position..position + 5) == Some(b"-----"))
        })
}

fn token(value: &str) -> Option<(TextRange, &'static str)> {
    for (prefix, length, what) in PREFIXES {
        for (start, _) in value.match_indices(prefix) {
            let is_inside_word = value.get(..start).is_some_and(|before| before.ends_with(is_token_letter));
            let rest = value.get(start + prefix.len()..).unwrap_or_default();
            if is_inside_word {
                continue;
            }
            let found = rest.find(|character| !is_token_letter(character)).unwrap_or(rest.len());
            let body = rest.get(..found).unwrap_or_default();
            if found >= *length && !body.ends_with("EXAMPLE") && is_varied(body) {
                return Some((TextRange::new(start, start + prefix.len() + found), what));
            }
        }
    }
    None
}

fn private_key(value: &str) -> Option<(TextRange, &'static str)> {
    let end = value.find(PRIVATE_KEY)? + PRIVATE_KEY.len();
    let start = value.get(..end)?.rfind("-----BEGIN")?;
    // The words alone occur in many scripts that look for keys.
    let follows = value.get(end..)?.trim_start().bytes().take_while(u8::is_ascii_alphanumeric).count();
    (follows >= MIN_SECRET_LENGTH).then_some((TextRange::new(start, end), "a private key"))
}

/// `https://name:password@host`, where the password is not a variable.
fn password_in_address(value: &str) -> Option<(TextRange, &'static str)> {
    for (place, separator) in value.match_indices("://") {
        let start = place + separator.len();
        let rest = value.get(start..)?;
        let authority = rest.get(..rest.find([' ', '\n', '\t', '/', '"', '\'']).unwrap_or(rest.len()))?;
        let Some((user, _)) = authority.rsplit_once('@') else { continue };
        let Some((name, password)) = user.split_once(':') else { continue };
        if is_random(password) {
            let from = start + name.len() + 1;
            return Some((TextRange::new(from, from + password.len()), "a password"));
        }
    }
    None
}

fn says_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    NAMES.iter().any(|part| name.ends_with(part))
}

/// Long enough, of letters and digits, and neither a variable, an address, a path nor a placeholder.
fn is_random(value: &str) -> bool {
    let value = value.trim();
    value.len() >= MIN_SECRET_LENGTH
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !value.contains(['$', ' ', '<', '{'])
        && !value.contains("://")
        && !value.starts_with(['/', '.', '~'])
        && is_varied(value)
}

/// `xxxxxxxxxxxx` and `000000000000` are placeholders, not secrets.
fn is_varied(value: &str) -> bool {
    let mut characters: Vec<u8> = value.bytes().collect();
    characters.sort_unstable();
    characters.dedup();
    characters.len() >= 6
}

fn is_token_letter(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_known_services_are_recognised() {
        let found = |text: &str| token(text).or_else(|| private_key(text)).or_else(|| password_in_address(text));
        for (text, part) in [
            ("aws AKIAQ3EGRIHN5XW2PLZT", "AKIAQ3EGRIHN5XW2PLZT"),
            ("curl https://me:h4x0r9d8c7b6a5@host/x", "h4x0r9d8c7b6a5"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA", "-----BEGIN RSA PRIVATE KEY-----"),
        ] {
            let (range, _) = found(text).unwrap();
            assert_eq!(&text[range.start..range.end], part);
        }
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "AKIAXXXXXXXXXXXXXXXX",
            "https://me:$PASSWORD@host",
            "https://host:8080/a@b",
            "grep -- '-----BEGIN RSA PRIVATE KEY-----' file",
            "npm_config_cache_folder_of_this_machine",
            "http://user:password@localhost",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn a_suspicious_name_alone_does_not_make_a_secret() {
        for value in
            ["", "changeme", "$TOKEN", "/run/secrets/token1", "https://host/token1", "xxxxxxxxxxxx1", "required"]
        {
            assert!(!is_random(value), "{value}");
        }
        assert!(is_random("8f3b2c1d9e7a6054"));
        assert!(says_secret("DEPLOY_TOKEN") && says_secret("dbPassword") && !says_secret("TOKEN_PATH"));
    }
}
