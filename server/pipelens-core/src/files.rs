//! Files: which are pipelines (by name, by folder, or by a comment in their first lines), in which format or language, and how a range says
//! which file it is in.

use std::path::{Path, PathBuf};

use crate::text::{LineIndex, TextEdit, TextRange};

/// The comment may come after a licence and an editor's mode line, but not just anywhere.
const HEAD_LINES: usize = 10;

/// The grammar a file is read with. JSON is checked strictly; YAML includes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Yaml,
    Json,
}

impl Format {
    /// Returns the format of a file: JSON if its extension says so, otherwise YAML.
    pub fn of(path: impl AsRef<Path>) -> Self {
        Self::by_extension(path).unwrap_or(Self::Yaml)
    }

    /// Returns the format a file's extension stands for, or `None` for any extension pipelines do not use.
    pub fn by_extension(path: impl AsRef<Path>) -> Option<Self> {
        let extension = path.as_ref().extension()?.to_str()?;
        match extension.to_ascii_lowercase().as_str() {
            "yml" | "yaml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The folders whose Python and TypeScript files are pipelines.
pub const FOLDERS: [&str; 2] = [".hm", ".harmont"];

/// The language of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    Python,
    TypeScript,
    /// Any other, whose program prints pipelines when a command of the user's executes it. Nothing is known of its text.
    Other,
}

impl Language {
    /// Returns the language of a file, if its path is that of a program: a Python or TypeScript file directly in `.hm` or `.harmont`.
    pub fn of(path: &str) -> Option<Self> {
        let mut parts = path.rsplit(['/', '\\']);
        let (file, folder) = (parts.next()?, parts.next()?);
        let (stem, extension) = file.rsplit_once('.')?;
        if stem.is_empty() || !FOLDERS.contains(&folder) {
            return None;
        }
        match extension {
            "py" => Some(Self::Python),
            // A file of declarations makes nothing.
            "ts" | "mts" if !stem.ends_with(".d") => Some(Self::TypeScript),
            _ => None,
        }
    }

    /// Returns its name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::TypeScript => "TypeScript",
            Self::Other => "a program",
        }
    }
}

/// A file that a range can be in. Only its own analysis knows which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(usize);

impl FileId {
    /// The analysed text itself.
    pub const DOCUMENT: Self = Self(0);
}

/// A range in one of the files of an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileRange {
    pub file: FileId,
    pub range: TextRange,
}

impl From<TextRange> for FileRange {
    /// Makes a range in the analysed text.
    fn from(range: TextRange) -> Self {
        Self { file: FileId::DOCUMENT, range }
    }
}

/// An edit of one of the files of an analysis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEdit {
    pub file: FileId,
    pub edit: TextEdit,
}

impl FileEdit {
    /// Returns those edits that change one file.
    pub fn in_file(edits: &[Self], file: FileId) -> Vec<TextEdit> {
        edits.iter().filter(|edit| edit.file == file).map(|edit| edit.edit.clone()).collect()
    }
}

impl From<TextEdit> for FileEdit {
    /// Makes an edit of the analysed text.
    fn from(edit: TextEdit) -> Self {
        Self { file: FileId::DOCUMENT, edit }
    }
}

/// Another file that an analysis refers to, as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: String,
    pub line_index: LineIndex,
}

/// The files of an analysis other than the analysed text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    others: Vec<SourceFile>,
}

impl Files {
    /// Adds a file and returns its identity.
    pub fn add(&mut self, path: PathBuf, text: String) -> FileId {
        let line_index = LineIndex::new(&text);
        self.others.push(SourceFile { path, text, line_index });
        FileId(self.others.len())
    }

    /// Returns a file; `None` for the analysed text.
    pub fn get(&self, file: FileId) -> Option<&SourceFile> {
        self.others.get(file.0.checked_sub(1)?)
    }
}

/// Tells whether a file is a pipeline: by its path, or by a comment `# pipelens: pipeline` in its first lines.
pub fn is_pipeline_file(path: &str, first_lines: &str) -> bool {
    has_pipeline_path(path) || has_pipeline_comment(first_lines)
}

