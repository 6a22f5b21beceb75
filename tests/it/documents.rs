//! Editing: the server's text is the client's text, and what it says belongs to it.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::binary;
use test_client::Client;

const URI: &str = "file:///project/pipeline.yml";

fn client() -> Client {
    Client::start(binary(), &[], Value::Null)
}

fn outline(client: &mut Client, uri: &str) -> Value {
    client.request("textDocument/documentSymbol", json!({"textDocument": {"uri": uri}})).unwrap()
}

fn summary(diagnostics: &[Value]) -> Vec<String> {
    let one = |diagnostic: &Value| {
        let start = &diagnostic["range"]["start"];
        format!("{}:{} {}", start["line"], start["character"], diagnostic["code"].as_str().unwrap_or("?"))
    };
    diagnostics.iter().map(one).collect()
}

/// The client's own copy of the text, edited as a person types: mostly ASCII, sometimes not.
struct Typist {
    text: Vec<char>,
    seed: u64,
}

impl Typist {
    fn random(&mut self, below: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.seed >> 33).unwrap() % below.max(1)
    }

    /// Edits at a random place; returns the change as the protocol has it.
    fn edit(&mut self) -> (Value, String) {
        let pieces = ["a", "- key: x\n", "\n", "  ", "cmd: ñ", "𝄞", ": ", "\r\n", "\"", "#"];
        let start = self.random(self.text.len() + 1);
        let end = (start + self.random(3)).min(self.text.len());
        let new = pieces[self.random(pieces.len())];
        let range = json!({"start": self.position(start), "end": self.position(end)});
        self.text.splice(start..end, new.chars());
        (range, new.to_owned())
    }

    fn position(&self, offset: usize) -> Value {
        // A position inside `\r\n` cannot be said in the protocol; it means the end of the line, before both.
        let inside = offset > 0 && self.text.get(offset - 1) == Some(&'\r') && self.text.get(offset) == Some(&'\n');
        let offset = if inside { offset - 1 } else { offset };
        let before = &self.text[..offset];
        let is_break = |index: usize| match before[index] {
            '\n' => true,
            '\r' => before.get(index + 1).or_else(|| self.text.get(index + 1)) != Some(&'\n'),
            _ => false,
        };
        let breaks: Vec<usize> = (0..before.len()).filter(|index| is_break(*index)).collect();
        let line_start = breaks.last().map_or(0, |last| last + 1);
        let units: usize = before[line_start..].iter().map(|character| character.len_utf16()).sum();
        json!({"line": breaks.len(), "character": units})
    }
}

#[test]
fn three_thousand_rapid_edits_end_with_the_clients_text() {
    let start = "name: x\nsteps:\n".to_owned() + &"  - key: s\n    cmd: echo\n".repeat(20);
    let mut typist = Typist { text: start.chars().collect(), seed: 7 };
    let mut client = client();
    client.ignores = test_client::is_anything;
    client.open(URI, &start);
    let mut version = 1;
    while version <= 3000 {
        let before = typist.text.clone();
        let (range, new) = typist.edit();
        // An edit between `\r` and `\n` cannot be said; the typist takes it back.
        let said = apply(&before.iter().collect::<String>(), &range, &new);
        if said != typist.text.iter().collect::<String>() {
            typist.text = before;
            continue;
        }
        version += 1;
        client.change(URI, version, &range, &new);
        if version % 100 == 0 {
            // Requests in between see the text of their arrival and disturb nothing.
            client.ask("textDocument/documentSymbol", json!({"textDocument": {"uri": URI}}));
        }
    }
    let edited = client.diagnostics(URI, version);
    let edited_outline = outline(&mut client, URI);
    let text: String = typist.text.iter().collect();
    let fresh = "file:///project/fresh.pipeline.yml";
    client.open(fresh, &text);
    assert_eq!(summary(&edited), summary(&client.diagnostics(fresh, 1)));
    assert_eq!(edited_outline, outline(&mut client, fresh));
    assert_eq!(client.quit().code(), Some(0));
}

