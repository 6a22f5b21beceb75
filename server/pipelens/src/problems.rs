//! Problems in the output of a run, on the files of the project: which file each is in, and which text. For the command line and the editor.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use pipelens_core::diagnostic::Severity;
use pipelens_core::plan::{Plan, PlanStep};
use pipelens_core::problems::{Matchers, Names, Paths, Place, Problem, Project, Reader, Unit};
use pipelens_core::text::{LineIndex, TextRange};
use pipelens_engine::event::{BuildEvent, Outcome};
use pipelens_engine::files::ProjectFolder;
use pipelens_engine::project::ProjectFiles;

/// A longer file is not source code.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// A longer manifest of a package is not read.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// How much of a log is read again if lines were dropped on their way.
const MAX_LOG_BYTES: u64 = 64 << 20;
/// Columns between the stops of a tab.
const TAB: usize = 8;
/// Folders with the code of others: where a stack of calls passes through them, the caller is meant.
const FOREIGN: [&str; 6] = ["node_modules", "site-packages", ".venv", "venv", "vendor", "target"];

/// A problem in a file of the project.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) file: Arc<SourceText>,
    pub(crate) range: TextRange,
    pub(crate) severity: Severity,
    /// `cargo (step build)`
    pub(crate) source: String,
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    pub(crate) related: Vec<(Arc<SourceText>, TextRange, String)>,
}

/// A file of the project.
#[derive(Debug)]
pub(crate) struct SourceText {
    /// Relative to the project.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) line_index: LineIndex,
}

/// Reads the output of a run's steps, as its events come.
#[derive(Debug)]
pub(crate) struct Output {
    steps: Vec<StepOutput>,
    matchers: Arc<Matchers>,
}

#[derive(Debug)]
struct StepOutput {
    command: String,
    reader: Reader,
    /// Lines were dropped on their way.
    is_incomplete: bool,
}

/// What an event means for the problems of a step.
#[derive(Debug)]
pub(crate) enum News {
    /// The step starts, or its result comes from the cache: what it has reported before is gone.
    Begin(usize),
    Found(usize, Vec<Problem>),
    /// Not all lines of the step have come; its log has them.
    Again(usize, Box<Reader>),
}

impl Output {
    pub(crate) fn new(plan: &Plan, matchers: Matchers) -> Self {
        let matchers = Arc::new(matchers);
        let output = |step: &PlanStep| StepOutput {
            command: step.cmd.clone(),
            reader: Reader::new(matchers.clone(), &step.cmd),
            is_incomplete: false,
        };
        Self { steps: plan.steps.iter().map(output).collect(), matchers }
    }

    /// Takes in an event.
    pub(crate) fn read(&mut self, event: &BuildEvent) -> Option<News> {
        match event {
            BuildEvent::StepStart { step, .. } => {
                let output = self.steps.get_mut(*step)?;
                output.reader = Reader::new(self.matchers.clone(), &output.command);
                output.is_incomplete = false;
                Some(News::Begin(*step))
            }
            BuildEvent::StepLog { step, lines } => {
                let (output, mut found) = (self.steps.get_mut(*step)?, Vec::new());
                lines.iter().for_each(|line| output.reader.read(&line.text, &mut found));
                Some(News::Found(*step, found))
            }
            BuildEvent::StepLogSkipped { step, .. } => {
                self.steps.get_mut(*step)?.is_incomplete = true;
                None
            }
            BuildEvent::StepEnd { step, outcome: Outcome::Cached, .. } => Some(News::Begin(*step)),
            BuildEvent::StepEnd { step, .. } => {
                let (output, mut found) = (self.steps.get_mut(*step)?, Vec::new());
                if output.is_incomplete {
                    let reader = Reader::new(self.matchers.clone(), &output.command);
                    return Some(News::Again(*step, Box::new(reader)));
                }
                output.reader.finish(&mut found);
                Some(News::Found(*step, found))
            }
            BuildEvent::BuildStart { .. }
            | BuildEvent::Notice { .. }
            | BuildEvent::StepQueued { .. }
            | BuildEvent::ImageResolved { .. }
            | BuildEvent::StepPhase { .. }
            | BuildEvent::StepCacheHit { .. }
            | BuildEvent::StepArtifacts { .. }
            | BuildEvent::StepKept { .. }
            | BuildEvent::BuildEnd { .. } => None,
        }
    }
}

