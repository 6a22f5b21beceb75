//! What happens on the way: bad frames, panics, slow handlers, floods. Each test is a row in which a framework failed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{binary, resident_kib};
use test_client::{Client, PATIENCE};

const URI: &str = "file:///project/pipeline.yml";
const TEXT: &str = r"steps:
  - key: build
    cmd: make
    image: alpine:3
";

fn client() -> Client {
    let mut client = Client::start(binary(), &[], Value::Null);
    client.open(URI, TEXT);
    client
}

fn hover(client: &mut Client) -> Value {
    let params = json!({"textDocument": {"uri": URI}, "position": {"line": 1, "character": 5}});
    client.request("textDocument/hover", params).unwrap()
}

/// The server still answers, and still knows the document.
fn assert_lives(mut client: Client) {
    assert!(hover(&mut client)["contents"]["value"].is_string());
    assert_eq!(client.quit().code(), Some(0));
}

fn null_id_error(client: &mut Client) -> i64 {
    client.wait("an error without an id", |message| {
        (message.get("id") == Some(&Value::Null)).then(|| message["error"]["code"].as_i64()).flatten()
    })
}

#[test]
fn malformed_json_is_answered_and_reading_continues() {
    let mut client = client();
    client.send_raw(b"Content-Length: 9\r\n\r\n{\"jsonrpc");
    assert_eq!(null_id_error(&mut client), -32700);
    assert_lives(client);
}

#[test]
fn a_batch_is_refused() {
    let mut client = client();
    client.send(&json!([{"jsonrpc": "2.0", "id": 1, "method": "shutdown"}]));
    assert_eq!(null_id_error(&mut client), -32600);
    assert_lives(client);
}

#[test]
fn a_bad_content_length_and_a_garbage_header_cost_one_message_each() {
    let mut client = client();
    client.send_raw(b"Content-Length: much\r\n\r\n");
    assert_eq!(null_id_error(&mut client), -32700);
    client.send_raw(b"\x00\xff garbage\r\n\r\n");
    assert_eq!(null_id_error(&mut client), -32700);
    assert_lives(client);
}

#[test]
fn a_lowercase_header_is_read() {
    let mut client = client();
    client.send_raw(b"content-length: 56\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"textDocument/hover\"}");
    let code = client
        .wait("the answer", |message| (message["id"] == "x").then(|| message["error"]["code"].as_i64()).flatten());
    assert_eq!(code, -32602);
    assert_lives(client);
}

#[test]
fn a_body_of_eight_gibibytes_is_refused_before_it_arrives() {
    let mut client = client();
    client.send_raw(b"Content-Length: 8589934592\r\n\r\n");
    assert_eq!(null_id_error(&mut client), -32700);
    client.close_input();
    assert_eq!(client.exit_status().code(), Some(1));
}

#[test]
fn a_document_of_sixty_four_mebibytes_costs_one_message_and_little_memory() {
    let mut client = client();
    client.open("file:///project/huge.pipeline.yml", &"x".repeat(64 * 1024 * 1024));
    assert_eq!(null_id_error(&mut client), -32700);
    let resident = resident_kib(client.child.id());
    assert!(resident < 100 * 1024, "{resident} KiB resident");
    assert_lives(client);
}

#[test]
fn a_document_above_the_limit_is_not_read_and_that_is_reported() {
    let mut client = client();
    let uri = "file:///project/large.pipeline.yml";
    client.open(uri, &"steps: []\n".repeat(1_800_000));
    let found = client.diagnostics(uri, 1);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0]["message"].as_str().unwrap().contains("16 MiB"), "{found:?}");
    assert_lives(client);
}

#[test]
fn bad_parameters_of_a_notification_are_ignored() {
    let mut client = client();
    client.notify("textDocument/didChange", json!({"textDocument": 7}));
    client.notify("workspace/didChangeConfiguration", json!(7));
    client.notify("window/workDoneProgress/cancel", json!({"token": {}}));
    client.notify("no/such/notification", json!({}));
    assert_lives(client);
}

