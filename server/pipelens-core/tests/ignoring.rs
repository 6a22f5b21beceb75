//! Comments that silence findings, and the fixes that insert them.
#![expect(clippy::disallowed_methods, reason = "the data of this test lies in files")]

use std::path::Path;

use pipelens_core::fixes::ignoring;
use pipelens_core::text::apply_edits;
use pipelens_core::{FileId, Format, analyze};

/// Returns the codes found in YAML, each with its line.
fn found(text: &str) -> Vec<String> {
    let analysis = analyze(text, Format::Yaml);
    let line = |start: usize| analysis.line_index.line(start) + 1;
    analysis.diagnostics.iter().map(|found| format!("{} {}", line(found.range.start), found.code.as_str())).collect()
}

/// Returns the text after the fix that silences its first finding.
fn ignored(text: &str) -> Option<String> {
    let analysis = analyze(text, Format::Yaml);
    let fix = ignoring(&analysis, analysis.diagnostics.first()?)?;
    Some(apply_edits(text, &fix.edits_in(FileId::DOCUMENT)))
}

const IN_BLOCK: &str = r"default_image: alpine:3.20
steps:
  - key: a
    cmd: |
      echo a
      echo )
";

#[test]
fn a_finding_in_a_block_is_silenced_from_four_places() {
    assert_eq!(found(IN_BLOCK), ["6 shell-syntax"]);
    let comment = "# pipelens: ignore shell-syntax";
    for (at, with) in [
        ("    cmd: |\n", format!("    {comment}\n    cmd: |\n")),
        ("    cmd: |\n", format!("    cmd: | {comment}\n")),
        ("  - key: a\n", format!("  {comment}\n  - key: a\n")),
        ("  - key: a\n", format!("  - key: a {comment}\n")),
        ("      echo )\n", format!("      {comment}\n      echo )\n")),
        ("      echo )\n", format!("      echo ) {comment}: it works\n")),
        ("steps:\n", format!("{comment}\nsteps:\n")),
    ] {
        let text = IN_BLOCK.replacen(at, &with, 1);
        assert_eq!(found(&text), [""; 0], "{text}");
    }
}

#[test]
fn a_comment_reaches_no_further_than_what_it_is_about() {
    let comment = "# pipelens: ignore shell-syntax";
    for (at, with) in [
        ("  - key: a\n", format!("  - {comment}\n    key: a\n")),
        ("      echo a\n", format!("      echo a {comment}\n")),
        ("      echo a\n", format!("      {comment}\n      echo a\n")),
        ("      echo a\n", format!("      echo 'a{comment}'\n")),
        ("      echo a\n", "      echo a # pipelens: ignore syntax\n".to_owned()),
        ("default_image", format!("{comment}\ndefault_image")),
    ] {
        let text = IN_BLOCK.replacen(at, &with, 1);
        assert_eq!(found(&text).len(), 1, "{text}");
    }
}

#[test]
fn comments_above_one_another_all_count() {
    let text = r"steps:
  # pipelens: ignore unpinned-image
  # (and this is why)
  # pipelens: ignore bad-env-name
  - {key: a, cmd: make, image: rust, env: {1A: x}}
";
    assert_eq!(found(text), [""; 0]);
}

#[test]
fn the_fix_inserts_the_comment_where_it_works() {
    let block = ignored(IN_BLOCK).unwrap();
    assert!(block.contains("    # pipelens: ignore shell-syntax\n    cmd: |\n"), "{block}");
    let quoted = ignored("default_image: a:1\nsteps:\n  - key: a\n    cmd: \"echo a\n      ; )\"\n").unwrap();
    assert!(quoted.contains("    # pipelens: ignore shell-syntax\n    cmd: \""), "{quoted}");
    let windows = ignored("default_image: rust\r\nsteps:\r\n  - {key: a, cmd: make}\r\n").unwrap();
    assert!(windows.starts_with("# pipelens: ignore unpinned-image\r\ndefault_image"), "{windows:?}");
    let second =
        ignored("steps:\n  # pipelens: ignore unpinned-image\n  - {key: a, cmd: make, image: rust, env: {1A: x}}\n")
            .unwrap();
    assert!(second.contains("# pipelens: ignore unpinned-image bad-env-name\n"), "{second}");
}

#[test]
fn what_cannot_be_silenced_has_no_such_fix() {
    assert_eq!(ignored("steps:\n  - {key: a, cmd: make, image: 'a:1', depends_on: b}\n"), None);
    assert_eq!(ignored("steps: [\n"), None);
}

#[test]
fn every_finding_of_the_bad_fixtures_that_can_be_silenced_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bad");
    let mut silenced = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if Format::by_extension(&path) != Some(Format::Yaml) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let analysis = analyze(&text, Format::Yaml);
        for finding in &analysis.diagnostics {
            let Some(fix) = ignoring(&analysis, finding) else { continue };
            let after = analyze(&apply_edits(&text, &fix.edits_in(FileId::DOCUMENT)), Format::Yaml).diagnostics;
            let count = |found: &[pipelens_core::diagnostic::Diagnostic]| {
                found.iter().filter(|other| other.code == finding.code).count()
            };
            assert!(count(&after) < count(&analysis.diagnostics), "{} {finding:?}", path.display());
            assert!(after.len() < analysis.diagnostics.len(), "{} {finding:?}", path.display());
            silenced += 1;
        }
    }
    assert!(silenced > 10, "{silenced}");
}