/// Reads a step's log from its beginning.
pub(crate) fn read_log(path: &Path, reader: &mut Reader) -> Vec<Problem> {
    let mut found = Vec::new();
    let Ok(file) = File::open(path) else { return found };
    let mut input = BufReader::new(file.take(MAX_LOG_BYTES));
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        reader.read(&String::from_utf8_lossy(&line), &mut found);
        line.clear();
    }
    reader.finish(&mut found);
    found
}

/// Finds the files that the problems of one run are in. Reads files of the project, and looks for nothing outside it.
pub(crate) struct Locator {
    root: PathBuf,
    folder: Option<ProjectFolder>,
    /// By step.
    steps: Vec<(String, Paths)>,
    names: OnceCell<Names>,
    texts: BTreeMap<String, Option<Arc<SourceText>>>,
    /// Files that were written later are passed over: what was said about them may be about other lines.
    before: Option<SystemTime>,
}

impl Locator {
    pub(crate) fn new(root: &Path, plan: &Plan) -> Self {
        let shown = root.to_string_lossy();
        let steps = plan.steps.iter().map(|step| (step.key.clone(), Paths::new(&shown, &step.workdir, &step.cmd)));
        Self {
            root: root.to_owned(),
            folder: ProjectFolder::open(root).ok(),
            steps: steps.collect(),
            names: OnceCell::new(),
            texts: BTreeMap::new(),
            before: None,
        }
    }

    /// From now on, looks only into files that have not been written since.
    pub(crate) fn only_older_than(&mut self, time: SystemTime) {
        self.before = Some(time);
    }

    /// Forgets what files contain: they may have changed.
    pub(crate) fn forget(&mut self) {
        self.texts.clear();
    }

    /// Returns the problem in the project; `None` if it is in no file of it.
    pub(crate) fn locate(&mut self, step: usize, problem: &Problem) -> Option<Located> {
        let (file, range) = problem.places.iter().rev().find_map(|place| self.place(step, place))?;
        let related = problem.related.iter().filter_map(|(place, message)| {
            let (file, range) = self.place(step, place)?;
            Some((file, range, message.clone()))
        });
        let related = related.collect();
        let key = &self.steps.get(step)?.0;
        let tool = problem.tool.as_deref().unwrap_or("output");
        Some(Located {
            file,
            range,
            severity: problem.severity,
            source: format!("{tool} (step {key})"),
            code: problem.code.clone(),
            message: problem.message.clone(),
            related,
        })
    }

    /// Returns a place in a file of the project.
    pub(crate) fn place(&mut self, step: usize, place: &Place) -> Option<(Arc<SourceText>, TextRange)> {
        let folder = self.folder.as_ref()?;
        let paths = &self.steps.get(step)?.1;
        let name = paths.find(place, &Files { folder, root: &self.root, names: &self.names })?;
        if name.split('/').any(|part| FOREIGN.contains(&part)) {
            return None;
        }
        if self.before.is_some_and(|before| has_changed_since(&self.root.join(&name), before)) {
            return None;
        }
        let file = self.text(name)?;
        let range = range(&file, place);
        Some((file, range))
    }

    fn text(&mut self, name: String) -> Option<Arc<SourceText>> {
        if let Some(known) = self.texts.get(&name) {
            return known.clone();
        }
        let text = self.folder.as_ref()?.read_text(Path::new(&name), MAX_FILE_BYTES).ok();
        let file = text.map(|text| {
            let line_index = LineIndex::new(&text);
            Arc::new(SourceText { path: self.root.join(&name), name: name.clone(), text, line_index })
        });
        self.texts.insert(name, file.clone());
        file
    }
}

fn has_changed_since(file: &Path, time: SystemTime) -> bool {
    file.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|modified| modified > time)
}

/// The files of a project, as paths are looked up in them.
struct Files<'a> {
    folder: &'a ProjectFolder,
    root: &'a Path,
    names: &'a OnceCell<Names>,
}

