//! The numeric ids of an image's user, for the owner of the sources. Names are looked up in the image's own `/etc/passwd` and `/etc/group`.

use std::path::Path;

use crate::error::EngineError;
use crate::kubernetes::image::Image;
use crate::kubernetes::registry::Registry;

/// Returns the ids of the user and the group with which a step's command runs.
pub(super) async fn ids(
    registry: &Registry,
    image: &Image,
    wanted: Option<(i64, Option<i64>)>,
) -> Result<(u64, u64), EngineError> {
    if let Some((user, group)) = wanted {
        let id = |number: i64| u64::try_from(number).unwrap_or(0);
        // As Kubernetes does it for a user without a group.
        return Ok((id(user), id(group.unwrap_or(0))));
    }
    let (user, group) = image.user().split_once(':').map_or((image.user(), None), |(user, group)| (user, Some(group)));
    if matches!(user, "" | "0" | "root") && group.is_none() {
        return Ok((0, 0));
    }
    if let (Ok(user), Some(Ok(group))) = (user.parse(), group.map(str::parse)) {
        return Ok((user, group));
    }
    let passwd = registry.file_of(image, Path::new("etc/passwd")).await?;
    let (user_id, own_group) = find_user(&passwd, user).ok_or_else(|| EngineError::Refused {
        doing: "find the image's user",
        reason: format!("`{user}` is not in its `/etc/passwd`"),
    })?;
    let Some(group) = group else { return Ok((user_id, own_group)) };
    if let Ok(group) = group.parse() {
        return Ok((user_id, group));
    }
    let groups = registry.file_of(image, Path::new("etc/group")).await?;
    Ok((user_id, find_group(&groups, group).unwrap_or(0)))
}

/// Returns the ids of a user and its group. A number need not be in the file.
fn find_user(passwd: &str, user: &str) -> Option<(u64, u64)> {
    let number = user.parse().ok();
    let entry = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&user) || (number.is_some() && fields.get(2) == Some(&user)));
    match entry {
        Some(fields) => Some((fields.get(2)?.parse().ok()?, fields.get(3).and_then(|id| id.parse().ok()).unwrap_or(0))),
        None => Some((number?, 0)),
    }
}

fn find_group(groups: &str, name: &str) -> Option<u64> {
    let mut entries = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    entries.find(|fields| fields.first() == Some(&name))?.get(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\n";
        assert_eq!(find_user(passwd, "node"), Some((1000, 1001)));
        assert_eq!(find_user(passwd, "1000"), Some((1000, 1001)));
        assert_eq!(find_user(passwd, "77"), Some((77, 0)));
        assert_eq!(find_user(passwd, "nobody"), None);
        assert_eq!(find_group("root:x:0:\nstaff:x:50:a,b\n", "staff"), Some(50));
        assert_eq!(find_group("", "staff"), None);
    }
}
