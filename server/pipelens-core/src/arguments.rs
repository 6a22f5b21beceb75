//! What a runner's arguments mean: findings and runs read them with the same functions.

mod amounts;
mod limits;
mod services;
pub(crate) mod value;

pub use amounts::{memory_bytes, nano_cpus};
pub use limits::ContainerOptions;
pub(crate) use limits::{ULIMITS, extra_host, gpus, tmpfs, ulimit};
pub use services::{Ready, Service, service_secrets, services};
pub(crate) use services::{is_service_name, port, service};
pub use value::Value;

/// The network of the engine's machine, which needs the user's consent.
pub const HOST_NETWORK: &str = "host";

/// Tells whether a network belongs to another container; a pipeline may not use those.
pub fn is_of_another_container(network: &str) -> bool {
    network.starts_with("container:")
}

/// A folder of the engine's host in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount<'a> {
    pub source: &'a str,
    pub target: &'a str,
    pub is_read_only: bool,
}

/// Reads `source:target`, with `:ro` for a read-only one. Both paths are absolute; a source may begin with a drive letter.
pub fn mount(text: &str) -> Option<Mount<'_>> {
    let (text, is_read_only) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, true),
        None => (text.strip_suffix(":rw").unwrap_or(text), false),
    };
    let (source, target) = text.rsplit_once(':')?;
    let has_drive = source.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && source.get(1..2) == Some(":");
    let is_whole = target.starts_with('/') && target.len() > 1 && (source.starts_with('/') || has_drive);
    is_whole.then_some(Mount { source, target, is_read_only })
}

/// Returns the argument that gives a step access to the engine's host, which needs the user's consent.
pub fn wants_the_machine(arguments: &Value) -> Option<&'static str> {
    let Value::Map(entries) = arguments else { return None };
    entries.iter().find_map(|(name, value)| match (name.as_str(), value) {
        ("privileged", Value::Bool(true)) => Some("privileged"),
        ("mounts", Value::List(mounts)) if !mounts.is_empty() => Some("mounts"),
        ("network", Value::Text(network)) if network == HOST_NETWORK => Some("network: host"),
        ("gpus", value) if *value != Value::Null => Some("gpus"),
        ("services", Value::Map(services)) => services.iter().find_map(|(_, service)| {
            let Value::Map(entries) = service else { return None };
            entries.iter().any(|(name, value)| name == "gpus" && *value != Value::Null).then_some("gpus")
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_people_write_them() {
        assert_eq!(memory_bytes("512m"), Some(512 << 20));
        assert_eq!(memory_bytes("2GiB"), Some(2 << 30));
        assert_eq!(memory_bytes("1000"), Some(1000));
        assert_eq!(nano_cpus("0.5"), Some(500_000_000));
        for text in ["much", "", "0", "-1", "1kk", "99999999999g"] {
            assert_eq!(memory_bytes(text), None, "{text}");
        }
        for text in ["", "0", "-1", "inf", "NaN", "two"] {
            assert_eq!(nano_cpus(text), None, "{text}");
        }
    }

    #[test]
    fn a_mount_needs_two_absolute_paths() {
        let read = |text| mount(text).map(|mount| (mount.source, mount.target, mount.is_read_only));
        assert_eq!(read("/a b:/c"), Some(("/a b", "/c", false)));
        assert_eq!(read("/a:/c:ro"), Some(("/a", "/c", true)));
        assert_eq!(read("C:\\a:/c:rw"), Some(("C:\\a", "/c", false)));
        for text in ["", "/a", "/a:c", "a:/c", "/a:/", "/a:/c:rx", ":/c"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