impl Project for Files<'_> {
    fn has_file(&self, path: &str) -> bool {
        self.folder.has_file(Path::new(path))
    }

    fn read(&self, path: &str) -> Option<String> {
        self.folder.read_text(Path::new(path), MAX_MANIFEST_BYTES).ok()
    }

    fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::new(ProjectFiles::new(self.root.to_owned()).all()))
    }
}

/// Returns the text that a place is about: what the tool has marked, else the word that begins there, else the line.
fn range(file: &SourceText, place: &Place) -> TextRange {
    let line = line(file, place.line);
    let Some(column) = place.column else { return trimmed(file, line) };
    let start = offset(file, line, column, place.unit);
    let last = place.end_line.map_or(line, |end| self::line(file, end.max(place.line)));
    let end = match place.end_column {
        Some(column) => offset(file, last, column, place.unit),
        None if place.end_line.is_some_and(|end| end > place.line) => last.end,
        None => start,
    };
    if end > start {
        return TextRange::new(start, end);
    }
    let rest = file.text.get(start..line.end).unwrap_or_default();
    let word = rest.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(rest.len());
    let length = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
    if length == 0 && start > line.start {
        // At the end of the line: its last character, so that there is something to see.
        let before =
            file.text.get(line.start..start).and_then(|text| text.chars().next_back()).map_or(0, char::len_utf8);
        return TextRange::new(start - before, start);
    }
    TextRange::new(start, start + length)
}

/// Returns a line without its end; one past the end of the file is the last one.
fn line(file: &SourceText, number: u32) -> TextRange {
    let last = file.line_index.line(file.text.len());
    let number = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX).min(last);
    let range = file.line_index.line_range(number);
    let text = file.text.get(range.start..range.end).unwrap_or_default();
    TextRange::new(range.start, range.start + text.trim_end_matches(['\r', '\n']).len())
}

fn trimmed(file: &SourceText, line: TextRange) -> TextRange {
    let text = file.text.get(line.start..line.end).unwrap_or_default();
    let start = line.start + (text.len() - text.trim_start().len());
    TextRange::new(start, start.max(line.start + text.trim_end().len()))
}

/// Returns the offset of a column, at most the end of the line.
fn offset(file: &SourceText, line: TextRange, column: u32, unit: Unit) -> usize {
    let text = file.text.get(line.start..line.end).unwrap_or_default();
    let wanted = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut passed = 0;
    for (at, character) in text.char_indices() {
        if passed >= wanted {
            return line.start + at;
        }
        passed += match unit {
            Unit::Characters => 1,
            Unit::Bytes => character.len_utf8(),
            Unit::Utf16 => character.len_utf16(),
            Unit::Terminal if character == '\t' => TAB - passed % TAB,
            Unit::Terminal => 1,
        };
    }
    line.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, place: Place) -> String {
        let file = SourceText {
            name: "a".to_owned(),
            path: PathBuf::new(),
            text: text.to_owned(),
            line_index: LineIndex::new(text),
        };
        let range = range(&file, &place);
        text.get(range.start..range.end).unwrap().to_owned()
    }

    fn at(line: u32, column: Option<u32>, end_column: Option<u32>, unit: Unit) -> Place {
        Place { line, column, end_column, unit, ..Place::default() }
    }

    #[test]
    fn columns_are_counted_as_the_tool_does() {
        let text = "\tñ𝄞 = missing;\r\nlast";
        assert_eq!(marked(text, at(1, Some(14), None, Unit::Terminal)), "missing");
        assert_eq!(marked(text, at(1, Some(11), None, Unit::Bytes)), "missing");
        assert_eq!(marked(text, at(1, Some(8), None, Unit::Utf16)), "missing");
        assert_eq!(marked(text, at(1, Some(7), None, Unit::Characters)), "missing");
        assert_eq!(marked(text, at(1, Some(7), Some(9), Unit::Characters)), "mi");
        assert_eq!(marked(text, at(1, None, None, Unit::Characters)), "ñ𝄞 = missing;");
        // What is outside the file is moved inside.
        assert_eq!(marked(text, at(1, Some(99), None, Unit::Characters)), ";");
        assert_eq!(marked(text, at(9, None, None, Unit::Characters)), "last");
        assert_eq!(marked("", at(3, Some(4), None, Unit::Bytes)), "");
    }
}
