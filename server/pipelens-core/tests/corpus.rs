//! Real plans, and files broken while typing. The data lies beside the repository; without it the tests say so.
#![expect(clippy::disallowed_methods, reason = "tests read their data from files")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says what it left out"
)]

#[path = "project/program.rs"]
mod program;
mod project;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use pipelens_core::diagnostic::{Code, Diagnostic, Severity};
use pipelens_core::plan::{BootsFrom, Plan, PlanStep, Target, plan};
use pipelens_core::text::apply_edits;
use pipelens_core::{Analysis, FileId, Format, analyze, analyze_in};
use project::Small;

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

/// What a plan document says of one node: key, command, environment, what it boots from, all it waits for, and how long it
/// may take.
type Said = (String, String, BTreeMap<String, String>, Option<String>, BTreeSet<String>, Option<u64>);

fn described_by_the_json(plan: &serde_json::Value) -> Vec<Said> {
    let nodes = plan["graph"]["nodes"].as_array().unwrap();
    let key = |index: &serde_json::Value| {
        nodes[usize::try_from(index.as_u64().unwrap()).unwrap()]["step"]["key"].as_str().unwrap().to_owned()
    };
    let edges = plan["graph"]["edges"].as_array().unwrap();
    let edges: Vec<_> = edges.iter().map(|edge| (key(&edge[0]), key(&edge[1]), edge[2].as_str().unwrap())).collect();
    let said = |node: &serde_json::Value| {
        let own = node["step"]["key"].as_str().unwrap();
        let to_here = edges.iter().filter(|(_, to, _)| to == own);
        let env = node["env"].as_object().into_iter().flatten();
        (
            own.to_owned(),
            node["step"]["cmd"].as_str().unwrap().to_owned(),
            env.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
            to_here.clone().find(|(_, _, kind)| *kind == "builds_in").map(|(from, _, _)| from.clone()),
            to_here.map(|(from, _, _)| from.clone()).collect(),
            node["step"]["timeout_seconds"].as_u64(),
        )
    };
    nodes.iter().map(said).collect()
}

fn said_by_us(plan: &Plan) -> Vec<Said> {
    let key = |index: usize| plan.steps[index].key.clone();
    let said = |step: &PlanStep| {
        let parent = match step.boots_from {
            BootsFrom::Step(parent) => Some(key(parent)),
            BootsFrom::Image(_) => None,
        };
        let after = step.after.iter().map(|dependency| key(dependency.step)).collect();
        (step.key.clone(), step.cmd.clone(), BTreeMap::clone(&step.env), parent, after, step.timeout_seconds)
    };
    plan.steps.iter().map(said).collect()
}

#[test]
fn the_graph_of_every_real_plan_is_what_its_json_says() {
    let Some(folder) = data("plans") else { return };
    let mut plans = 0;
    for file in files(&folder, "json") {
        let text = fs::read_to_string(&file).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let envelope = document["pipelines"].as_array().map(|entries| entries.iter().map(|entry| &entry["definition"]));
        let expected: Vec<_> = envelope.map_or_else(|| vec![&document], Iterator::collect);
        let analysis = analyze(&text, Format::Json);
        assert_eq!(analysis.pipelines.len(), expected.len(), "{}", file.display());
        for (index, expected) in expected.into_iter().enumerate() {
            let plan = plan(&analysis, index, &Target::Pipeline, "ci").unwrap();
            assert_eq!(said_by_us(&plan), described_by_the_json(expected), "{}", file.display());
            assert!(plan.steps.iter().flat_map(|step| &step.after).all(|dependency| dependency.must_succeed));
            plans += 1;
        }
    }
    println!("{plans} plans say what their JSON says");
}

fn fixtures(folder: &str) -> Vec<(PathBuf, String, Format)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(folder);
    let paths = files(&folder, "yml").into_iter().map(|path| (path, Format::Yaml));
    let paths = paths.chain(files(&folder, "json").into_iter().map(|path| (path, Format::Json)));
    let paths = paths.chain(files(&folder, "py").into_iter().map(|path| (path, Format::Yaml)));
    paths.map(|(path, format)| (path.clone(), fs::read_to_string(&path).unwrap(), format)).collect()
}

/// Analyses a fixture as what it is.
fn analyze_fixture(path: &Path, text: &str, format: Format) -> Analysis {
    let is_program = path.extension().is_some_and(|extension| extension == "py");
    if is_program { program::analyze_program(text) } else { analyze_in(text, format, &Small) }
}

