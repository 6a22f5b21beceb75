use super::*;
use crate::event_queue;

async fn logs(folder: &Path, listener_takes: bool, lines: u64) -> (Vec<BuildEvent>, Vec<LogLine>, String) {
    let (events, queued) = event_queue::open();
    let (tx, mut rx) = tokio::sync::mpsc::channel(1);
    let path = folder.join("step.log");
    let mut logs =
        StepLogs::create(0, &path, events.clone(), &SecretPatterns::default(), Room::new(u64::MAX, 0)).await.unwrap();
    let delivery = tokio::spawn(event_queue::deliver(queued, tx));
    let mut heard = Vec::new();
    for number in 0..lines {
        logs.write(StdStream::Stdout, &Bytes::from(format!("line {number}\n"))).await;
        if listener_takes {
            heard.push(rx.recv().await.unwrap());
        }
    }
    let tail = logs.close().await;
    drop(events);
    while let Some(event) = rx.recv().await {
        heard.push(event);
    }
    delivery.await.unwrap();
    (heard, tail, std::fs::read_to_string(path).unwrap())
}

#[tokio::test]
async fn a_listener_that_keeps_up_gets_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let (events, tail, file) = logs(folder.path(), true, 100).await;
    assert_eq!(events.len(), 100);
    assert_eq!(tail.first().unwrap().text.as_ref(), "line 80");
    assert_eq!(file.lines().count(), 100);
}

#[tokio::test]
async fn a_listener_that_does_not_read_learns_what_it_missed_and_the_file_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let (events, _, file) = logs(folder.path(), false, 20_000).await;
    let (mut seen, mut skipped) = (0, 0);
    for event in &events {
        match event {
            BuildEvent::StepLog { lines, .. } => seen += lines.len() as u64,
            BuildEvent::StepLogSkipped { lines, .. } => skipped += lines,
            other => panic!("{other:?}"),
        }
    }
    assert!(skipped > 0);
    assert_eq!(seen + skipped, 20_000);
    assert_eq!(file.lines().count(), 20_000);
}

#[tokio::test]
async fn the_streams_do_not_split_each_others_lines_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (events, _queued) = event_queue::open();
    let path = folder.path().join("step.log");
    let mut logs =
        StepLogs::create(0, &path, events, &SecretPatterns::default(), Room::new(u64::MAX, 0)).await.unwrap();
    logs.write(StdStream::Stdout, &Bytes::from("out ")).await;
    logs.write(StdStream::Stderr, &Bytes::from("err\n")).await;
    logs.write(StdStream::Stdout, &Bytes::from("put\nlast")).await;
    logs.close().await;
    assert_eq!(std::fs::read_to_string(path).unwrap(), "err\nout put\nlast\n");
}

#[tokio::test]
async fn a_step_that_fills_its_log_continues_and_the_file_says_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step.log");
    let (events, mut queued) = event_queue::open();
    let room = Room::new(20, 0);
    let mut logs = StepLogs::create(0, &path, events.clone(), &SecretPatterns::default(), room.clone()).await.unwrap();
    for line in ["first line\n", "second line\n", "third line\n"] {
        logs.write(StdStream::Stdout, &Bytes::from(line)).await;
    }
    let tail = logs.close().await;
    assert_eq!(tail.last().map(|line| &*line.text), Some("third line"));
    expect_test::expect![[r#"
        first line
        [pipelens: the logs of this run have reached 20 bytes; the rest of the output is not kept]
    "#]]
    .assert_eq(&std::fs::read_to_string(&path).unwrap());
    // There is no space left for the next step, although its first line would have fitted into a limit of its own.
    let other = folder.path().join("other.log");
    let mut logs = StepLogs::create(1, &other, events.clone(), &SecretPatterns::default(), room).await.unwrap();
    logs.write(StdStream::Stdout, &Bytes::from("a line of this\n")).await;
    logs.close().await;
    assert!(std::fs::read_to_string(&other).unwrap().starts_with("[pipelens: the logs of this run"));
    drop(events);
    let mut said = Vec::new();
    while let Some(queued) = queued.recv().await {
        said.extend(queued.notice());
    }
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("step.log` ends early: the logs of this run have reached 20 bytes."), "{said:?}");
}