/// Applies a change as the protocol's own words define it.
fn apply(text: &str, range: &Value, new: &str) -> String {
    let offset = |position: &Value| {
        let (line, wanted) = (position["line"].as_u64().unwrap(), position["character"].as_u64().unwrap());
        let (mut at_line, mut units) = (0, 0);
        let mut characters = text.char_indices().peekable();
        while let Some((offset, character)) = characters.next() {
            if at_line == line && units == wanted {
                return offset;
            }
            match character {
                '\r' if characters.peek().is_some_and(|(_, next)| *next == '\n') => units += 1,
                '\r' | '\n' => (at_line, units) = (at_line + 1, 0),
                _ => units += character.len_utf16() as u64,
            }
        }
        text.len()
    };
    let (start, end) = (offset(&range["start"]), offset(&range["end"]));
    format!("{}{new}{}", &text[..start], &text[end.max(start)..])
}

#[test]
fn a_request_sees_the_text_as_of_its_arrival() {
    let mut client = client();
    client.open(
        URI,
        r"steps:
  - key: a
    cmd: x
",
    );
    let asks: Vec<i64> = (0..50)
        .map(|number| {
            client.change(
                URI,
                number + 2,
                &Value::Null,
                &format!(
                    r"steps:
  - key: k{number}
    cmd: x
"
                ),
            );
            client.ask("textDocument/documentSymbol", json!({"textDocument": {"uri": URI}}))
        })
        .collect();
    for (number, id) in asks.into_iter().enumerate() {
        let outline = client.answer(id).unwrap().to_string();
        assert!(outline.contains(&format!("\"k{number}\"")), "{outline}");
    }
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_mistake_is_shown_with_its_fix_and_disappears_when_it_is_fixed() {
    let text = r"steps:
  - key: build
    cmd: make
    image: alpine:3
  - key: test
    cmd: make test
    builds_in: biuld
";
    let mut client = client();
    client.open(URI, text);
    let found = client.diagnostics(URI, 1);
    assert_eq!(summary(&found), ["6:15 unknown-step"]);
    assert!(found[0]["message"].as_str().unwrap().contains("Did you mean `build`?"), "{found:?}");
    let params = json!({"textDocument": {"uri": URI}, "range": found[0]["range"], "context": {"diagnostics": found}});
    let actions = client.request("textDocument/codeAction", params).unwrap();
    let fix = actions.as_array().unwrap().iter().find(|action| action["kind"] == "quickfix").unwrap();
    let edit = &fix["edit"]["changes"][URI][0];
    client.change(URI, 2, &edit["range"], edit["newText"].as_str().unwrap());
    assert_eq!(summary(&client.diagnostics(URI, 2)), Vec::<String>::new());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_finding_is_silenced_by_the_comment_its_action_inserts() {
    let text = "default_image: alpine:3.20\nsteps:\n  - key: a\n    cmd: |\n      echo a\n      echo )\n";
    let mut client = client();
    client.open(URI, text);
    let found = client.diagnostics(URI, 1);
    assert_eq!(summary(&found), ["5:11 shell-syntax"]);
    let params = json!({"textDocument": {"uri": URI}, "range": found[0]["range"], "context": {"diagnostics": found}});
    let actions = client.request("textDocument/codeAction", params).unwrap();
    let is_ignoring = |action: &&Value| action["title"] == "Ignore `shell-syntax` here";
    let action = actions.as_array().unwrap().iter().find(is_ignoring).unwrap();
    let edit = &action["edit"]["changes"][URI][0];
    assert_eq!(edit["newText"], "    # pipelens: ignore shell-syntax\n");
    client.change(URI, 2, &edit["range"], edit["newText"].as_str().unwrap());
    assert_eq!(summary(&client.diagnostics(URI, 2)), Vec::<String>::new());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_step_is_completed_found_and_looked_up() {
    let text = r"steps:
  - key: build
    cmd: make
    image: alpine:3
  - key: test
    cmd: make test
    builds_in: build
";
    let mut client = client();
    client.open(URI, text);
    let at = |line: u32, character: u32| json!({"textDocument": {"uri": URI}, "position": {"line": line, "character": character}});
    let hover = client.request("textDocument/hover", at(6, 17)).unwrap();
    assert!(hover["contents"]["value"].as_str().unwrap().contains("make"), "{hover}");
    let definition = client.request("textDocument/definition", at(6, 17)).unwrap();
    assert_eq!(definition["range"]["start"], json!({"line": 1, "character": 9}));
    let mut params = at(1, 10);
    params["context"] = json!({"includeDeclaration": true});
    let references = client.request("textDocument/references", params).unwrap();
    assert_eq!(references.as_array().unwrap().len(), 2, "{references}");
    client.change(URI, 2, &json!({"start": {"line": 6, "character": 15}, "end": {"line": 6, "character": 20}}), "");
    let completion = client.request("textDocument/completion", at(6, 15)).unwrap();
    assert_eq!(completion[0]["label"], "build", "{completion}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_file_that_is_not_a_pipeline_gets_empty_answers() {
    let uri = "file:///project/docker-compose.yml";
    let mut client = client();
    client.open(uri, "services: [}\n");
    assert!(client.lenses(uri).is_empty());
    assert!(client.take(|message| message["method"] == "textDocument/publishDiagnostics").is_empty());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_setting_makes_a_file_a_pipeline_and_changes_a_severity() {
    let uri = "file:///project/ci/deploy.yml";
    let mut client = client();
    client.open(
        uri,
        r"steps:
  - key: a
    cmd: x
    image: alpine
",
    );
    assert!(client.lenses(uri).is_empty());
    let settings = json!({"pipelens": {"files": ["**/ci/*.yml"], "severity": {"unpinned-image": "error"}}});
    client.notify("workspace/didChangeConfiguration", json!({"settings": settings}));
    let found = client.diagnostics(uri, 1);
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["code"], &found[0]["severity"]), (&json!("unpinned-image"), &json!(1)));
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn closing_a_document_removes_its_findings() {
    let mut client = client();
    client.open(URI, "steps: 7\n");
    assert!(!client.diagnostics(URI, 1).is_empty());
    client.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    let left = client.wait("empty diagnostics", |message| {
        let params = &message["params"];
        (params["uri"] == URI && params.get("version").is_none_or(Value::is_null))
            .then(|| params["diagnostics"].clone())
    });
    assert_eq!(left, json!([]));
    assert_eq!(client.quit().code(), Some(0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The test's own copy of the rules is checked against plain texts, or the test above would prove nothing.
    #[test]
    fn a_random_edit_has_the_effect_it_describes(seed: u64) {
        let mut typist = Typist { text: "a: b\nc: [d,\r\n e]\n".chars().collect(), seed };
        for _ in 0..20 {
            let before = typist.text.clone();
            let (range, new) = typist.edit();
            let said = apply(&before.iter().collect::<String>(), &range, &new);
            let done: String = typist.text.iter().collect();
            if said != done {
                // Only an edit that starts or ends inside a line end cannot be said.
                prop_assert!(before.windows(2).any(|pair| pair == ['\r', '\n']));
                typist.text = before;
            }
        }
    }
}

#[test]
fn a_uri_with_unescaped_characters_is_understood_and_comes_back_as_it_was_sent() {
    let uri = "file:///a b/[é]/pipeline.yml";
    let text = "steps:\n  - key: a\n    cmd: make\n    image: a:1\n  - key: b\n    cmd: make\n    depends_on: aa\n    image: a:1\n";
    let mut client = client();
    client.open(uri, text);
    let found = client.diagnostics(uri, 1);
    assert_eq!(summary(&found), ["6:16 unknown-step"]);
    let params = json!({"textDocument": {"uri": uri}, "range": found[0]["range"], "context": {"diagnostics": found}});
    let actions = client.request("textDocument/codeAction", params).unwrap();
    let edit = &actions[0]["edit"]["changes"][uri][0];
    assert_eq!(edit["newText"], "a", "{actions}");
    assert_eq!(client.quit().code(), Some(0));
}
