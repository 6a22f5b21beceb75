//! Why the engine's socket cannot be used by this user, and what would change that.

use std::path::Path;

/// Returns why this user may not connect to a socket; `None` if that is not the reason.
#[cfg(unix)]
pub(super) fn closed(socket: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;

    use rustix::fs::{Access, access};

    if access(socket, Access::READ_OK | Access::WRITE_OK) != Err(rustix::io::Errno::ACCESS) {
        return None;
    }
    let Ok(metadata) = socket.metadata() else {
        return Some("permission denied: you may not enter its folder".to_owned());
    };
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    Some(sentence(metadata.mode(), group(&groups, metadata.gid())))
}

#[cfg(not(unix))]
pub(super) fn closed(_socket: &Path) -> Option<String> {
    None
}

/// Returns what a user can do who is neither the owner nor in the group.
#[cfg(unix)]
fn sentence(mode: u32, group: Option<&str>) -> String {
    match group {
        // The administrator's own group is no way in.
        Some(group) if mode & 0o060 == 0o060 && group != "root" => format!(
            "permission denied: only members of the group `{group}` may use it. `sudo usermod -aG {group} $USER` makes you one, \
             from your next login on"
        ),
        Some(_) | None => "permission denied: only its owner may use it".to_owned(),
    }
}

/// Finds the name of a group in the text of `/etc/group`.
#[cfg(unix)]
fn group(groups: &str, wanted: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(wanted)).then_some(name)
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const GROUPS: &str = "root:x:0:\ndocker:x:998:ada,grace\nbroken\n";

    #[test]
    fn the_group_that_may_use_the_socket_is_named() {
        let said = sentence(0o140_660, group(GROUPS, 998));
        assert_eq!(
            said,
            "permission denied: only members of the group `docker` may use it. `sudo usermod -aG docker $USER` makes you one, \
             from your next login on"
        );
        let owner = "permission denied: only its owner may use it";
        for (mode, id) in [(0o140_600, 998), (0o140_660, 0), (0o140_660, 7)] {
            assert_eq!(sentence(mode, group(GROUPS, id)), owner, "{mode:o} {id}");
        }
    }
}
