//! Steps as processes of this machine, in a private copy of the sources.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::EngineError;
use crate::logs::StepLogs;
use crate::outbox::Outbox;
use crate::runner::{RunContext, StepResult, StepRunner};
use crate::sources::Sources;

#[derive(Debug)]
pub(crate) struct HostRunner {}

impl HostRunner {
    pub(crate) fn open(_run_id: Uuid, _sources: Arc<Sources>, _outbox: &Outbox) -> Result<Self, EngineError> {
        Ok(Self {})
    }
}

#[async_trait]
impl StepRunner for HostRunner {
    fn name(&self) -> &'static str {
        "host"
    }

    fn parallelism(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    async fn run_step(&self, _context: &RunContext, _logs: &mut StepLogs) -> StepResult {
        StepResult { ending: Err(EngineError::HostUnsupported), snapshot: None, tidy: None }
    }

    async fn close(&self) -> Vec<String> {
        Vec::new()
    }
}
