//! Reads the `runner_args` of a step for Docker. What gives a container access to the machine needs the user's consent.

use bollard::models::{DeviceRequest, HostConfig, Mount, MountType, ResourcesUlimits};
use pipelens_core::arguments::{self, ContainerOptions, Service, is_of_another_container};
use pipelens_core::plan::Value;
use pipelens_core::runners;

use crate::argument_values::{self, bad, cpus, memory, word};
use crate::error::EngineError;

/// The runner as pipeline authors know it.
pub(super) const VOCABULARY: &runners::Runner = runners::named("docker");

/// The options a step sets for its container.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Arguments {
    pub(super) user: Option<String>,
    pub(super) platform: Option<String>,
    pub(super) pull: Pull,
    pub(super) network: Option<String>,
    memory_bytes: Option<i64>,
    /// Billionths of a processor.
    nano_cpus: Option<i64>,
    is_privileged: bool,
    mounts: Vec<Mount>,
    options: ContainerOptions,
    pub(super) services: Vec<Service>,
    /// The names of those services that have an address of their own, because another one listens on the same port.
    pub(super) apart: Vec<String>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pull {
    #[default]
    Missing,
    Always,
    Never,
}

impl Arguments {
    pub(super) fn is_privileged(&self) -> bool {
        self.is_privileged
    }

    /// Reads a step's options. Anything unknown is an error: if it were ignored, the container would be less restricted than requested.
    pub(super) fn of(value: Option<&Value>, may_open_machine: bool) -> Result<Self, EngineError> {
        let mut arguments = Self::default();
        let entries = argument_values::entries(value)?;
        if let Some(name) = value.and_then(arguments::wants_the_machine).filter(|_| !may_open_machine) {
            return Err(bad(format!(
                "`{name}` gives the command access to the engine's machine and needs the user's consent"
            )));
        }
        for (name, value) in entries {
            match name.as_str() {
                "user" => arguments.user = Some(word(name, value)?),
                "platform" => arguments.platform = Some(word(name, value)?),
                "network" => arguments.network = Some(network(&word(name, value)?)?),
                "memory" => arguments.memory_bytes = Some(memory(value)?),
                "cpus" => arguments.nano_cpus = Some(cpus(value)?),
                "pull" => arguments.pull = pull(&word(name, value)?)?,
                "privileged" => arguments.is_privileged = truth(name, value)?,
                "mounts" => arguments.mounts = mounts(value)?,
                // Read as a whole, below.
                "services" => {}
                _ if *value == Value::Null => {}
                _ => match arguments.options.read(name, value) {
                    Some(read) => read.map_err(|wanted| bad(format!("`{name}` must be {wanted}")))?,
                    None => return Err(unknown(name)),
                },
            }
        }
        for service in value.map(arguments::services).unwrap_or_default() {
            arguments.services.push(service.map_err(bad)?);
        }
        Ok(arguments)
    }

    /// Returns the names of the services that share the step's network.
    pub(super) fn together(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|service| service.name.as_str()).filter(|name| !self.is_apart(name))
    }

    pub(super) fn is_apart(&self, service: &str) -> bool {
        self.apart.iter().any(|name| name == service)
    }

    pub(super) fn host_config(&self) -> HostConfig {
        let mut host_config = with_options(HostConfig::default(), &self.options);
        // The other services use the container's own network.
        let together = self.together().map(|name| format!("{name}:127.0.0.1"));
        let all = host_config.extra_hosts.get_or_insert_default();
        all.extend(together);
        let sharing = self.services.iter().filter(|service| !self.is_apart(&service.name));
        all.extend(sharing.flat_map(|service| service.options.extra_hosts.iter().cloned()));
        HostConfig {
            network_mode: self.network.clone(),
            memory: self.memory_bytes,
            // Swap does not add to it.
            memory_swap: self.memory_bytes,
            nano_cpus: self.nano_cpus,
            privileged: Some(self.is_privileged),
            mounts: Some(self.mounts.clone()),
            ..host_config
        }
    }
}

