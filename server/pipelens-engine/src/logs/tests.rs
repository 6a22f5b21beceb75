use super::*;
use crate::outbox;

async fn logs(folder: &Path, listener_takes: bool, lines: u64) -> (Vec<BuildEvent>, Vec<LogLine>, String) {
    let (outbox, letters) = outbox::open();
    let (tx, mut rx) = tokio::sync::mpsc::channel(1);
    let path = folder.join("step.log");
    let mut logs = StepLogs::create(0, &path, outbox.clone(), &Needles::default()).await.unwrap();
    let delivery = tokio::spawn(outbox::deliver(letters, tx));
    let mut events = Vec::new();
    for number in 0..lines {
        logs.write(StdStream::Stdout, &Bytes::from(format!("line {number}\n"))).await;
        if listener_takes {
            events.push(rx.recv().await.unwrap());
        }
    }
    let tail = logs.close().await;
    drop(outbox);
    while let Some(event) = rx.recv().await {
        events.push(event);
    }
    delivery.await.unwrap();
    (events, tail, std::fs::read_to_string(path).unwrap())
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
async fn a_listener_that_does_not_read_is_told_what_it_missed_and_the_file_is_whole() {
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
async fn the_streams_do_not_cut_each_others_lines_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (outbox, _letters) = outbox::open();
    let path = folder.path().join("step.log");
    let mut logs = StepLogs::create(0, &path, outbox, &Needles::default()).await.unwrap();
    logs.write(StdStream::Stdout, &Bytes::from("out ")).await;
    logs.write(StdStream::Stderr, &Bytes::from("err\n")).await;
    logs.write(StdStream::Stdout, &Bytes::from("put\nlast")).await;
    logs.close().await;
    assert_eq!(std::fs::read_to_string(path).unwrap(), "err\nout put\nlast\n");
}
