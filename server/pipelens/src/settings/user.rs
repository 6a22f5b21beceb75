//! The user's own settings, for the command line and for every editor: one file in the user's folder for configuration, and a variable. A project
//! cannot change them. What an editor or a command line says takes precedence.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::project::{MAX_BYTES, MAX_NESTING, nesting};
use super::{Settings, schema};

/// Names another file than the default one.
const FILE_VARIABLE: &str = "PIPELENS_SETTINGS";
/// The runner for steps that do not name one.
const RUNNER_VARIABLE: &str = "PIPELENS_RUNNER";

impl Settings {
    /// Returns the user's settings for the command line.
    pub(crate) fn of_user() -> anyhow::Result<Self> {
        Self::over_users(Value::Object(Map::new()))
    }

    /// Returns the file with the user's settings, whether it exists or not.
    pub(crate) fn user_file() -> Option<PathBuf> {
        match std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => Some(PathBuf::from(path)),
            None => Some(dirs::config_dir()?.join("pipelens").join("settings.yaml")),
        }
    }

    /// Returns what an editor sent, over the user's settings.
    pub(crate) fn over_users(sent: Value) -> anyhow::Result<Self> {
        let mut settings = match Self::user_file() {
            Some(path) => read(&path)?,
            None => Map::new(),
        };
        if let Some(runner) = std::env::var_os(RUNNER_VARIABLE).filter(|runner| !runner.is_empty()) {
            let runner = runner.to_string_lossy().into_owned();
            runner_of(&runner).with_context(|| format!("The variable `{RUNNER_VARIABLE}` cannot be used"))?;
            settings.insert("runner".to_owned(), Value::String(runner));
        }
        let mut settings = Value::Object(settings);
        lay_over(&mut settings, nested(sent));
        Ok(serde_json::from_value(settings)?)
    }
}

fn runner_of(name: &str) -> anyhow::Result<super::Runner> {
    super::Runner::try_from(name.to_owned()).map_err(anyhow::Error::msg)
}

/// Reads a file of settings, each under the name it has in an editor, without `pipelens.`. Without the file, there are none.
fn read(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let shown = path.display();
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Map::new()),
        file => file.with_context(|| format!("Cannot read your settings, `{shown}`"))?,
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("Cannot read your settings, `{shown}`"))?;
    if text.len() as u64 > MAX_BYTES {
        bail!("Your settings, `{shown}`, are longer than 64 KiB");
    }
    parse(&text).with_context(|| format!("Your settings, `{shown}`, cannot be used"))
}

fn parse(text: &str) -> anyhow::Result<Map<String, Value>> {
    if nesting(text) > MAX_NESTING {
        bail!("they are nested deeper than {MAX_NESTING} levels; settings have two");
    }
    let settings = match serde_yaml::from_str::<Value>(text)? {
        Value::Null => Map::new(),
        Value::Object(settings) => settings,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            bail!("a mapping is expected, such as `runner: host`")
        }
    };
    let known = names();
    if let Some(unknown) = settings.keys().find(|name| !known.contains(name)) {
        let advice = if unknown.starts_with("pipelens.") {
            "leave out `pipelens.`".to_owned()
        } else {
            format!("the names are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        };
        bail!("there is no setting `{unknown}`; {advice}");
    }
    // One mistake in the file is reported for the file, before anything is laid over it.
    serde_json::from_value::<Settings>(Value::Object(settings.clone()))?;
    Ok(settings)
}

fn names() -> Vec<String> {
    let schema: Value = serde_json::from_str(&schema()).unwrap_or_default();
    let names = schema.get("properties").and_then(Value::as_object);
    names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
}

/// Returns settings with dotted names as settings of groups: `lenses.step` is the `step` of `lenses`.
fn nested(sent: Value) -> Value {
    let Value::Object(sent) = sent else { return sent };
    let (dotted, plain): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(name, _)| name.contains('.'));
    let mut settings = Value::Object(plain.into_iter().collect());
    for (name, value) in dotted {
        let name = name.strip_prefix("pipelens.").unwrap_or(&name);
        let value =
            name.rsplit('.').fold(value, |value, part| Value::Object(Map::from_iter([(part.to_owned(), value)])));
        lay_over(&mut settings, value);
    }
    settings
}

/// Replaces settings by those of `over`; groups of settings are combined.
fn lay_over(settings: &mut Value, over: Value) {
    match (settings, over) {
        (Value::Object(settings), Value::Object(over)) => {
            for (name, value) in over {
                lay_over(settings.entry(name).or_insert(Value::Null), value);
            }
        }
        (settings, over) => *settings = over,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_of_settings_are_combined_and_the_editor_wins() {
        let mut settings = json!({"runner": "host", "run": {"logsMib": 1, "endMessage": false}});
        lay_over(&mut settings, json!({"runner": "docker", "run": {"logsMib": 2}}));
        assert_eq!(settings, json!({"runner": "docker", "run": {"logsMib": 2, "endMessage": false}}));
    }

    #[test]
    fn a_single_setting_of_a_group_can_be_sent_with_a_dotted_name() {
        let sent =
            json!({"runner": "host", "lenses.step": false, "pipelens.lenses.from": false, "lenses": {"cache": false}});
        let group = json!({"cache": false, "step": false, "from": false});
        assert_eq!(nested(sent), json!({"runner": "host", "lenses": group}));
    }

    #[test]
    fn mistakes_are_explained() {
        let why = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert_eq!(why("pipelens.runner: host"), "there is no setting `pipelens.runner`; leave out `pipelens.`");
        assert!(
            why("runer: host").starts_with("there is no setting `runer`; the names are "),
            "{}",
            why("runer: host")
        );
        assert_eq!(why("runner: hsot"), "unknown runner `hsot`, expected `docker` or `host`");
        assert_eq!(why("- host"), "a mapping is expected, such as `runner: host`");
        assert_eq!(parse("# nothing").unwrap(), Map::new());
        assert_eq!(parse("runner: host\nlenses: {from: false}").unwrap().len(), 2);
    }
}
