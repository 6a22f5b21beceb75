//! Pipelines that are programs: Python and TypeScript files that make them with the Harmont SDK. What a program declares is read here and never
//! executed; what it has made is put at the places of the program's text.

mod declared;
mod envelope;
mod made;
mod nodes;
mod python;
mod rendering;
pub(crate) mod stale;
mod typescript;

use crate::analysis::Analysis;
use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::model::{Pipeline, Spelling};
use crate::text::{LineIndex, Spanned, TextRange};

pub use crate::files::{FOLDERS, Language};
pub use declared::Declared;
pub use made::{Failure, Frame, Made, Position, Rendering};

/// Longer programs are not read.
const MAX_PROGRAM_BYTES: usize = 4 * 1024 * 1024;

/// Analyses the text of a program, with what it made the last time it was rendered. Nothing is executed.
pub fn analyze(text: &str, language: Language, rendering: Option<&Rendering>) -> Analysis {
    analyze_again(text, language, rendering, None)
}

/// Analyses the text of a program after an edit: what has stayed the same since `before` is not parsed again.
pub fn analyze_again(
    text: &str,
    language: Language,
    rendering: Option<&Rendering>,
    before: Option<&Analysis>,
) -> Analysis {
    let line_index = LineIndex::new(text);
    let mut findings = Findings::default();
    if text.len() > MAX_PROGRAM_BYTES {
        let message = "This program is larger than 4 MiB, the limit for a pipeline.";
        findings.push(Diagnostic::new(Code::TooLarge, TextRange::at(0), message));
        let (text, diagnostics) = (text.to_owned(), findings.finish());
        return Analysis { line_index, diagnostics, language: Some(language), text, ..Analysis::default() };
    }
    let before = before.filter(|before| before.language == Some(language));
    let tree = match before.and_then(|before| Some((before.text.as_str(), before.program.as_ref()?))) {
        Some(before) => nodes::parsed_again(text, language, before),
        None => nodes::parsed(text, language),
    };
    let declared = match (&tree, language) {
        (Some(tree), Language::Python) => python::declared(text, tree, &mut findings),
        (Some(tree), Language::TypeScript) => typescript::declared(text, tree),
        (_, Language::Other) | (None, _) => Vec::new(),
    };
    if let Some(tree) = &tree {
        nodes::report_syntax_errors(text, tree, language, &mut findings);
    }
    declared::check(&declared, &mut findings);
    let mut pipelines = Vec::new();
    let mut unplaced = Vec::new();
    if let Some(rendering) = rendering {
        let placed = stale::placed(text, rendering, &declared);
        findings.extend(placed.diagnostics);
        (pipelines, unplaced) = (placed.pipelines, placed.unplaced);
    }
    // Until it is rendered, a pipeline has a place and a name.
    let is_known = |slug: &str| pipelines.iter().any(|known: &Pipeline| known.is_named(slug));
    let new: Vec<Pipeline> = declared.iter().filter(|one| !is_known(&one.slug.value)).map(unrendered).collect();
    pipelines.extend(new);
    if language == Language::Other && rendering.is_none() {
        let first_line = TextRange::new(0, text.lines().next().unwrap_or_default().len());
        pipelines.push(unrendered_at(None, first_line, first_line));
    }
    Analysis {
        line_index,
        pipelines,
        diagnostics: findings.finish(),
        text: text.to_owned(),
        language: Some(language),
        program: tree,
        unplaced,
        ..Analysis::default()
    }
}

fn unrendered(declared: &Declared) -> Pipeline {
    unrendered_at(Some(declared.slug.clone()), declared.range, declared.heading)
}

fn unrendered_at(name: Option<Spanned<String>>, range: TextRange, heading: TextRange) -> Pipeline {
    Pipeline {
        spelling: Spelling::Envelope,
        range,
        heading,
        name,
        default_image: None,
        timeout_seconds: None,
        env: Vec::new(),
        fail_fast: None,
        triggers: Vec::new(),
        steps: Vec::new(),
        unnamed_steps: Vec::new(),
        barriers: Vec::new(),
    }
}
