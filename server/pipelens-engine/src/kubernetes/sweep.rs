//! Removes pods that processes of this machine left when they were killed. Those of other machines end by themselves: their agents notice.

use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::error::counted;
use crate::kubernetes::names;
use crate::kubernetes::session::Session;
use crate::owner::Owner;

/// Its processes get no time; but who waits for their end sees the pod until then.
const GRACE_SECONDS: u32 = 1;

/// Returns a sentence about what was removed.
pub(super) async fn remove_what_dead_owners_left(session: &Session) -> Option<String> {
    let pods = session.pods().await.ok()?;
    let (managed_by, pipelens) = names::MANAGED_BY;
    let all = ListParams::default().labels(&format!("{managed_by}={pipelens}"));
    let listing = tokio::time::timeout(session.deadlines.tidying, pods.api().list_metadata(&all)).await;
    let mut removed = 0;
    for pod in listing.ok()?.ok()? {
        let owner = pod.annotations().get(names::OWNER).and_then(|text| text.parse::<Owner>().ok());
        let is_left = owner.is_some_and(|owner| owner.is_dead(&session.owner));
        if is_left
            && pod.metadata.deletion_timestamp.is_none()
            && pods.delete(&pod.name_any(), GRACE_SECONDS).await.is_ok()
        {
            removed += 1;
        }
    }
    (removed > 0).then(|| format!("Removed {} that an earlier process left in the cluster.", counted(removed, "pod")))
}
