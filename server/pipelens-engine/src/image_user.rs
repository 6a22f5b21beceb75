//! The numeric ids of an image's user. Names are looked up in the image's own `/etc/passwd` and `/etc/group`. Knows no engine.

use crate::error::EngineError;

/// The small text files of an image or a container.
pub(crate) trait UserFiles {
    /// Returns a file; empty if there is none.
    fn read(&self, path: &'static str) -> impl Future<Output = Result<String, EngineError>> + Send;
}

/// Returns the ids of a user and a group, as an image names them: `node`, `1000`, `1000:100`, empty for root.
pub(crate) async fn ids(user: &str, files: &(impl UserFiles + Sync)) -> Result<(u64, u64), EngineError> {
    let (user, group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    if user.is_empty() {
        return Ok((0, 0));
    }
    if let (Ok(user_id), Some(Ok(group_id))) = (user.parse(), group.map(str::parse)) {
        return Ok((user_id, group_id));
    }
    let found = find_user(&files.read("/etc/passwd").await?, user);
    let (user_id, own_group) = found.ok_or_else(|| EngineError::Refused {
        doing: "find the image's user",
        reason: format!("`{user}` is not in its `/etc/passwd`"),
    })?;
    let Some(group) = group else { return Ok((user_id, own_group)) };
    match group.parse() {
        Ok(group_id) => Ok((user_id, group_id)),
        Err(_) => Ok((user_id, find_group(&files.read("/etc/group").await?, group).unwrap_or(0))),
    }
}

/// Returns the ids of a user and its group. A number need not be in the file.
fn find_user(passwd: &str, user: &str) -> Option<(u64, u64)> {
    let number: Option<u64> = user.parse().ok();
    let is_user =
        |fields: &Vec<&str>| fields.first() == Some(&user) || (number.is_some() && fields.get(2) == Some(&user));
    let entry = fields_of(passwd).find(is_user);
    let field = |index: usize| entry.as_ref()?.get(index)?.parse().ok();
    Some((number.or_else(|| field(2))?, field(3).unwrap_or(0)))
}

fn find_group(groups: &str, name: &str) -> Option<u64> {
    fields_of(groups).find(|fields| fields.first() == Some(&name))?.get(2)?.parse().ok()
}

/// Returns the home of a user, as an engine finds it.
pub(crate) fn home(passwd: &str, user: &str) -> String {
    let user = user.split(':').next().unwrap_or_default();
    let is_user = |fields: &Vec<&str>| match user {
        "" => fields.get(2) == Some(&"0"),
        user => fields.first() == Some(&user) || fields.get(2) == Some(&user),
    };
    let home =
        fields_of(passwd).find(is_user).and_then(|fields| fields.get(5).copied()).filter(|home| !home.is_empty());
    home.unwrap_or("/").to_owned()
}

fn fields_of(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\n";

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        assert_eq!(find_user(PASSWD, "node"), Some((1000, 1001)));
        assert_eq!(find_user(PASSWD, "1000"), Some((1000, 1001)));
        assert_eq!(find_user(PASSWD, "77"), Some((77, 0)));
        assert_eq!(find_user(PASSWD, "nobody"), None);
        assert_eq!(find_group("root:x:0:\nstaff:x:50:a,b\n", "staff"), Some(50));
        assert_eq!(find_group("", "staff"), None);
    }

    #[test]
    fn a_user_without_an_entry_has_the_root_folder_as_its_home() {
        assert_eq!(home(PASSWD, ""), "/root");
        assert_eq!(home(PASSWD, "node:staff"), "/home/node");
        assert_eq!(home(PASSWD, "77"), "/");
    }
}