#[test]
fn good_fixtures_have_no_finding_with_any_line_ending() {
    for (path, text, format) in fixtures("good") {
        if path.extension().is_some_and(|extension| extension == "py") {
            assert!(analyze_fixture(&path, &text, format).diagnostics.is_empty(), "{}", path.display());
            continue;
        }
        for text in [text.clone(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
            let analysis = analyze_in(&text, format, &Small);
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
        let found = analyze_fixture(&path, &text, format).diagnostics;
        let codes: Vec<_> = found.iter().map(|found| found.code.as_str()).collect();
        assert!(codes.contains(&name.as_str()), "{name}: {found:#?}");
        shown.push(name);
    }
    for code in Code::ALL {
        assert!(shown.iter().any(|name| name == code.as_str()), "no fixture for {}", code.as_str());
    }
}

#[test]
fn every_bad_fixture_is_marked_at_its_exact_place() {
    let mut marked = String::new();
    let mut files = fixtures("bad");
    files.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    for (path, text, format) in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let analysis = analyze_fixture(&path, &text, format);
        writeln!(marked, "{}", path.file_name().unwrap().to_str().unwrap()).unwrap();
        for found in analysis.diagnostics.iter().filter(|found| found.code.as_str() == name) {
            let place = |offset: usize| {
                let line = analysis.line_index.line(offset);
                let column = text[analysis.line_index.line_start(line)..offset].chars().count();
                format!("{}:{}", line + 1, column + 1)
            };
            let shown: String = text[found.range.start..found.range.end].chars().take(60).collect();
            let (start, end) = (place(found.range.start), place(found.range.end));
            writeln!(marked, "  {start}-{end} {:?} {shown:?}", found.severity).unwrap();
        }
    }
    expect_file!["../../../tests/fixtures/bad.txt"].assert_eq(&marked);
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
        if path.extension().is_some_and(|extension| extension == "py") {
            continue;
        }
        let found = analyze(&text, format).diagnostics;
        for finding in &found {
            assert!(!must_have_a_fix.contains(&finding.code) || !finding.fixes.is_empty(), "{}", path.display());
            for fix in &finding.fixes {
                let fixed = apply_edits(&text, &fix.edits_in(FileId::DOCUMENT));
                let after = analyze(&fixed, format).diagnostics;
                let count = |found: &[Diagnostic]| found.iter().filter(|other| other.code == finding.code).count();
                assert!(count(&after) < count(&found), "{}: {}\n{fixed}", path.display(), fix.title);
                assert!(errors(&after) <= errors(&found), "{}: {}\n{fixed}", path.display(), fix.title);
            }
        }
    }
}

#[test]
fn a_removal_includes_its_line_or_its_comma() {
    for (before, after) in [
        ("{key: b, cmd: x, builds_in: a, image: 'i:1'}", "{key: b, cmd: x, builds_in: a}"),
        ("{key: b, image: 'i:1', cmd: x, builds_in: a}", "{key: b, cmd: x, builds_in: a}"),
        (
            r"image: i:1
  key: b
  cmd: x
  builds_in: a",
            "key: b\n  cmd: x\n  builds_in: a",
        ),
        (
            r"key: b
  cmd: x
  image: i:1 # old
  builds_in: a",
            "key: b\n  cmd: x\n  builds_in: a",
        ),
        ("key: b\n  cmd: x\n  depends_on: [a, b]", "key: b\n  cmd: x\n  depends_on: [a]"),
        (
            r"key: b
  cmd: x
  depends_on:
  - b
  - a",
            r"key: b
  cmd: x
  depends_on:
  - a",
        ),
        (
            r"key: b
  cmd: x
  depends_on:
  - a
  - b
",
            r"key: b
  cmd: x
  depends_on:
  - a
",
        ),
        (
            r"key: b
  cmd: x
  depends_on: [b]
",
            "key: b\n  cmd: x\n",
        ),
        (
            r"key: b
  cmd: x
  cache:
    policy: ttl
",
            r"key: b
  cmd: x
  cache:
    policy: ttl
    duration_seconds: 3600
",
        ),
    ] {
        let text = |step: &str| format!("steps:\n- {{key: a, cmd: x}}\n- {step}");
        let found = analyze(&text(before), Format::Yaml).diagnostics;
        assert_eq!(found.len(), 1, "{before}: {found:#?}");
        assert_eq!(apply_edits(&text(before), &found[0].fixes[0].edits_in(FileId::DOCUMENT)), text(after));
    }
}
