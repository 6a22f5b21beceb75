//! Which files are pipelines: by name, by folder, or because their first lines say so.

const EXTENSIONS: [&str; 3] = ["yml", "yaml", "json"];
/// The comment may stand under a licence and an editor's mode line, but not anywhere.
const HEAD_LINES: usize = 10;

pub(crate) fn is_pipeline_file(path: &str, first_lines: &str) -> bool {
    has_pipeline_path(path) || has_pipeline_comment(first_lines)
}

fn has_pipeline_path(path: &str) -> bool {
    let mut folders: Vec<&str> = path.split(['/', '\\']).collect();
    let Some((stem, extension)) = folders.pop().and_then(|file| file.rsplit_once('.')) else { return false };
    if !EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) {
        return false;
    }
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
    use super::is_pipeline_file;

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
