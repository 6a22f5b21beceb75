//! `pipelens run --watch`, as a terminal meets it: every save is run, the newest one last, and nothing twice.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Project, Runner, lines, outcomes, text};

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command line that watches.
struct Watching {
    child: Child,
    events: Receiver<Value>,
    said: Receiver<String>,
}

impl Watching {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut command = project.command(Runner::Host, &["run", "--watch", "--runner", "host", "--format", "json"]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let events = lines_of(out, |line| serde_json::from_str(&line).unwrap());
        Self { child, events, said: lines_of(errors, |line| line) }
    }

    /// Returns the events of the next round.
    fn round(&self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self
                .events
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no end after {events:?}; {:?}", self.said.try_iter().collect::<Vec<_>>()));
            assert_eq!(event["kind"] == "runStart", events.is_empty(), "{event}");
            let is_end = event["kind"] == "runEnd";
            events.push(event);
            if is_end {
                return events;
            }
        }
    }

    /// Waits until a sentence with these words is said.
    fn says(&self, words: &str) -> String {
        loop {
            let said = self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("`{words}` is not said"));
            if said.contains(words) {
                return said;
            }
        }
    }

    fn rests(&self) {
        self.says("press Ctrl-C to stop.");
    }

    /// Sends a signal, and returns the exit code and what happened after it.
    fn end(mut self, signal: &str) -> (Option<i32>, Vec<Value>, Vec<String>) {
        send(signal, self.child.id());
        let code = test_client::exit_status(&mut self.child).code();
        (code, self.events.iter().collect(), self.said.iter().collect())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn lines_of<T: Send + 'static>(
    stream: impl Read + Send + 'static,
    read: impl Fn(String) -> T + Send + 'static,
) -> Receiver<T> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if line.map(|line| sender.send(read(line))).is_err() {
                break;
            }
        }
    });
    receiver
}

fn send(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

fn write(project: &Project, path: &str, text: &str) {
    let path = project.folder.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// As editors save: a new file is renamed over the old one.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new~");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn outcome(events: &[Value]) -> String {
    text(&events.last().unwrap()["outcome"])
}

fn step(events: &[Value], step: &str) -> String {
    outcomes(events).into_iter().find(|(key, _)| key == step).map(|(_, outcome)| outcome).unwrap_or_default()
}

/// Returns the processes whose working directory is that of a run of this project, or which have its state directory in their environment.
#[cfg(target_os = "linux")]
fn processes_of(project: &Project) -> Vec<String> {
    let state = project.state.path().to_str().unwrap();
    let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_of_it = |process: &Path| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        let folder = std::fs::read_link(process.join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(state) || folder.starts_with(state)
    };
    all.filter(|process| is_of_it(process))
        .map(|process| std::fs::read_to_string(process.join("cmdline")).unwrap_or_default())
        .collect()
}

#[cfg(target_os = "linux")]
fn nothing_is_left(project: &Project) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !processes_of(project).is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", processes_of(project));
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn of_two_hundred_saves_the_newest_is_run_last_and_none_twice() {
    const SAVES: u64 = 200;
    let project = Project::new(
        r"steps:
  - key: read
    cmd: read number < src/number; echo begin $number; sleep 0.15; echo end $number
",
    );
    write(&project, ".pipelensignore", "*~\n");
    write(&project, "src/number", "0\n");
    let watching = Watching::start(&project, &[]);
    let path = project.folder.path().join("src/number");
    let saves = std::thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(18);
        for number in 1..=SAVES {
            std::thread::sleep(Duration::from_millis(random.u64(..250)));
            match random.bool() {
                true => replace(&path, &format!("{number}\n")),
                false => std::fs::write(&path, format!("{number}\n")).unwrap(),
            }
        }
    });
    let (mut begun, mut cancelled) = (Vec::new(), 0);
    loop {
        let round = watching.round();
        let shown = lines(&round, "read");
        // A file that is written in place is empty at first: a run that begins then is cancelled.
        let number = |word: &str| {
            let line = shown.iter().find_map(|line| line.strip_prefix(word))?;
            line.trim().parse::<u64>().ok()
        };
        begun.extend(number("begin"));
        match outcome(&round).as_str() {
            "succeeded" => assert!(number("end").is_some() && number("end") == number("begin"), "{round:?}"),
            "cancelled" => cancelled += 1,
            other => panic!("{other}: {round:?}"),
        }
        if outcome(&round) == "succeeded" && number("end") == Some(SAVES) {
            break;
        }
    }
    saves.join().unwrap();
    assert!(begun.is_sorted_by(|one, next| one < next), "one save was run twice: {begun:?}");
    assert!(cancelled > 10 && begun.len() > 10, "{cancelled} cancelled, {begun:?}");
    // No further round has begun, and the next save makes one.
    watching.rests();
    write(&project, "src/number", "1000\n");
    assert_eq!(lines(&watching.round(), "read"), ["begin 1000", "end 1000"]);
    let (code, events, _) = watching.end("-INT");
    assert_eq!((code, events.len()), (Some(0), 0), "{events:?}");
    nothing_is_left(&project);
}