fn has_pipeline_path(path: &str) -> bool {
    let mut folders: Vec<&str> = path.split(['/', '\\']).collect();
    let Some(file) = folders.pop().filter(|file| Format::by_extension(file).is_some()) else { return false };
    let Some((stem, _)) = file.rsplit_once('.') else { return false };
    stem == "pipeline"
        || stem.ends_with(".pipeline")
        || (folders.contains(&".hm") && !is_of_a_package(&folders, file, stem))
}

/// Whether a file belongs to a JavaScript package, as the programs beside it may be, or to a tool that works on it.
fn is_of_a_package(folders: &[&str], file: &str, stem: &str) -> bool {
    const FILES: [&str; 10] = [
        "package.json",
        "package-lock.json",
        "npm-shrinkwrap.json",
        "jsconfig.json",
        "deno.json",
        "jsr.json",
        "biome.json",
        "renovate.json",
        "pnpm-lock.yaml",
        "pnpm-workspace.yaml",
    ];
    let is_config = stem == "tsconfig" || stem.starts_with("tsconfig.");
    folders.iter().any(|folder| ["node_modules", ".venv"].contains(folder))
        || file.starts_with('.')
        || is_config
        || FILES.contains(&file)
}

fn has_pipeline_comment(first_lines: &str) -> bool {
    first_lines.lines().take(HEAD_LINES).any(|line| {
        let comment = line.trim_start_matches('\u{feff}').trim_start().strip_prefix('#');
        let words = comment.and_then(|comment| comment.trim_start().strip_prefix("pipelens:"));
        words.is_some_and(|words| words.trim() == "pipeline")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FileId, Files, Format, is_pipeline_file};

    #[test]
    fn a_file_is_found_by_its_identity() {
        let mut files = Files::default();
        let (first, second) = (files.add("a.py".into(), "a\n".into()), files.add("b.py".into(), "b\n".into()));
        assert_eq!(
            [first, second].map(|file| files.get(file).unwrap().path.as_path()),
            ["a.py", "b.py"].map(Path::new)
        );
        assert_eq!(files.get(FileId::DOCUMENT), None);
    }

    #[test]
    fn the_extension_decides_the_format() {
        for path in ["pipeline.json", "a.b/C.JSON"] {
            assert_eq!(Format::of(path), Format::Json, "{path}");
        }
        for path in ["pipeline.yml", "ci.yaml", "ci.toml", "json", ""] {
            assert_eq!(Format::of(path), Format::Yaml, "{path}");
        }
        assert_eq!(Format::by_extension("notes.md"), None);
    }

    #[test]
    fn a_pipeline_is_recognised_by_its_name_its_folder_or_a_comment() {
        for path in ["pipeline.yml", "a/pipeline.json", "ci.pipeline.yaml", "C:\\x\\pipeline.YML", "p/.hm/sub/ci.yml"] {
            assert!(is_pipeline_file(path, ""), "{path}");
        }
        for path in [
            ".hm/package.json",
            "p/.hm/tsconfig.build.json",
            ".hm/node_modules/a/ci.yml",
            ".hm/.eslintrc.yml",
            ".hm/pnpm-lock.yaml",
        ] {
            assert!(!is_pipeline_file(path, ""), "{path}");
        }
        assert!(is_pipeline_file("ci.yml", "---\n#  pipelens: pipeline\nsteps: []\n"));
        assert!(is_pipeline_file("untitled", "\u{feff}# pipelens: pipeline"));
    }

    #[test]
    fn other_files_are_ignored() {
        for path in
            ["my-pipeline.yml", "pipeline.toml", "docker-compose.yml", ".hm/readme.md", "x.hm/a.yml", "pipeline"]
        {
            assert!(!is_pipeline_file(path, "a: 1\n"), "{path}");
        }
        assert!(!is_pipeline_file("ci.yml", "# pipelens: ignore syntax\n"));
        assert!(!is_pipeline_file("ci.yml", &format!("{}# pipelens: pipeline", "\n".repeat(40))));
    }
}
