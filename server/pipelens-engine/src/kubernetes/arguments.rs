//! Reads the `runner_args` of a step for a cluster.

use std::collections::BTreeMap;

use pipelens_core::arguments::{self, ContainerOptions, Service};
use pipelens_core::plan::Value;
use pipelens_core::runners;
use serde_json::json;

use crate::argument_values::{self, bad, cpus, memory, word};
use crate::error::EngineError;

/// The runner as pipeline authors know it.
pub(super) const VOCABULARY: &runners::Runner = runners::named("kubernetes");
/// The machine of the engine, as containers see it.
const GATEWAY: &str = "host-gateway";

/// The options a step sets for its pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Arguments {
    /// Numeric ids of a user and a group.
    pub(super) user: Option<(u64, Option<u64>)>,
    /// Such as `arm64`.
    pub(super) architecture: Option<String>,
    memory_bytes: Option<i64>,
    /// Billionths of a processor.
    nano_cpus: Option<i64>,
    pub(super) options: ContainerOptions,
    pub(super) services: Vec<Service>,
}

impl Arguments {
    /// Reads a step's options. Anything unknown is an error: if it were ignored, the pod would be less restricted than requested.
    pub(super) fn of(value: Option<&Value>) -> Result<Self, EngineError> {
        let mut arguments = Self::default();
        let entries = argument_values::entries(value)?;
        for (name, value) in entries {
            match name.as_str() {
                _ if *value == Value::Null => {}
                "user" => arguments.user = Some(user(&word(name, value)?)?),
                "platform" => arguments.architecture = Some(architecture(&word(name, value)?)?),
                "memory" => arguments.memory_bytes = Some(memory(value)?),
                "cpus" => arguments.nano_cpus = Some(cpus(value)?),
                // Read as a whole, below.
                "services" => {}
                _ if !VOCABULARY.takes(name) => return Err(unknown(name)),
                _ => match arguments.options.read(name, value) {
                    Some(read) => read.map_err(|wanted| bad(format!("`{name}` must be {wanted}")))?,
                    None => return Err(unknown(name)),
                },
            }
        }
        for service in value.map(arguments::services).unwrap_or_default() {
            let service = service.map_err(bad)?;
            check_options(&service)?;
            arguments.services.push(service);
        }
        Ok(arguments)
    }

    /// Returns what a service gets of a step's options, which are about the step's own container.
    pub(super) fn of_service(&self) -> Self {
        Self { architecture: self.architecture.clone(), ..Self::default() }
    }

    /// Returns the requests and limits of the step's container: Kubernetes reserves what the step may use.
    pub(super) fn resources(&self) -> Option<serde_json::Value> {
        let mut amounts = BTreeMap::new();
        if let Some(bytes) = self.memory_bytes {
            amounts.insert("memory".to_owned(), bytes.to_string());
        }
        if let Some(billionths) = self.nano_cpus {
            // The smallest unit that Kubernetes knows.
            let thousandths = (billionths / 1_000_000).max(1);
            amounts.insert("cpu".to_owned(), format!("{thousandths}m"));
        }
        (!amounts.is_empty()).then(|| json!({ "limits": amounts, "requests": amounts }))
    }
}

/// Returns lines of `/etc/hosts`, by address.
pub(super) fn host_aliases(hosts: &[(String, String)]) -> Vec<serde_json::Value> {
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, address) in hosts {
        names.entry(address).or_default().push(name.clone());
    }
    names.into_iter().map(|(ip, names)| json!({ "ip": ip, "hostnames": names })).collect()
}

/// Returns the names and addresses of `extra_hosts`.
pub(super) fn extra_hosts(options: &ContainerOptions) -> Result<Vec<(String, String)>, EngineError> {
    let pair = |text: &String| match text.split_once(':') {
        Some((_, GATEWAY)) | None => Err(bad(format!(
            "`{text}` in `extra_hosts` means the machine of the engine, of which a pod knows nothing; give an address"
        ))),
        Some((name, address)) => Ok((name.to_owned(), address.to_owned())),
    };
    options.extra_hosts.iter().map(pair).collect()
}

/// Refuses what a container in a cluster cannot have.
fn check_options(service: &Service) -> Result<(), EngineError> {
    let ContainerOptions { ulimits, init, gpus, .. } = &service.options;
    let asked = [("ulimits", !ulimits.is_empty()), ("init", *init == Some(false)), ("gpus", gpus.is_some())];
    match asked.iter().find(|(_, is_asked)| *is_asked) {
        Some((name, _)) => {
            let service = &service.name;
            Err(bad(format!("the `kubernetes` runner does not support `{name}`, which service `{service}` sets")))
        }
        None => Ok(()),
    }
}

