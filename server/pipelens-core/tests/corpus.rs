//! Real plans, and files broken while typing. The data lies beside the repository; without it the tests say so.
#![expect(clippy::disallowed_methods, reason = "tests read their data from files")]

use std::fs;
use std::path::{Path, PathBuf};

use pipelens_core::diagnostic::Severity;
use pipelens_core::plan::{Target, plan};
use pipelens_core::{Format, analyze};

fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: every case of {name}, which is not here");
    None
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut result = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            result.extend(files(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            result.push(path);
        }
    }
    result.sort();
    result
}

#[test]
fn real_plans_have_no_error_and_can_be_run() {
    let Some(folder) = data("plans") else { return };
    let files = files(&folder, "json");
    assert!(files.len() > 100);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let analysis = analyze(&text, Format::Json);
        let errors: Vec<_> = analysis.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", file.display());
        assert!(!analysis.pipelines.is_empty(), "{}", file.display());
        for index in 0..analysis.pipelines.len() {
            let plan = plan(&analysis, index, &Target::Pipeline, "ci").unwrap();
            assert_eq!(plan.steps.len(), analysis.pipelines[index].steps.len());
        }
    }
}
