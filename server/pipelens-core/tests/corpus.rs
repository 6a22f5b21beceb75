//! Real plans, and files broken while typing. The data lies beside the repository; without it the tests say so.
#![expect(clippy::disallowed_methods, reason = "tests read their data from files")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says what it left out"
)]

use std::fs;
use std::path::{Path, PathBuf};

use pipelens_core::diagnostic::{Code, Diagnostic, Severity};
use pipelens_core::plan::{Target, plan};
use pipelens_core::text::apply_edits;
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

fn fixtures(folder: &str) -> Vec<(PathBuf, String, Format)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(folder);
    let paths = files(&folder, "yml").into_iter().map(|path| (path, Format::Yaml));
    let paths = paths.chain(files(&folder, "json").into_iter().map(|path| (path, Format::Json)));
    paths.map(|(path, format)| (path.clone(), fs::read_to_string(&path).unwrap(), format)).collect()
}

#[test]
fn good_fixtures_have_no_finding_whatever_their_line_ends() {
    for (path, text, format) in fixtures("good") {
        for text in [text.clone(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
            let analysis = analyze(&text, format);
            assert!(analysis.diagnostics.is_empty(), "{}: {:#?}", path.display(), analysis.diagnostics);
            assert!(plan(&analysis, 0, &Target::Pipeline, "ci").is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn every_code_has_a_bad_fixture_that_shows_it() {
    let mut shown = Vec::new();
    for (path, text, format) in fixtures("bad") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let found = analyze(&text, format).diagnostics;
        let codes: Vec<_> = found.iter().map(|found| found.code.as_str()).collect();
        assert!(codes.contains(&name.as_str()), "{name}: {found:#?}");
        shown.push(name);
    }
    for code in Code::ALL {
        assert!(shown.iter().any(|name| name == code.as_str()), "no fixture for {}", code.as_str());
    }
}

#[test]
fn every_fix_removes_its_finding_and_adds_no_error() {
    let errors = |found: &[Diagnostic]| found.iter().filter(|found| found.severity == Severity::Error).count();
    let must_have_a_fix = [
        Code::RedundantDependency,
        Code::ImageWithoutEffect,
        Code::DuplicateMappingKey,
        Code::SelfReference,
        Code::MissingPolicyKey,
        Code::SeveralParents,
    ];
    for (path, text, format) in fixtures("bad") {
        let found = analyze(&text, format).diagnostics;
        for finding in &found {
            assert!(!must_have_a_fix.contains(&finding.code) || !finding.fixes.is_empty(), "{}", path.display());
            for fix in &finding.fixes {
                let mended = apply_edits(&text, &fix.edits);
                let after = analyze(&mended, format).diagnostics;
                let count = |found: &[Diagnostic]| found.iter().filter(|other| other.code == finding.code).count();
                assert!(count(&after) < count(&found), "{}: {}\n{mended}", path.display(), fix.title);
                assert!(errors(&after) <= errors(&found), "{}: {}\n{mended}", path.display(), fix.title);
            }
        }
    }
}

#[test]
fn what_is_removed_takes_its_line_or_its_comma_along() {
    for (before, after) in [
        ("{key: b, cmd: x, builds_in: a, image: 'i:1'}", "{key: b, cmd: x, builds_in: a}"),
        ("{key: b, image: 'i:1', cmd: x, builds_in: a}", "{key: b, cmd: x, builds_in: a}"),
        ("image: i:1\n  key: b\n  cmd: x\n  builds_in: a", "key: b\n  cmd: x\n  builds_in: a"),
        ("key: b\n  cmd: x\n  image: i:1 # old\n  builds_in: a", "key: b\n  cmd: x\n  builds_in: a"),
        ("key: b\n  cmd: x\n  depends_on: [a, b]", "key: b\n  cmd: x\n  depends_on: [a]"),
        ("key: b\n  cmd: x\n  depends_on:\n  - b\n  - a", "key: b\n  cmd: x\n  depends_on:\n  - a"),
        ("key: b\n  cmd: x\n  depends_on:\n  - a\n  - b\n", "key: b\n  cmd: x\n  depends_on:\n  - a\n"),
        ("key: b\n  cmd: x\n  depends_on: [b]\n", "key: b\n  cmd: x\n"),
        (
            "key: b\n  cmd: x\n  cache:\n    policy: ttl\n",
            "key: b\n  cmd: x\n  cache:\n    policy: ttl\n    duration_seconds: 3600\n",
        ),
    ] {
        let text = |step: &str| format!("steps:\n- {{key: a, cmd: x}}\n- {step}");
        let found = analyze(&text(before), Format::Yaml).diagnostics;
        assert_eq!(found.len(), 1, "{before}: {found:#?}");
        assert_eq!(apply_edits(&text(before), &found[0].fixes[0].edits), text(after));
    }
}
