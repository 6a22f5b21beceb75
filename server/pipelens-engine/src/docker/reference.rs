//! The parts of an image reference.

/// The name under which the client's configuration keeps Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Without a tag, the engine would pull all tags.
pub(crate) fn name_and_tag(reference: &str) -> (&str, &str) {
    if reference.contains('@') {
        return (reference, "");
    }
    let name_start = reference.rfind('/').map_or(0, |slash| slash + 1);
    match reference.rfind(':') {
        Some(colon) if colon >= name_start => (&reference[..colon], &reference[colon + 1..]),
        Some(_) | None => (reference, "latest"),
    }
}

/// Returns the host and the path after it; `None` if no host is named, which means Docker Hub.
pub(crate) fn host_and_path(reference: &str) -> Option<(&str, &str)> {
    reference.split_once('/').filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost")
}

/// Returns the registry an image comes from, as the client's configuration names it.
pub(crate) fn registry(reference: &str) -> &str {
    match host_and_path(reference) {
        Some(("docker.io" | "index.docker.io", _)) | None => DOCKER_HUB,
        Some((host, _)) => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tag_is_latest() {
        assert_eq!(name_and_tag("ubuntu"), ("ubuntu", "latest"));
        assert_eq!(name_and_tag("ubuntu:24.04"), ("ubuntu", "24.04"));
        assert_eq!(name_and_tag("localhost:5000/a"), ("localhost:5000/a", "latest"));
        assert_eq!(name_and_tag("localhost:5000/a:b"), ("localhost:5000/a", "b"));
        assert_eq!(name_and_tag("a@sha256:00"), ("a@sha256:00", ""));
    }

    #[test]
    fn the_registry_has_the_name_that_the_client_uses() {
        assert_eq!(registry("ubuntu"), DOCKER_HUB);
        assert_eq!(registry("docker.io/library/ubuntu"), DOCKER_HUB);
        assert_eq!(registry("me/image"), DOCKER_HUB);
        assert_eq!(registry("ghcr.io/me/image"), "ghcr.io");
        assert_eq!(registry("localhost:5000/image"), "localhost:5000");
    }
}
