//! Every line of the good fixtures, typed again character by character: what is on other lines has to stay.

use std::collections::BTreeMap;
use std::path::Path;

use super::read;
use crate::syntax::tree::{Kind, NodeId, Tree};
use crate::text::LineIndex;

/// Where a key is: its line, and the names on the way to it.
type Place = (usize, Vec<String>);

/// Collects every key of a tree, with the first lines of the `-` items it is in.
struct Keys<'a> {
    tree: &'a Tree,
    lines: &'a LineIndex,
    path: Vec<String>,
    items: Vec<usize>,
    found: BTreeMap<Place, Vec<usize>>,
}

impl Keys<'_> {
    fn collect(&mut self, id: NodeId) {
        match &self.tree.node(id).kind {
            Kind::Map { entries, .. } => {
                for entry in entries {
                    self.path.push(self.tree.key_text(entry).unwrap_or_default().to_owned());
                    let line = self.lines.line(self.tree.node(entry.key).range.start);
                    self.found.insert((line, self.path.clone()), self.items.clone());
                    self.collect(entry.value);
                    self.path.pop();
                }
            }
            Kind::List { items, is_flow } => {
                self.path.push("-".to_owned());
                for item in items {
                    let first = (!is_flow).then(|| self.lines.line(self.tree.node(*item).range.start));
                    self.items.extend(first);
                    self.collect(*item);
                    self.items.truncate(self.items.len() - usize::from(first.is_some()));
                }
                self.path.pop();
            }
            Kind::Scalar(_) | Kind::Alias(_) => {}
        }
    }
}

fn keys(text: &str) -> BTreeMap<Place, Vec<usize>> {
    let lines = LineIndex::new(text);
    let tree = read(text, &lines).tree;
    let mut keys = Keys { tree: &tree, lines: &lines, path: Vec::new(), items: Vec::new(), found: BTreeMap::new() };
    tree.documents.iter().for_each(|root| keys.collect(*root));
    keys.found
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
fn every_other_key_stays_while_a_line_is_retyped() {
    let (mut states, mut kept) = (0, 0);
    let mut lost = Vec::new();
    for (name, text) in fixtures() {
        let lines = LineIndex::new(&text);
        let whole = keys(&text);
        for line in 0..lines.line_count() {
            let range = lines.line_range(line);
            let content = text[range.start..range.end].trim_end_matches(['\r', '\n']);
            // Half-typed text takes its children with it: a key's name is part of their path, and without its `-` there is
            // no item they could be in.
            let typed: Vec<_> = whole.keys().filter(|(own, _)| *own == line).map(|(_, path)| path).collect();
            let is_below = |path: &[String]| typed.iter().any(|typed| path.starts_with(typed));
            let others: Vec<_> = whole
                .iter()
                .filter(|((own, path), items)| *own != line && !items.contains(&line) && !is_below(path))
                .map(|(place, _)| place)
                .collect();
            for (end, _) in content.char_indices() {
                let state =
                    format!("{}{}{}", &text[..range.start], &content[..end], &text[range.start + content.len()..]);
                let found = keys(&state);
                states += 1;
                let missing: Vec<String> = others
                    .iter()
                    .filter(|other| !found.contains_key(*other))
                    .map(|(line, path)| format!("{}:{}", line + 1, path.join(".")))
                    .collect();
                if missing.is_empty() {
                    kept += 1;
                } else {
                    lost.push(format!("{name}: {} loses {}", &content[..end], missing.join(", ")));
                }
            }
        }
    }
    println!("{kept} of {states} states keep every other key");
    assert!(kept * 100 >= states * 99, "{kept} of {states}: {lost:#?}");
}