#[test]
fn an_unknown_method_and_a_bad_uri_are_answered() {
    let mut client = client();
    assert_eq!(client.request("no/such/request", json!({})).unwrap_err()["code"], -32601);
    let error = client.request("textDocument/codeLens", json!({"textDocument": {"uri": "://"}})).unwrap_err();
    assert_eq!(error["code"], -32602);
    assert_lives(client);
}

#[test]
fn an_unexpected_response_is_ignored() {
    let mut client = client();
    client.send(&json!({"jsonrpc": "2.0", "id": 4711, "result": null}));
    client.send(&json!({"jsonrpc": "2.0", "id": "no", "error": {"code": 1, "message": "x"}}));
    assert_lives(client);
}

#[test]
fn a_panic_is_answered_and_the_server_continues() {
    let mut client = client();
    let error = client.request("pipelens/fault/panic", Value::Null).unwrap_err();
    assert_eq!(error["code"], -32603);
    assert_lives(client);
}

#[test]
fn busy_handlers_delay_no_other_request() {
    let mut client = client();
    let busy: Vec<i64> = (0..50).map(|_| client.ask("pipelens/fault/wait", json!({"ms": 600_000}))).collect();
    let blocked: Vec<i64> = (0..8).map(|_| client.ask("pipelens/fault/block", json!({"ms": 1_500}))).collect();
    hover(&mut client);
    // None of them was answered before the hover, which was asked for last.
    assert!(client.take(|message| message.get("method").is_none() && message["id"].is_i64()).is_empty());
    for id in blocked {
        client.answer(id).unwrap();
    }
    // A cancellation passes them, too.
    for id in busy {
        client.notify("$/cancelRequest", json!({"id": id}));
        assert_eq!(client.answer(id).unwrap_err()["code"], -32800);
    }
    assert_lives(client);
}

#[test]
fn a_hundred_and_fifty_handlers_that_await_the_client_all_get_their_answers() {
    let mut client = client();
    let asks: Vec<i64> = (0..150).map(|_| client.ask("pipelens/fault/ask", Value::Null)).collect();
    for id in asks {
        assert_eq!(client.answer(id).unwrap(), "answered");
    }
    assert_lives(client);
}

#[test]
fn an_answer_for_a_cancelled_handler_does_no_harm() {
    let mut client = client();
    client.holds_answers = true;
    let id = client.ask("pipelens/fault/ask", Value::Null);
    let question = client.wait("the server's question", |message| {
        (message["method"] == "workspace/codeLens/refresh").then(|| message["id"].clone())
    });
    client.notify("$/cancelRequest", json!({"id": id}));
    assert_eq!(client.answer(id).unwrap_err()["code"], -32800);
    // Only now comes what the handler had waited for.
    client.send(&json!({"jsonrpc": "2.0", "id": question, "result": null}));
    client.holds_answers = false;
    assert_lives(client);
}

#[test]
fn requests_beyond_a_thousand_in_flight_are_refused_and_reading_continues() {
    let mut client = client();
    client.ignores = test_client::is_anything;
    let asks: Vec<i64> = (0..1030).map(|_| client.ask("pipelens/fault/wait", json!({"ms": 600_000}))).collect();
    let last = *asks.last().unwrap();
    assert_eq!(client.answer(last).unwrap_err()["code"], -32000);
    for id in asks.iter().take(1024) {
        client.notify("$/cancelRequest", json!({"id": id}));
    }
    client.answer(asks[0]).unwrap_err();
    client.answer(asks[1023]).unwrap_err();
    assert_lives(client);
}

