//! Image references: `[host[:port]/]path[:tag][@digest]`, the grammar of the OCI distribution specification.

use super::paths::unexpanded;
use super::services::services;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::expand::expressions;
use crate::findings::Findings;
use crate::model::Pipeline;
use crate::text::Spanned;

const MAX_NAME_LENGTH: usize = 255;
const MAX_TAG_LENGTH: usize = 128;

pub(super) fn check(pipeline: &Pipeline, findings: &mut Findings) {
    let judge = |image: &Spanned<String>| invalid(image).or_else(|| unpinned(image));
    findings.extend(pipeline.default_image.iter().filter(|image| !image.value.trim().is_empty()).filter_map(judge));
    for step in pipeline.all_steps() {
        let Some(image) = step.image.as_ref().filter(|image| !image.value.trim().is_empty()) else { continue };
        let matrix = step.matrix.as_deref();
        let is_checked = matrix.is_some_and(|matrix| super::matrix::check_image(image, matrix, judge, findings));
        // An expression that names nothing of the matrix has a finding of its own.
        if !is_checked && (matrix.is_none() || expressions(&image.value).next().is_none()) {
            findings.extend(judge(image));
        }
    }
    for service in pipeline.all_steps().flat_map(services) {
        findings.extend(invalid(&service.image).or_else(|| unpinned(&service.image)));
    }
}

fn invalid(image: &Spanned<String>) -> Option<Diagnostic> {
    let written = &image.value;
    if is_image(written) {
        return taken_for_a_registry(image);
    }
    if let Some(expression) = expressions(written).next() {
        let name = expression.name;
        let message = format!(
            "`${{{{ matrix.{name} }}}}` is replaced only in the image of a step with a `matrix` that has the axis `{name}`. Add it, or write the value itself."
        );
        return Some(Diagnostic::new(Code::InvalidImage, image.range, message));
    }
    if let Some(variable) = unexpanded(written).or_else(|| written.contains("${{").then_some("${{ … }}")) {
        let message = format!(
            "`{written}` is taken as it is written: `{variable}` is not replaced in an image name. Write the name itself."
        );
        return Some(Diagnostic::new(Code::InvalidImage, image.range, message));
    }
    let message =
        format!("`{written}` is not a valid image name. It must be `[registry/]name[:tag]`, with a lowercase name.");
    let finding = Diagnostic::new(Code::InvalidImage, image.range, message);
    let (name, ..) = split(written.trim());
    let lower = written.trim().replacen(name, &name.to_lowercase(), 1);
    Some(if lower != *written && is_image(&lower) && image.range.end - image.range.start == written.len() {
        finding.with_fix(format!("Change to `{lower}`"), image.range, lower)
    } else {
        finding
    })
}

/// Docker takes a first part with an uppercase letter for the name of a registry.
fn taken_for_a_registry(image: &Spanned<String>) -> Option<Diagnostic> {
    let written = &image.value;
    let (host, _) = written.split_once('/')?;
    if host.contains(['.', ':']) || host == host.to_lowercase() {
        return None;
    }
    let message = format!(
        "Docker takes `{host}` for the name of a registry, because it is not lowercase. An owner's name must be lowercase."
    );
    let lower = written.replacen(host, &host.to_lowercase(), 1);
    let mut finding = Diagnostic::new(Code::InvalidImage, image.range, message);
    finding.severity = Severity::Warning;
    let is_plain = image.range.end - image.range.start == written.len();
    Some(if is_plain && is_image(&lower) {
        finding.with_fix(format!("Change to `{lower}`"), image.range, lower)
    } else {
        finding
    })
}

fn unpinned(image: &Spanned<String>) -> Option<Diagnostic> {
    let (name, tag, digest) = split(&image.value);
    let why = match tag {
        _ if digest.is_some() => return None,
        None => "has no tag",
        Some("latest") => "has the tag `latest`",
        Some(_) => return None,
    };
    let message = format!("`{name}` {why}, so it can change without notice. Choose a version, such as `{name}:1.2`.");
    Some(Diagnostic::new(Code::UnpinnedImage, image.range, message))
}

pub(crate) fn is_image(text: &str) -> bool {
    let (name, tag, digest) = split(text);
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" || host != host.to_lowercase() => {
            (Some(host), path)
        }
        _ => (None, name),
    };
    name.len() <= MAX_NAME_LENGTH
        && host.is_none_or(is_host)
        && path.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// Returns name, tag and digest.
pub(crate) fn split(text: &str) -> (&str, Option<&str>, Option<&str>) {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    // A `:` before the last `/` belongs to the registry's port.
    let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let colon = rest.get(name_start..).and_then(|name| name.find(':')).map(|colon| name_start + colon);
    let parts = colon.and_then(|colon| Some((rest.get(..colon)?, rest.get(colon + 1..)?)));
    parts.map_or((rest, None, digest), |(name, tag)| (name, Some(tag), digest))
}

fn is_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let is_address = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
        return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Lowercase letters and digits, separated by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut separator = String::new();
    let mut has_word = false;
    for character in component.chars() {
        if character.is_ascii() && is_word(character as u8) {
            let is_separator =
                matches!(separator.as_str(), "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
            if !is_separator || (!has_word && !separator.is_empty()) {
                return false;
            }
            separator.clear();
            has_word = true;
        } else {
            separator.push(character);
        }
    }
    has_word && separator.is_empty()
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG_LENGTH
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return algorithm.starts_with(|c: char| c.is_ascii_alphabetic()) && hex.len() >= 32,
    };
    hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::is_image;

    #[test]
    fn image_references_follow_the_oci_grammar() {
        let digest = format!("alpine@sha256:{}", "a".repeat(64));
        for good in ["alpine", "rust:1.95", "ghcr.io/a/b__c:v1", "localhost:5000/x/y-z", "[::1]:5000/a", &digest] {
            assert!(is_image(good), "{good}");
        }
        for bad in ["", "Rust:1.95", "a b", "a:", "a/", "/a", "a..b", "-a", "a@sha256:12", "a:b:c", "host:x/a", "a:-b"]
        {
            assert!(!is_image(bad), "{bad}");
        }
    }
}
