//! The services of a step with the places of their parts, for findings.

use crate::arguments::{self, Ready};
use crate::model::{EnvVar, SpannedValue, Step};
use crate::text::{Spanned, TextRange};

/// The parts of a service that findings can be about.
pub(super) struct PlacedService {
    pub(super) image: Spanned<String>,
    pub(super) env: Vec<EnvVar>,
    pub(super) cmd: Option<Spanned<String>>,
    pub(super) secrets: Vec<Spanned<String>>,
    /// The command that tells whether the service is ready.
    pub(super) ready_command: Option<Spanned<String>>,
}

/// Returns the services a step asks for, without those that cannot be read: they have findings of their own.
pub(super) fn services(step: &Step) -> impl Iterator<Item = PlacedService> {
    let arguments = step.runner_args.iter().flat_map(|arguments| arguments.value.entries());
    let services = arguments.filter(|(name, _)| name.value == "services").take(1);
    services.flat_map(|(_, services)| services.value.entries()).filter_map(|(name, value)| placed(&name.value, value))
}

fn placed(name: &str, value: &Spanned<SpannedValue>) -> Option<PlacedService> {
    let service = arguments::service(name, &value.value.plain()).ok()?;
    // If a key is written twice, the last one counts.
    let find = |key: &str| {
        value
            .value
            .entries()
            .iter()
            .rfind(|(name, part)| name.value == key && part.value != SpannedValue::Null)
            .map(|(_, part)| part)
    };
    let range = |key: &str| find(key).map_or(value.range, |part| part.range);
    let names = find("env").map(|env| env.value.entries()).unwrap_or_default();
    let env = names.iter().zip(service.env).map(|((name, value), (_, text))| {
        let value = Spanned::new(text, value.range);
        EnvVar { name: name.clone(), value }
    });
    let ready_command = match service.ready {
        Some(Ready::Command(command)) => Some(Spanned::new(command, range("ready"))),
        Some(Ready::Port(_)) | None => None,
    };
    Some(PlacedService {
        image: Spanned::new(service.image, range("image")),
        env: env.collect(),
        secrets: find("secrets").map(|secrets| texts(&secrets.value)).unwrap_or_default(),
        cmd: service.cmd.map(|cmd| Spanned::new(cmd, range("cmd"))),
        ready_command,
    })
}

fn texts(value: &SpannedValue) -> Vec<Spanned<String>> {
    let SpannedValue::List(items) = value else { return Vec::new() };
    let texts = items.iter().filter_map(|item| match &item.value {
        SpannedValue::Text(text) => Some(Spanned::new(text.clone(), item.range)),
        _ => None,
    });
    texts.collect()
}

/// Returns where a step asks for services, if it asks for any.
pub(super) fn place(step: &Step) -> Option<TextRange> {
    let arguments = step.runner_args.as_ref()?.value.entries();
    let asks = |(name, value): &&(Spanned<String>, Spanned<SpannedValue>)| {
        name.value == "services" && !value.value.entries().is_empty()
    };
    arguments.iter().find(asks).map(|(name, _)| name.range)
}