#[test]
fn a_flood_of_log_messages_delays_no_answer() {
    let mut client = client();
    let flood = client.ask("pipelens/fault/flood", json!({"ms": 50_000_000}));
    for _ in 0..20 {
        client.wait("the flood", |message| (message["method"] == "window/logMessage").then_some(()));
        hover(&mut client);
        client.log_text();
    }
    // Every hover was answered in the middle of it.
    client.notify("$/cancelRequest", json!({"id": flood}));
    assert_eq!(client.answer(flood).unwrap_err()["code"], -32800);
    assert_lives(client);
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_does_not_read_does_not_make_memory_grow() {
    let mut client = client();
    client.stop_reading();
    client.ask("pipelens/fault/flood", json!({"ms": 50_000_000}));
    // The server is held back once it spends no more time.
    let id = client.child.id();
    let deadline = Instant::now() + PATIENCE;
    let mut spent = None;
    while spent != Some(cpu_ticks(id)) || spent == Some(0) {
        assert!(Instant::now() < deadline, "the server is not held back");
        spent = Some(cpu_ticks(id));
        std::thread::park_timeout(Duration::from_millis(200));
    }
    let resident = resident_kib(id);
    assert!(0 < resident && resident < 50 * 1024, "{resident} KiB resident");
    client.close_input();
    assert_eq!(client.exit_status().code(), Some(1));
}

#[cfg(target_os = "linux")]
fn cpu_ticks(process_id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn code_of(client: &mut Client, id: i64) -> i64 {
    client.answer(id).unwrap_err()["code"].as_i64().unwrap()
}

#[test]
fn impossible_lengths_are_refused_and_reading_continues() {
    let mut client = client();
    for length in ["18446744073709551615", "99999999999999999999", "8589934592", "-5", "+5"] {
        client.send_raw(format!("Content-Length: {length}\r\n\r\n").as_bytes());
        assert_eq!(null_id_error(&mut client), -32700, "{length}");
    }
    client.send_raw(b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n");
    assert_eq!(null_id_error(&mut client), -32700);
    assert_lives(client);
}

#[test]
fn half_a_character_in_an_edit_is_applied_as_a_replacement_character() {
    let mut client = client();
    let range = r#"{"start":{"line":2,"character":9},"end":{"line":2,"character":13}}"#;
    let change = format!(
        r#"{{"jsonrpc":"2.0","method":"textDocument/didChange","params":{{"textDocument":{{"uri":"{URI}","version":2}},"contentChanges":[{{"range":{range},"text":"\ud83d x"}}]}}}}"#
    );
    client.send_raw(format!("Content-Length: {}\r\n\r\n{change}", change.len()).as_bytes());
    client.diagnostics(URI, 2);
    // The next edit counts the half as one unit, as the editor does.
    client.change(URI, 3, &json!({"start": {"line": 2, "character": 11}, "end": {"line": 2, "character": 12}}), "y");
    client.diagnostics(URI, 3);
    let symbols = client.request("textDocument/documentSymbol", json!({"textDocument": {"uri": URI}})).unwrap();
    assert_eq!(symbols[0]["children"][0]["detail"], "\u{fffd} y", "{symbols}");
    assert_lives(client);
}

#[test]
fn invalid_bytes_are_applied_as_replacement_characters() {
    let mut client = client();
    let start = format!(
        r#"{{"jsonrpc":"2.0","method":"textDocument/didChange","params":{{"textDocument":{{"uri":"{URI}","version":2}},"contentChanges":[{{"text":"steps:\n  - {{key: build, cmd: "#
    );
    let change = [start.as_bytes(), b"\xff", br#"}\n"}]}}"#].concat();
    client.send_raw(&[format!("Content-Length: {}\r\n\r\n", change.len()).as_bytes(), &change].concat());
    client.diagnostics(URI, 2);
    let symbols = client.request("textDocument/documentSymbol", json!({"textDocument": {"uri": URI}})).unwrap();
    assert_eq!(symbols[0]["children"][0]["detail"], "\u{fffd}", "{symbols}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_notification_with_an_id_is_answered_and_does_nothing() {
    let mut client = client();
    let document = json!({"textDocument": {"uri": URI, "version": 9}, "contentChanges": [{"text": "steps: []\n"}]});
    for (method, params) in [
        ("$/cancelRequest", json!({"id": 1})),
        ("$/setTrace", json!({"value": "off"})),
        ("$/no/such/thing", Value::Null),
        ("textDocument/didOpen", json!({})),
        ("textDocument/didChange", document),
        ("textDocument/didSave", json!({"textDocument": {"uri": URI}})),
        ("initialized", json!({})),
        ("exit", Value::Null),
        ("window/workDoneProgress/cancel", json!({"token": 1})),
        ("pipelens/didChangeTrust", json!({"trusted": false})),
    ] {
        let id = client.ask(method, params);
        assert_eq!(code_of(&mut client, id), -32601, "{method}");
    }
    assert_lives(client);
}

#[test]
fn a_request_without_an_id_does_nothing() {
    let mut client = client();
    for method in ["shutdown", "initialize", "textDocument/hover", "textDocument/codeLens", "workspace/executeCommand"]
    {
        client.notify(method, json!({"command": "pipelens.runPipeline"}));
    }
    assert_lives(client);
}

#[test]
fn nesting_numbers_and_ids_of_every_kind_are_answered() {
    let mut client = client();
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}}}"#, "[".repeat(100_000));
    client.send_raw(format!("Content-Length: {}\r\n\r\n{deep}", deep.len()).as_bytes());
    assert_eq!(null_id_error(&mut client), -32700);
    for id in [json!(1.5), json!(true), json!({}), json!([1])] {
        client.send(&json!({"jsonrpc": "2.0", "id": id, "method": "textDocument/hover"}));
        assert_eq!(null_id_error(&mut client), -32600);
    }
    let far = json!({"line": u32::MAX, "character": u32::MAX});
    for uri in [URI, "file:///project/%00.pipeline.yml", "file:///never/opened.pipeline.yml", "untitled:a"] {
        client.request("textDocument/hover", json!({"textDocument": {"uri": uri}, "position": far})).unwrap();
    }
    let reversed = json!({"start": {"line": 3, "character": 9}, "end": {"line": 3, "character": 9}});
    client.change("file:///never/opened.pipeline.yml", -7, &reversed, "x");
    client.change(URI, -7, &json!({"start": far, "end": far}), "");
    client.diagnostics(URI, -7);
    assert_lives(client);
}

/// Opens a file of 6,000 steps and reads its findings, and nothing after that.
fn client_that_stops_reading() -> (Client, &'static str) {
    let mut client = client();
    let uri = "file:///project/large.pipeline.yml";
    let steps: String = (0..6_000).map(|n| format!("  - {{key: step-{n}, cmd: make, image: 'a:1'}}\n")).collect();
    client.open(uri, &format!("steps:\n{steps}"));
    client.diagnostics(uri, 1);
    client.stop_reading();
    (client, uri)
}

/// Looks at the server's memory until it has not grown for a second.
fn assert_settles_below(client: &Client, most_mib: u64) {
    let (mut most, mut unchanged) = (0, 0);
    while unchanged < 20 {
        std::thread::park_timeout(Duration::from_millis(50));
        let resident = resident_kib(client.child.id());
        unchanged = if resident > most { 0 } else { unchanged + 1 };
        most = most.max(resident);
        assert!(most < most_mib * 1024, "{most} KiB resident");
    }
}

/// A client that asks for much and reads nothing.
#[test]
fn large_answers_to_a_client_that_does_not_read_take_little_memory() {
    let (mut client, uri) = client_that_stops_reading();
    client.ignores = test_client::is_anything;
    for _ in 0..250 {
        for method in ["codeLens", "documentSymbol", "semanticTokens/full", "documentLink"] {
            client.ask(&format!("textDocument/{method}"), json!({"textDocument": {"uri": uri}}));
        }
    }
    assert_settles_below(&client, 150);
}

/// Each request holds on to the text of its arrival, and each is another text.
#[test]
#[cfg(target_os = "linux")]
fn edits_while_the_client_does_not_read_use_little_memory() {
    let (mut client, uri) = client_that_stops_reading();
    client.ignores = test_client::is_anything;
    let start = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}});
    for version in 2..300 {
        client.change(uri, version, &start, "#\n");
        for method in ["codeLens", "documentSymbol"] {
            client.ask(&format!("textDocument/{method}"), json!({"textDocument": {"uri": uri}}));
        }
    }
    assert_settles_below(&client, 400);
}
