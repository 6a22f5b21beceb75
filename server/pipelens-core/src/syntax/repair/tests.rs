//! Files broken while typing keep every other key; broken texts get a finding where a person would point.

use std::collections::BTreeMap;
use std::path::Path;

use super::read;
use crate::syntax::tree::{Kind, NodeId, Tree};
use crate::text::LineIndex;

#[expect(clippy::disallowed_methods, reason = "the data of this test lies in files")]
fn file(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    std::fs::read_to_string(path).ok()
}

fn paths(tree: &Tree, lines: &LineIndex, id: NodeId, prefix: &str, result: &mut BTreeMap<String, usize>) {
    match &tree.node(id).kind {
        Kind::Map { entries, .. } => {
            for entry in entries {
                let key = tree.key_text(entry).unwrap_or_default();
                let path = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
                result.entry(path.clone()).or_insert(lines.line(tree.node(entry.key).range.start));
                paths(tree, lines, entry.value, &path, result);
            }
        }
        Kind::List { items, .. } => {
            items.iter().for_each(|item| paths(tree, lines, *item, &format!("{prefix}["), result))
        }
        Kind::Scalar(_) | Kind::Alias(_) => {}
    }
}

#[test]
fn every_other_key_survives_a_line_that_is_being_typed() {
    let Some(expect) = file("broken/expect.json") else {
        println!("skipped: 21 broken files, which are not here");
        return;
    };
    let expect: BTreeMap<String, serde_json::Value> = serde_json::from_str(&expect).unwrap();
    let mut lost = Vec::new();
    for (name, expected) in expect {
        let text = file(&format!("broken/{name}")).unwrap();
        let lines = LineIndex::new(&text);
        let repaired = read(&text, &lines);
        assert_eq!(repaired.findings.is_empty(), name.starts_with("00"), "{name}: {:?}", repaired.findings);
        let mut found = BTreeMap::new();
        repaired.tree.documents.iter().for_each(|root| paths(&repaired.tree, &lines, *root, "", &mut found));
        for path in expected["paths"].as_array().unwrap() {
            let (path, line) = (path[0].as_str().unwrap(), path[1].as_u64().unwrap() as usize);
            if found.get(path) != Some(&line) {
                lost.push(format!("{name}: {path} at {line}, found {:?}", found.get(path)));
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}