const CACHED: &str = r"steps:
  - key: docs
    cmd: cat docs/*
    cache: {policy: on_change, paths: [docs]}
  - key: build
    cmd: cat src/a
  - key: test
    cmd: cat src/a docs/page
    builds_in: build
";

#[test]
fn only_steps_whose_inputs_changed_run_again_and_what_depends_on_them() {
    let project = Project::new(CACHED);
    write(&project, "docs/page", "page 1\n");
    write(&project, "src/a", "a 1\n");
    write(&project, ".pipelensignore", "*.log\ntarget\n");
    let watching = Watching::start(&project, &[]);
    let round = watching.round();
    assert_eq!(["docs", "build", "test"].map(|key| step(&round, key)), ["succeeded", "succeeded", "succeeded"]);
    assert!(watching.says("Watching ").starts_with("Watching 4 files; press Ctrl-C to stop."));
    // Neither is an ignored file a reason, nor one in a folder of them.
    for path in ["a.log", "target/debug/x", "src/b.log"] {
        write(&project, path, "1");
    }
    write(&project, "src/a", "a 2\n");
    let round = watching.round();
    assert_eq!(["docs", "build", "test"].map(|key| step(&round, key)), ["cached", "succeeded", "succeeded"]);
    assert_eq!(lines(&round, "test"), ["a 2", "page 1"]);
    assert_eq!(watching.says("changed."), "`src/a` changed.");
    watching.rests();
    write(&project, "docs/page", "page 2\n");
    let round = watching.round();
    assert_eq!(["docs", "build", "test"].map(|key| step(&round, key)), ["succeeded", "succeeded", "succeeded"]);
    assert_eq!(watching.end("-TERM").0, Some(0));
}

#[test]
fn a_pipeline_with_errors_is_waited_for_and_the_exit_code_is_that_of_the_last_round() {
    let project = Project::new("steps: [{key: a, cmd: exit 3}]\n");
    let watching = Watching::start(&project, &["--step", "a", "pipeline.yml"]);
    assert_eq!(outcome(&watching.round()), "failed");
    watching.rests();
    for (text, said) in [
        ("steps: [{key: a, cmd: echo, builds_in: none}]\n", "`none`"),
        ("steps: [{key: b, cmd: echo}]\n", "`a`"),
        ("steps: [", "pipeline.yml"),
    ] {
        replace(&project.file(), text);
        watching.says("`pipeline.yml` changed.");
        watching.says(said);
        watching.rests();
    }
    std::fs::remove_file(project.file()).unwrap();
    watching.says("Cannot read");
    watching.rests();
    std::fs::write(project.file(), "steps: [{key: a, cmd: echo fine}]\n").unwrap();
    assert_eq!(lines(&watching.round(), "a"), ["fine"]);
    watching.rests();
    replace(&project.file(), "steps: [{key: a, cmd: exit 3}]\n");
    assert_eq!(outcome(&watching.round()), "failed");
    watching.rests();
    assert_eq!(watching.end("-INT").0, Some(1));
    let (code, _, errors) = project.output(Runner::Host, &["run", "--watch", "none.yml"]);
    assert!(code == 2 && errors.contains("Cannot read `none.yml`"), "{code} {errors}");
    let (code, _, errors) = project.output(Runner::Host, &["run", "--watch", "-"]);
    assert!(code == 2 && errors.contains("standard input"), "{code} {errors}");
}

#[test]
fn what_a_run_writes_into_the_project_is_no_reason_to_run_again() {
    let project = Project::new(
        r"steps:
  - key: a
    cmd: mkdir made; date > made/report; cat src
    artifacts: [made]
",
    );
    write(&project, "src", "1\n");
    write(&project, "secrets.env", "A=1\n");
    for folder in ["out/deep", "."] {
        let watching = Watching::start(&project, &["--artifacts", folder, "--secrets-file", "secrets.env"]);
        for text in ["2\n", "3\n", "4\n"] {
            let round = watching.round();
            assert_eq!(outcome(&round), "succeeded", "{round:?}");
            if text == "2\n" {
                watching.says("so changes there start no run.");
            }
            watching.rests();
            write(&project, "secrets.env", &format!("A={text}"));
            write(&project, "src", text);
        }
        assert_eq!(lines(&watching.round(), "a"), ["4"]);
        watching.rests();
        let (code, events, said) = watching.end("-INT");
        assert_eq!((code, events.len(), said.len()), (Some(0), 0, 0), "{events:?} {said:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_during_a_round_cancels_it_and_a_kill_leaves_no_process() {
    const ENDLESS: &str = "steps: [{key: a, cmd: 'echo begun; sleep 1000 & sleep 1000'}]\n";
    for (signal, code) in [("-INT", Some(130)), ("-TERM", Some(130)), ("-KILL", None)] {
        let project = Project::new(ENDLESS);
        let watching = Watching::start(&project, &[]);
        loop {
            let event = watching.events.recv_timeout(PATIENCE).unwrap();
            if event["kind"] == "stepLog" {
                break;
            }
        }
        assert_eq!(watching.end(signal).0, code, "{signal}");
        nothing_is_left(&project);
    }
}

/// Waits until a lens has this title.
fn shown(client: &mut test_client::Client, uri: &str, wanted: &str) -> Value {
    loop {
        let lenses = client.lenses(uri);
        if let Some(lens) = lenses.iter().find(|lens| text(&lens["command"]["title"]) == wanted) {
            return lens["command"].clone();
        }
        client.wait(&format!("`{wanted}` instead of {lenses:?}"), |message| {
            (message["method"] == "workspace/codeLens/refresh").then_some(())
        });
    }
}

/// Returns the events of the next round.
fn next_round(client: &mut test_client::Client) -> Vec<Value> {
    let start = client.run_event("runStart", |_| true);
    let mut events = vec![start.clone()];
    events.extend(client.run_events(start["runId"].as_str().unwrap()));
    events
}

fn watching_is_logged(client: &mut test_client::Client) {
    client.wait("`Watching … files.`", |message| {
        let text = text(&message["params"]["message"]);
        (message["method"] == "window/logMessage" && text.starts_with("Watching ")).then_some(())
    });
}

const TWO: &str = r"steps:
  - key: build
    cmd: cat src/a
  - key: other
    cmd: echo other
";

#[test]
fn an_editor_watches_a_step_until_it_is_stopped() {
    let project = Project::new(TWO);
    write(&project, "src/a", "1\n");
    let mut client = project.serve(Runner::Host);
    let uri = project.uri();
    let lens = shown(&mut client, &uri, "◎ Watch step");
    assert_eq!(lens["arguments"][0]["step"], "build");
    let watch = client.execute("pipelens.watch", lens["arguments"][0].clone()).unwrap();
    assert_eq!(lines(&next_round(&mut client), "build"), ["1"]);
    watching_is_logged(&mut client);
    shown(&mut client, &uri, "◉ Stop watching");
    for text in ["2", "3"] {
        write(&project, "src/a", &format!("{text}\n"));
        let round = next_round(&mut client);
        assert_eq!((lines(&round, "build"), step(&round, "other")), (vec![text.to_owned()], String::new()));
        watching_is_logged(&mut client);
    }
    // The pipeline takes the place of its step.
    client.execute("pipelens.watch", serde_json::json!({"uri": uri})).unwrap();
    assert_eq!(step(&next_round(&mut client), "other"), "succeeded");
    watching_is_logged(&mut client);
    write(&project, "src/a", "4\n");
    assert_eq!(step(&next_round(&mut client), "other"), "succeeded");
    watching_is_logged(&mut client);
    let stopped = client.execute("pipelens.stopWatching", serde_json::json!({})).unwrap();
    let stopped = stopped["stopped"].as_array().unwrap();
    assert!(stopped.len() == 1 && stopped[0] != watch["watchId"], "{stopped:?}");
    shown(&mut client, &uri, "◎ Watch pipeline");
    // What is saved now is not run; the next run is the one that is asked for.
    write(&project, "src/a", "5\n");
    let (_, events) = client.run_to_end("pipelens.runStep", serde_json::json!({"uri": uri, "step": "other"}));
    assert_eq!(lines(&events, "other"), ["other"]);
    // A palette knows only where the cursor is.
    client.execute("pipelens.watch", serde_json::json!({"uri": uri, "line": 4})).unwrap();
    let round = next_round(&mut client);
    assert_eq!((step(&round, "build"), step(&round, "other")), (String::new(), "succeeded".to_owned()));
    client.execute("pipelens.stopWatching", serde_json::json!({})).unwrap();
    let error = client.execute("pipelens.watch", serde_json::json!({"uri": uri, "step": "none"})).unwrap_err();
    assert!(text(&error["message"]).contains("`none`"), "{error}");
    assert_eq!(client.quit().code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn watching_ends_with_trust_and_with_the_client_and_leaves_no_process() {
    const ENDLESS: &str = "steps: [{key: a, cmd: 'echo begun; sleep 1000 & sleep 1000'}]\n";
    for is_trust in [true, false] {
        let project = Project::new(ENDLESS);
        let mut client = project.serve(Runner::Host);
        let uri = project.uri();
        client.execute("pipelens.watch", serde_json::json!({"uri": uri})).unwrap();
        client.run_event("stepLog", |event| event["lines"][0]["text"] == "begun");
        // A save cancels the run, and begins another.
        write(&project, "src/a", "2\n");
        assert_eq!(client.run_event("runEnd", |_| true)["outcome"], "cancelled");
        client.run_event("stepLog", |event| event["lines"][0]["text"] == "begun");
        if is_trust {
            client.notify("pipelens/didChangeTrust", serde_json::json!({"trusted": false}));
            assert_eq!(client.run_event("runEnd", |_| true)["outcome"], "cancelled");
            let error = client.execute("pipelens.watch", serde_json::json!({"uri": uri})).unwrap_err();
            assert!(text(&error["message"]).contains("is not trusted"), "{error}");
            client.notify("pipelens/didChangeTrust", serde_json::json!({"trusted": true}));
            shown(&mut client, &uri, "◎ Watch pipeline");
        } else {
            client.close_input();
            client.exit_status();
            nothing_is_left(&project);
            continue;
        }
        assert_eq!(client.quit().code(), Some(0));
        nothing_is_left(&project);
    }
}