fn unknown(name: &str) -> EngineError {
    bad(format!(
        "the `kubernetes` runner does not support `{name}`; expected one of `{}`",
        VOCABULARY.arguments.join("`, `")
    ))
}

/// Kubernetes takes no names.
fn user(text: &str) -> Result<(u64, Option<u64>), EngineError> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    // Of an id, Kubernetes keeps 31 bits.
    let number = |text: &str| text.parse().ok().filter(|number| *number <= u64::from(u32::MAX >> 1));
    let read = number(user).zip(match group {
        Some(group) => number(group).map(Some),
        None => Some(None),
    });
    read.ok_or_else(|| bad(format!("`user` must be a number, or two with a colon; got `{text}`")))
}

fn architecture(platform: &str) -> Result<String, EngineError> {
    match platform.split('/').collect::<Vec<_>>()[..] {
        ["linux", architecture] | ["linux", architecture, _] if !architecture.is_empty() => Ok(architecture.to_owned()),
        _ => Err(bad(format!("`platform` must be such as `linux/arm64`; got `{platform}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: Value) -> Result<Arguments, String> {
        let map = Value::Map(vec![(name.to_owned(), value)]);
        Arguments::of(Some(&map)).map_err(|error| error.to_string())
    }

    fn amount(arguments: &Arguments, name: &str) -> Option<String> {
        let resources = arguments.resources()?;
        assert_eq!(resources["requests"], resources["limits"]);
        resources["limits"][name].as_str().map(str::to_owned)
    }

    #[test]
    fn limits_are_read_as_the_checks_read_them_and_reserved() {
        let memory = of("memory", Value::Text("512m".into())).unwrap();
        assert_eq!(amount(&memory, "memory").as_deref(), Some("536870912"));
        assert_eq!(amount(&of("cpus", Value::Float(0.5)).unwrap(), "cpu").as_deref(), Some("500m"));
        assert!(of("memory", Value::Text("much".into())).is_err());
        assert_eq!(Arguments::default().resources(), None);
    }

    #[test]
    fn a_user_is_a_number() {
        assert_eq!(of("user", Value::Integer(1000)).unwrap().user, Some((1000, None)));
        assert_eq!(of("user", Value::Text("1:2".into())).unwrap().user, Some((1, Some(2))));
        for text in ["www-data", "-1", "1:", ":1"] {
            assert!(of("user", Value::Text(text.into())).unwrap_err().contains("must be a number"), "{text}");
        }
    }

    #[test]
    fn what_it_does_not_support_is_refused_by_name() {
        for name in ["privileged", "mounts", "network", "gpus", "ulimits", "init", "devices"] {
            let refused = of(name, Value::Bool(true)).unwrap_err();
            assert!(refused.contains(&format!("does not support `{name}`; expected one of `user`")), "{refused}");
        }
    }

    #[test]
    fn a_service_gets_nothing_that_a_cluster_cannot_give() {
        let service = |key: &str, value: Value| {
            let entries = vec![("image".to_owned(), Value::Text("a".into())), (key.to_owned(), value)];
            of("services", Value::Map(vec![("db".to_owned(), Value::Map(entries))]))
        };
        assert_eq!(service("shm_size", Value::Integer(7)).unwrap().services[0].options.shm_bytes, Some(7));
        assert!(service("init", Value::Bool(true)).is_ok());
        for (key, value) in [("gpus", Value::Integer(1)), ("init", Value::Bool(false))] {
            let refused = service(key, value).unwrap_err();
            assert!(refused.contains(&format!("does not support `{key}`, which service `db` sets")), "{refused}");
        }
    }

    #[test]
    fn names_with_one_address_are_in_one_line() {
        let hosts = [("a", "127.0.0.1"), ("far", "10.1.2.3"), ("b", "127.0.0.1")]
            .map(|(name, address)| (name.to_owned(), address.to_owned()));
        let far = json!({ "ip": "10.1.2.3", "hostnames": ["far"] });
        assert_eq!(host_aliases(&hosts), [far, json!({ "ip": "127.0.0.1", "hostnames": ["a", "b"] })]);
    }
}
