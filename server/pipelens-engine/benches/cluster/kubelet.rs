//! When a kubelet looks at its containers. It does that once in a second, and nobody learns earlier that a container runs: how long a pod takes
//! depends on the part of that second in which it is created, by up to a second.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use crate::cluster::data;

/// What a kubelet of the tests' cluster writes to its log when it looks.
const LOOKS: &str = "GenericPLEG: Relisting";
/// A kubelet that does not look for this long is not there, or says it in other words.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the kubelet of a node looks at its containers, and then for a part of a second: the same one for the same `number` out of `count`.
pub(crate) async fn moment(node: &str, number: usize, count: usize) {
    let mut log = File::open(data().join("logs").join(format!("{node}-kubelet.log"))).unwrap();
    log.seek(SeekFrom::End(0)).unwrap();
    let looked = async {
        let mut text = String::new();
        while !text.contains(LOOKS) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            log.read_to_string(&mut text).unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.expect("the kubelet says in its log when it looks at its containers");
    let part = (number as f64 + 0.5) / count as f64;
    tokio::time::sleep(Duration::from_secs_f64(part)).await;
}
