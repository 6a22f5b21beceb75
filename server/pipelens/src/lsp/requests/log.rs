//! The log of a step as a document: its text, what can be folded in it, and links to the files of the project that it names.

use lsp_types::{DocumentLink, FoldingRange, FoldingRangeKind, Uri};
use pipelens_core::problems::{Problem, Reader, sections};
use pipelens_core::text::{LineIndex, TextRange};
use tower_lsp::UriExt;
use tower_lsp::jsonrpc::{Error, ErrorCode, Result};

use crate::lsp::protocol::files::path_of;
use crate::lsp::protocol::log_content::{ContentParams, ContentResult};
use crate::lsp::protocol::positions::{TextMap, Units, to_u32};
use crate::lsp::runs::log_documents;
use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;
use crate::problems::Locator;
use crate::settings::matchers::compiled;

/// The error code of a request that failed although it was right.
const REQUEST_FAILED: i64 = -32803;
/// A problem is complete at most so many lines after the one that names its place: a failed test of Go waits for its package.
const MOST_LINES_AFTER: usize = 1_100;

pub(crate) fn content(server: &Server, _: &Documents, params: ContentParams) -> Result<ContentResult> {
    let Some((run, step)) = log_documents::meant(&server.runs.registry, &params.uri) else {
        let message = "This log is not known any more: the logs of the newest 50 runs are kept".into();
        return Err(Error { code: ErrorCode::ServerError(REQUEST_FAILED), message, data: None });
    };
    // First, so that no change is missed.
    server.runs.log_documents.show(&params.uri);
    Ok(ContentResult { text: log_documents::text(&run, step) })
}

/// Returns what can be folded in a log; `None` if it is none.
pub(super) fn folds(server: &Server, documents: &Documents, uri: &Uri) -> Option<Vec<FoldingRange>> {
    let (run, step) = log_documents::meant(&server.runs.registry, uri)?;
    let text = open_text(documents, uri).unwrap_or_else(|| log_documents::text(&run, step));
    let folds = sections(&text).into_iter().map(|section| FoldingRange {
        start_line: to_u32(section.start_line),
        end_line: to_u32(section.end_line),
        kind: Some(FoldingRangeKind::Region),
        ..FoldingRange::default()
    });
    Some(folds.collect())
}

/// Returns links from the problems in a log to the places they are about; `None` if it is none.
pub(super) fn links(server: &Server, documents: &Documents, uri: &Uri) -> Option<Vec<DocumentLink>> {
    let (run, step) = log_documents::meant(&server.runs.registry, uri)?;
    let text = open_text(documents, uri).unwrap_or_else(|| log_documents::text(&run, step));
    let root = server.settings.root_of(&path_of(&run.uri)?);
    let matchers = compiled(&server.settings.project(&root).problem_matchers).unwrap_or_default();
    let command = run.plan.steps.get(step).map(|step| step.cmd.as_str()).unwrap_or_default();
    let mut reader = Reader::new(std::sync::Arc::new(matchers), command);
    let (index, units) = (LineIndex::new(&text), Units::new(&text));
    let map = TextMap::new(&text, &index, &units, server.settings.encoding());
    let mut locator = Locator::new(&root, &run.plan);
    let mut links: Vec<(TextRange, Uri)> = Vec::new();
    let last = index.line(text.len());
    for line in 0..=last {
        let mut found = Vec::new();
        reader.read(line_of(&text, &index, line), &mut found);
        if line == last {
            reader.finish(&mut found);
        }
        found.iter().for_each(|problem| link(&mut links, &mut locator, step, problem, (&text, &index, line)));
    }
    links.sort_by_key(|(range, _)| range.start);
    links.dedup_by_key(|(range, _)| range.start);
    let link =
        |(range, target)| DocumentLink { range: map.range(range), target: Some(target), tooltip: None, data: None };
    Some(links.into_iter().map(link).collect())
}

/// Adds links for all places of a problem that is complete at a line.
fn link(
    links: &mut Vec<(TextRange, Uri)>,
    locator: &mut Locator,
    step: usize,
    problem: &Problem,
    (text, index, line): (&str, &LineIndex, usize),
) {
    for place in problem.places.iter().chain(problem.related.iter().map(|(place, _)| place)) {
        let first = line.saturating_sub(MOST_LINES_AFTER);
        let named = (first..=line).rev().find_map(|line| {
            let start = index.line_range(line).start;
            mention(line_of(text, index, line), &place.file, place.line)
                .map(|found| TextRange::new(start + found.start, start + found.end))
        });
        let Some((range, (file, at))) = named.zip(locator.place(step, place)) else { continue };
        let line_index = &file.line_index;
        let (line, units) = (line_index.line(at.start), Units::new(&file.text));
        let position = TextMap::new(&file.text, line_index, &units, Default::default()).position(at.start);
        // As VS Code, Neovim and others read it: from 1.
        let fragment = format!("#L{},{}", line + 1, position.character + 1);
        let target = Uri::from_file_path(&file.path).and_then(|uri| format!("{}{fragment}", uri.as_str()).parse().ok());
        links.extend(target.map(|target| (range, target)));
    }
}

fn line_of<'text>(text: &'text str, index: &LineIndex, line: usize) -> &'text str {
    let range = index.line_range(line);
    text.get(range.start..range.end).unwrap_or_default().trim_end_matches(['\n', '\r'])
}

/// Returns where a line names a place: `src/a.rs:3:7`, `a.c(3,7)`, `"a.py", line 3`; or the file alone if the number is elsewhere.
fn mention(line: &str, file: &str, number: u32) -> Option<TextRange> {
    let digits = number.to_string();
    let found = line.match_indices(file).find_map(|(start, _)| {
        let end = start + file.len();
        let rest = line.get(end..)?;
        let before = rest.find(|character: char| character.is_ascii_digit())?;
        let is_close = rest.get(..before)?.chars().all(|character| " :(,\"'line[".contains(character));
        let after = rest.get(before..)?.strip_prefix(&digits)?;
        let is_number = !after.starts_with(|next: char| next.is_ascii_digit());
        let column = after.strip_prefix([':', ',']).map_or(0, |column| {
            let digits = column.len() - column.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
            if digits > 0 { digits + 1 } else { 0 }
        });
        (is_close && is_number).then(|| TextRange::new(start, end + before + digits.len() + column))
    });
    found.filter(|_| !file.is_empty())
}

/// Returns the text that the client has, to which its positions belong.
fn open_text(documents: &Documents, uri: &Uri) -> Option<String> {
    Some(documents.get(uri)?.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_in_its_line() {
        let found = |line: &str, file: &str, number: u32| {
            mention(line, file, number).map(|range| line.get(range.start..range.end).unwrap().to_owned())
        };
        assert_eq!(found("  --> src/a.rs:3:7", "src/a.rs", 3).as_deref(), Some("src/a.rs:3:7"));
        assert_eq!(found("a.ts(3,7): error", "a.ts", 3).as_deref(), Some("a.ts(3,7"));
        assert_eq!(found("  File \"a.py\", line 12", "a.py", 12).as_deref(), Some("a.py\", line 12"));
        assert_eq!(found("a.c:33: x", "a.c", 3), None);
        assert_eq!(found("a.c: in f\na.c:3: x", "a.c", 3).as_deref(), Some("a.c:3"));
        assert_eq!(found("nothing", "a.c", 3), None);
    }
}
