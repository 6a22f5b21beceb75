//! Reads the values of `runner_args` that several runners support. A value that cannot be used is an error, never ignored.

use pipelens_core::arguments::{memory_bytes, nano_cpus};
use pipelens_core::plan::Value;

use crate::error::EngineError;

/// Returns the error for arguments that cannot be used.
pub(crate) fn bad(reason: String) -> EngineError {
    EngineError::Refused { doing: "read `runner_args`", reason }
}

/// Returns a step's arguments with their names; there may be none.
pub(crate) fn entries(arguments: Option<&Value>) -> Result<&[(String, Value)], EngineError> {
    match arguments {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Map(entries)) => Ok(entries),
        Some(_) => Err(bad("`runner_args` must be a mapping".to_owned())),
    }
}

/// Reads a text or a number.
pub(crate) fn word(name: &str, value: &Value) -> Result<String, EngineError> {
    match value {
        Value::Text(text) if !text.is_empty() => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Text(_) | Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
            Err(bad(format!("`{name}` needs a value")))
        }
    }
}

/// Reads `memory`, in bytes.
pub(crate) fn memory(value: &Value) -> Result<i64, EngineError> {
    let text = word("memory", value)?;
    memory_bytes(&text).ok_or_else(|| {
        bad(format!("`memory` must be a number of bytes, or a number with `k`, `m` or `g`; got `{text}`"))
    })
}

/// Reads `cpus`, in billionths of a processor.
pub(crate) fn cpus(value: &Value) -> Result<i64, EngineError> {
    let text = word("cpus", value)?;
    nano_cpus(&text).ok_or_else(|| bad(format!("`cpus` must be a number above 0; got `{text}`")))
}
