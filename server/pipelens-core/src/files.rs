//! Files: which are pipelines (by name, by folder, or by a comment in their first lines), and in which format.

use std::path::Path;

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

/// Tells whether a file is a pipeline: by its path, or by a comment `# pipelens: pipeline` in its first lines.
pub fn is_pipeline_file(path: &str, first_lines: &str) -> bool {
    has_pipeline_path(path) || has_pipeline_comment(first_lines)
}

fn has_pipeline_path(path: &str) -> bool {
    let mut folders: Vec<&str> = path.split(['/', '\\']).collect();
    let Some(file) = folders.pop().filter(|file| Format::by_extension(file).is_some()) else { return false };
    let Some((stem, _)) = file.rsplit_once('.') else { return false };
    stem == "pipeline" || stem.ends_with(".pipeline") || folders.contains(&".hm")
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
    use super::{Format, is_pipeline_file};

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
    fn a_pipeline_is_known_by_its_name_its_folder_or_its_comment() {
        for path in ["pipeline.yml", "a/pipeline.json", "ci.pipeline.yaml", "C:\\x\\pipeline.YML", "p/.hm/sub/ci.yml"] {
            assert!(is_pipeline_file(path, ""), "{path}");
        }
        assert!(is_pipeline_file("ci.yml", "---\n#  pipelens: pipeline\nsteps: []\n"));
        assert!(is_pipeline_file("untitled", "\u{feff}# pipelens: pipeline"));
    }

    #[test]
    fn other_files_are_left_alone() {
        for path in
            ["my-pipeline.yml", "pipeline.toml", "docker-compose.yml", ".hm/readme.md", "x.hm/a.yml", "pipeline"]
        {
            assert!(!is_pipeline_file(path, "a: 1\n"), "{path}");
        }
        assert!(!is_pipeline_file("ci.yml", "# pipelens: ignore syntax\n"));
        assert!(!is_pipeline_file("ci.yml", &format!("{}# pipelens: pipeline", "\n".repeat(40))));
    }
}
