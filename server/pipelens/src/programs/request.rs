//! What is asked of a program, and what came out of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipelens_core::programs::{Failure, Language, Rendering};

use crate::project;
use crate::settings::Programs;

/// What is to be rendered.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) root: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) language: Language,
    /// The text of the program, which need not be that of the file.
    pub(crate) text: String,
    /// The texts of other programs that an editor has open.
    pub(crate) others: BTreeMap<PathBuf, String>,
    /// The interpreter that the settings name.
    pub(crate) interpreter: Option<String>,
    /// The command that the settings have for it.
    pub(crate) command: Vec<String>,
}

impl Request {
    /// Asks for a program as it is on disk or in an editor; its project is the folder that has its `.hm`.
    pub(crate) fn new(program: PathBuf, language: Language, text: String, settings: &Programs) -> Self {
        let interpreter = match language {
            Language::Python => settings.python.clone(),
            Language::TypeScript => settings.typescript.clone(),
            Language::Other => None,
        };
        let root = match language {
            Language::Python | Language::TypeScript => program.parent().and_then(Path::parent).map(Path::to_owned),
            Language::Other => None,
        };
        let root = root.filter(|root| !root.as_os_str().is_empty()).unwrap_or_else(|| project::root_of(&program, &[]));
        let command = settings.commands.of(&program, &root).unwrap_or_default().to_vec();
        Self { root, program, language, text, others: BTreeMap::new(), interpreter, command }
    }
}

/// What came out of a program.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    pub(crate) rendering: Arc<Rendering>,
    /// The envelope as the SDK prints it; `None` if the program has failed.
    pub(crate) envelope: Option<String>,
    /// What the program printed.
    pub(crate) output: String,
    /// The interpreter, and what could not be found out.
    pub(crate) notices: Vec<String>,
}

pub(super) fn failed(request: &Request, before: Option<&Rendering>, failure: Failure, output: String) -> Rendered {
    let rendering = Rendering::failed(&request.text, request.language, &failure, before);
    Rendered { rendering: Arc::new(rendering), envelope: None, output, notices: Vec::new() }
}