/// Adds what steps and services have in common.
pub(super) fn with_options(host_config: HostConfig, options: &ContainerOptions) -> HostConfig {
    let ulimits = options.ulimits.iter().map(|(name, soft, hard)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(*soft),
        hard: Some(*hard),
    });
    let gpus = |count| DeviceRequest {
        count: Some(count),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    };
    HostConfig {
        shm_size: options.shm_bytes,
        ulimits: Some(ulimits.collect()),
        extra_hosts: Some(options.extra_hosts.clone()),
        init: options.init,
        tmpfs: (!options.tmpfs.is_empty()).then(|| options.tmpfs.iter().cloned().collect()),
        device_requests: options.gpus.map(|count| vec![gpus(count)]),
        ..host_config
    }
}

fn unknown(name: &str) -> EngineError {
    bad(format!("unknown argument `{name}`; expected one of `{}`", VOCABULARY.arguments.join("`, `")))
}

fn truth(name: &str, value: &Value) -> Result<bool, EngineError> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        _ => Err(bad(format!("`{name}` must be `true` or `false`"))),
    }
}

/// A source that does not exist is an error; otherwise the engine would create a directory there.
fn mounts(value: &Value) -> Result<Vec<Mount>, EngineError> {
    let Value::List(items) = value else { return Err(bad("`mounts` must be a list".to_owned())) };
    let mount = |text: &str| {
        let mount = arguments::mount(text)
            .ok_or_else(|| bad(format!("a mount must be `/source:/target` or `/source:/target:ro`; got `{text}`")))?;
        Ok(Mount {
            source: Some(mount.source.to_owned()),
            target: Some(mount.target.to_owned()),
            read_only: Some(mount.is_read_only),
            typ: Some(MountType::BIND),
            ..Mount::default()
        })
    };
    items.iter().map(|item| mount(&word("mounts", item)?)).collect()
}

/// A pipeline may not choose the host's network or another container's.
fn network(name: &str) -> Result<String, EngineError> {
    if is_of_another_container(name) {
        return Err(bad(format!(
            "the network `{name}` gives access to another container, which a pipeline may not ask for"
        )));
    }
    Ok(name.to_owned())
}

fn pull(text: &str) -> Result<Pull, EngineError> {
    match text {
        "missing" => Ok(Pull::Missing),
        "always" => Ok(Pull::Always),
        "never" => Ok(Pull::Never),
        _ => Err(bad(format!("`pull` must be `missing`, `always` or `never`; got `{text}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: Value) -> Result<Arguments, String> {
        let map = Value::Map(vec![(name.to_owned(), value)]);
        Arguments::of(Some(&map), false).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_read_as_the_checks_read_them() {
        assert_eq!(of("memory", Value::Text("512m".into())).unwrap().memory_bytes, Some(512 << 20));
        assert_eq!(of("cpus", Value::Float(0.5)).unwrap().nano_cpus, Some(500_000_000));
        assert!(of("memory", Value::Text("much".into())).is_err());
    }

    #[test]
    fn arguments_that_are_unknown_or_give_access_to_the_machine_are_refused() {
        let other = of("network", Value::Text("container:other".into()));
        assert!(other.unwrap_err().contains("which a pipeline may not ask for"));
        for (name, value) in [("network", "host"), ("gpus", "all")] {
            assert!(of(name, Value::Text(value.into())).unwrap_err().contains("needs the user's consent"));
        }
        for name in ["volumes", "devices", "cap_add"] {
            assert!(of(name, Value::Bool(true)).unwrap_err().contains("expected one of `user`"));
        }
        assert!(of("privileged", Value::Bool(true)).unwrap_err().contains("needs the user's consent"));
        assert!(!of("privileged", Value::Bool(false)).unwrap().is_privileged);
    }
}
