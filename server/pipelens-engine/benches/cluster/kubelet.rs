//! Waits for a chosen moment between two checks of a kubelet. A kubelet checks its containers once a second, and reports only then that one runs, so
//! a pod created just after a check takes up to a second longer than one created just before.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use crate::cluster::data;

/// The line that a kubelet of the tests' cluster logs at each check.
const CHECK: &str = "GenericPLEG: Relisting";
/// A kubelet that logs no check for this long is not running, or logs another line.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for the next check on a node, and then for a fraction of a second: step `number` of `count` equal steps.
pub(crate) async fn moment(node: &str, number: usize, count: usize) {
    let mut log = File::open(data().join("logs").join(format!("{node}-kubelet.log"))).unwrap();
    log.seek(SeekFrom::End(0)).unwrap();
    let checked = async {
        let mut text = String::new();
        while !text.contains(CHECK) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            log.read_to_string(&mut text).unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, checked).await.expect("the kubelet logs each check of its containers");
    let part = (number as f64 + 0.5) / count as f64;
    tokio::time::sleep(Duration::from_secs_f64(part)).await;
}
