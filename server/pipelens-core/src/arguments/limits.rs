//! What containers of steps and of services have in common: limits, hosts, folders in memory, devices.

use std::net::IpAddr;

use super::amounts::memory_bytes;
use super::value::Value;

/// Every limit that a process may have on Linux.
pub(crate) const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];
/// No limit, and every device.
const UNLIMITED: i64 = -1;

/// The options that a step and a service can set for their containers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerOptions {
    pub shm_bytes: Option<i64>,
    /// Names, and their soft and hard values.
    pub ulimits: Vec<(String, i64, i64)>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    pub init: Option<bool>,
    /// Paths, and the options with which they are mounted.
    pub tmpfs: Vec<(String, String)>,
    /// How many; -1 means all of them.
    pub gpus: Option<i64>,
}

impl ContainerOptions {
    /// Reads one option. `None`: it is none of these. The error is what the value has to be.
    pub fn read(&mut self, name: &str, value: &Value) -> Option<Result<(), &'static str>> {
        let read = match name {
            "shm_size" => word(value).and_then(|word| memory_bytes(&word)).map(|bytes| self.shm_bytes = Some(bytes)),
            "ulimits" => ulimits(value).map(|ulimits| self.ulimits = ulimits),
            "extra_hosts" => list(value, extra_host).map(|hosts| self.extra_hosts = hosts),
            "init" => match value {
                Value::Bool(init) => {
                    self.init = Some(*init);
                    Some(())
                }
                _ => None,
            },
            "tmpfs" => list(value, |text| {
                let (path, options) = tmpfs(text)?;
                Some((path.to_owned(), options.to_owned()))
            })
            .map(|tmpfs| self.tmpfs = tmpfs),
            "gpus" => word(value).and_then(|word| gpus(&word)).map(|count| self.gpus = Some(count)),
            _ => return None,
        };
        Some(read.ok_or(match name {
            "shm_size" => "a number of bytes, optionally with `k`, `m` or `g`",
            "ulimits" => "a mapping from limits, such as `nofile`, to numbers or `soft:hard`",
            "extra_hosts" => "a list of `name:address`",
            "init" => "`true` or `false`",
            "tmpfs" => "a list of absolute paths, with options after a colon",
            _ => "`all` or a number of devices",
        }))
    }
}

/// Reads a limit: a number for both values, or `soft:hard`. `-1` and `unlimited` mean that there is none.
pub(crate) fn ulimit(text: &str) -> Option<(i64, i64)> {
    let number = |text: &str| match text {
        "unlimited" => Some(UNLIMITED),
        _ => text.parse::<i64>().ok().filter(|number| *number >= UNLIMITED),
    };
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let (soft, hard) = (number(soft)?, number(hard)?);
    (hard == UNLIMITED || (soft != UNLIMITED && soft <= hard)).then_some((soft, hard))
}

/// Reads `name:address` or `name=address`. `host-gateway` is the engine's machine as containers see it.
pub(crate) fn extra_host(text: &str) -> Option<String> {
    let (name, address) = text.split_once(['=', ':'])?;
    let is_name = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !part.starts_with('-')
    };
    let bare = address.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(address);
    let is_address = bare == "host-gateway" || bare.parse::<IpAddr>().is_ok();
    (name.split('.').all(is_name) && is_address).then(|| format!("{name}:{bare}"))
}

/// Reads a path, with mount options after a colon.
pub(crate) fn tmpfs(text: &str) -> Option<(&str, &str)> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let is_option = |option: &str| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "size" => {
                memory_bytes(value).is_some() || value.strip_suffix('%').is_some_and(|it| it.parse::<u8>().is_ok())
            }
            "mode" => value.len() <= 4 && i64::from_str_radix(value, 8).is_ok(),
            "uid" | "gid" | "nr_inodes" => value.parse::<u32>().is_ok(),
            "rw" | "ro" | "exec" | "noexec" | "suid" | "nosuid" | "dev" | "nodev" => value.is_empty(),
            _ => false,
        }
    };
    let is_whole = path.starts_with('/') && !path.trim_matches('/').is_empty();
    (is_whole && (options.is_empty() || options.split(',').all(is_option))).then_some((path, options))
}

/// Reads a number of devices; -1 means all of them.
pub(crate) fn gpus(text: &str) -> Option<i64> {
    match text {
        "all" => Some(UNLIMITED),
        _ => text.parse::<i64>().ok().filter(|count| (1..=i64::from(u16::MAX)).contains(count)),
    }
}

fn ulimits(value: &Value) -> Option<Vec<(String, i64, i64)>> {
    let Value::Map(entries) = value else { return None };
    let one = |(name, value): &(String, Value)| {
        let (soft, hard) = ulimit(&word(value)?)?;
        ULIMITS.contains(&name.as_str()).then(|| (name.clone(), soft, hard))
    };
    entries.iter().map(one).collect()
}

fn list<T>(value: &Value, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let Value::List(items) = value else { return None };
    items.iter().map(|item| read(&word(item)?)).collect()
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_written_as_docker_has_them() {
        assert_eq!(
            ["1024", "512:1024", "-1", "5:unlimited"].map(ulimit),
            [Some((1024, 1024)), Some((512, 1024)), Some((-1, -1)), Some((5, -1))]
        );
        assert_eq!(["", "x", "2:1", "-2", "unlimited:5", "1:2:3"].map(ulimit), [None; 6]);
        let hosts = ["db.local:10.0.0.1", "a=::1", "a:[::1]", "up:host-gateway"].map(extra_host);
        assert_eq!(hosts.map(Option::unwrap), ["db.local:10.0.0.1", "a:::1", "a:::1", "up:host-gateway"]);
        assert_eq!(
            ["", "a", "a:", "a b:1.2.3.4", ":1.2.3.4", "a:b", "-a:1.2.3.4"].map(extra_host),
            [const { None }; 7]
        );
        assert_eq!(tmpfs("/run"), Some(("/run", "")));
        assert_eq!(tmpfs("/tmp:size=64m,mode=1777,noexec"), Some(("/tmp", "size=64m,mode=1777,noexec")));
        assert_eq!(["", "run", "/", "/a:size=x", "/a:bind", "/a:mode=9"].map(tmpfs), [None; 6]);
        assert_eq!(["all", "2", "0", "-1", "x"].map(gpus), [Some(-1), Some(2), None, None, None]);
    }
}
