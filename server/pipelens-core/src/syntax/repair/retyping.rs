//! Every line of the good fixtures, typed again letter by letter: what stands on other lines has to stay.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::read;
use crate::syntax::tree::{Kind, NodeId, Tree};
use crate::text::LineIndex;

/// The line of every key of a tree, with the names on the way to it.
fn keys(tree: &Tree, lines: &LineIndex) -> BTreeSet<(usize, Vec<String>)> {
    let mut result = BTreeSet::new();
    tree.documents.iter().for_each(|root| collect(tree, lines, *root, &mut Vec::new(), &mut result));
    result
}

fn collect(
    tree: &Tree,
    lines: &LineIndex,
    id: NodeId,
    path: &mut Vec<String>,
    result: &mut BTreeSet<(usize, Vec<String>)>,
) {
    match &tree.node(id).kind {
        Kind::Map { entries, .. } => {
            for entry in entries {
                path.push(tree.key_text(entry).unwrap_or_default().to_owned());
                result.insert((lines.line(tree.node(entry.key).range.start), path.clone()));
                collect(tree, lines, entry.value, path, result);
                path.pop();
            }
        }
        Kind::List { items, .. } => {
            path.push("-".to_owned());
            items.iter().for_each(|item| collect(tree, lines, *item, path, result));
            path.pop();
        }
        Kind::Scalar(_) | Kind::Alias(_) => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "the data of this test lies in files")]
fn fixtures() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/good");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.file_name().unwrap().display().to_string(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn every_other_key_stays_while_a_line_is_typed_again() {
    let (mut states, mut kept) = (0, 0);
    let mut lost: BTreeMap<String, usize> = BTreeMap::new();
    for (name, text) in fixtures() {
        let lines = LineIndex::new(&text);
        let whole = keys(&read(&text, &lines).tree, &lines);
        for line in 0..lines.line_count() {
            let range = lines.line_range(line);
            let content = text[range.start..range.end].trim_end_matches(['\r', '\n']);
            // A key that is half typed takes its children along: their path has another name in it.
            let typed: Vec<&Vec<String>> =
                whole.iter().filter(|(own, _)| *own == line).map(|(_, path)| path).collect();
            let others: Vec<&(usize, Vec<String>)> = whole
                .iter()
                .filter(|(own, path)| *own != line && !typed.iter().any(|typed| path.starts_with(typed)))
                .collect();
            for (end, _) in content.char_indices() {
                let state = format!("{}{}{}", &text[..range.start], &content[..end], &text[range.start + content.len()..]);
                let state_lines = LineIndex::new(&state);
                let found = keys(&read(&state, &state_lines).tree, &state_lines);
                states += 1;
                if others.iter().all(|other| found.contains(*other)) {
                    kept += 1;
                } else {
                    *lost.entry(format!("{name}: {content}")).or_default() += 1;
                }
            }
        }
    }
    println!("{kept} of {states} states keep every other key");
    assert!(kept * 100 >= states * 99, "{kept} of {states}: {lost:#?}");
}
