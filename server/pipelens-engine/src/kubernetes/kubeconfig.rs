//! Reads the file with the user's clusters and credentials, from where `kubectl` reads it. Asks no cluster.

use std::env;
use std::fs;
use std::io;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use kube::config::Kubeconfig;
use serde_yaml::Value;

use crate::kubernetes::kubeconfig_fields;

const FILES: &str = "KUBECONFIG";
const DEFAULT_FILE: &str = ".kube/config";

/// Reads `file`, or those that `KUBECONFIG` names, or the one in the user's home. The error is a reason without a full stop.
pub(super) fn read(file: Option<&Path>) -> Result<Kubeconfig, String> {
    if let Some(file) = file {
        return read_file(file);
    }
    let named = env::var_os(FILES).unwrap_or_default();
    let files: Vec<PathBuf> = env::split_paths(&named).filter(|file| !file.as_os_str().is_empty()).collect();
    if files.is_empty() {
        let home = env::home_dir().ok_or("the home folder, where the kubeconfig would be, is not known")?;
        return read_file(&home.join(DEFAULT_FILE));
    }
    merged(&files)
}

/// Reads several files: what the first one says holds. One of them may be missing.
fn merged(files: &[PathBuf]) -> Result<Kubeconfig, String> {
    let there: Vec<&PathBuf> = files.iter().filter(|file| file.exists()).collect();
    // If none is there, the error is about the first.
    let read = if there.is_empty() { files.iter().take(1).collect() } else { there };
    read.into_iter().try_fold(Kubeconfig::default(), |all, file| {
        let next = read_file(file)?;
        all.merge(next).map_err(|error| format!("the kubeconfig {}: {error}", file.display()))
    })
}

/// Checks that a context, or the current one, leads to a cluster. The error is a reason without a full stop.
pub(super) fn check_context(config: &Kubeconfig, context: Option<&str>) -> Result<(), String> {
    let known = config.contexts.iter().map(|context| format!("`{}`", context.name)).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {known}") };
    let name = context.or(config.current_context.as_deref()).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| format!("the kubeconfig has no current context, and none is set; {known}"))?;
    let named = config.contexts.iter().find(|named| named.name == name).and_then(|named| named.context.as_ref());
    let cluster = &named.ok_or_else(|| format!("the kubeconfig has no context `{name}`; {known}"))?.cluster;
    if config.clusters.iter().any(|named| named.name == *cluster && named.cluster.is_some()) {
        return Ok(());
    }
    Err(format!("the context `{name}` of the kubeconfig names the cluster `{cluster}`, which is not there"))
}

fn read_file(file: &Path) -> Result<Kubeconfig, String> {
    let failed = |reason: &str| format!("the kubeconfig {}: {reason}", file.display());
    let bytes = fs::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("the kubeconfig {} does not exist", file.display()),
        _ => failed(&error.to_string()),
    })?;
    let mut config = parse(&bytes).map_err(|error| failed(&error))?;
    if let Some(folder) = file.parent() {
        find_files(&mut config, folder);
    }
    Ok(config)
}

/// Reads YAML, of which JSON is a part. An empty file is a kubeconfig without clusters.
fn parse(bytes: &[u8]) -> Result<Kubeconfig, String> {
    kubeconfig_fields::kubeconfig(&json(bytes).map_err(|error| error.to_string())?)
}

pub(super) fn json(bytes: &[u8]) -> Result<serde_json::Value, serde_yaml::Error> {
    let mut value: Value = match bytes {
        // PowerShell writes such files.
        [0xff, 0xfe, units @ ..] => serde_yaml::from_str(&utf16(units, u16::from_le_bytes))?,
        [0xfe, 0xff, units @ ..] => serde_yaml::from_str(&utf16(units, u16::from_be_bytes))?,
        _ => serde_yaml::from_slice(bytes)?,
    };
    value.apply_merge()?;
    serde_json::to_value(value).map_err(serde::ser::Error::custom)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.as_chunks().0.iter().copied().map(unit).collect();
    String::from_utf16_lossy(&units)
}

/// Paths in a file start at its folder.
fn find_files(config: &mut Kubeconfig, folder: &Path) {
    let clusters = config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut());
    let certificates = clusters.filter_map(|cluster| cluster.certificate_authority.as_mut());
    let users = config.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut());
    let of_users = users.flat_map(|user| {
        // A command without a folder is looked up in the PATH.
        let command = user.exec.as_mut().and_then(|exec| exec.command.as_mut());
        let command = command.filter(|command| command.contains('/') || command.contains(MAIN_SEPARATOR));
        [user.client_certificate.as_mut(), user.client_key.as_mut(), user.token_file.as_mut(), command]
            .into_iter()
            .flatten()
    });
    for path in certificates.chain(of_users).filter(|path| !path.is_empty()) {
        // An absolute path replaces the folder; `.` in it is left out.
        let whole: PathBuf = folder.join(&*path).components().collect();
        *path = whole.to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        file
    }

    const TEXT: &str = "
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1', certificate-authority: ca.pem}}]
users: [{name: u, user: {client-certificate: /etc/own.pem, client-key: keys/own.pem, tokenFile: token,
  exec: {apiVersion: client.authentication.k8s.io/v1, command: ./login}}}]
";

    #[test]
    fn paths_start_at_the_folder_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = read(Some(&write(folder.path(), "config", TEXT))).unwrap();
        let in_folder = |path: &str| Some(folder.path().join(path).display().to_string());
        let cluster = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.certificate_authority, in_folder("ca.pem"));
        let user = config.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.client_certificate.as_deref(), Some("/etc/own.pem"));
        assert_eq!(user.client_key, in_folder("keys/own.pem"));
        assert_eq!(user.token_file, in_folder("token"));
        assert_eq!(user.exec.as_ref().unwrap().command, in_folder("login"));
    }

    /// `kube` reads kubeconfigs, too, but not with the YAML reader of this program, and its errors name no place.
    #[test]
    fn every_field_that_kube_knows_is_read() {
        let text = "
current-context: here
contexts: [{name: here, context: {cluster: c, user: u, namespace: n}}]
clusters: [{name: c, cluster: {server: s, insecure-skip-tls-verify: true, certificate-authority: /a, certificate-authority-data: b,
  proxy-url: p, disable-compression: true, tls-server-name: t, extensions: [{name: e, extension: {x: [1]}}]}}]
users: [{name: u, user: {username: a, password: b, token: c, tokenFile: /d, client-certificate: /e, client-certificate-data: f,
  client-key: /g, client-key-data: h, as: i, as-uid: j, as-groups: [k], as-user-extra: {l: [m]},
  auth-provider: {name: n, config: {o: p}},
  exec: {apiVersion: q, command: r, args: [s], env: [{name: t, value: u}], installHint: v, interactiveMode: Always,
    provideClusterInfo: true}}}]
";
        let read = serde_json::to_value(parse(text.as_bytes()).unwrap()).unwrap();
        let expected = serde_json::to_value(Kubeconfig::from_yaml(text).unwrap()).unwrap();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_command_without_a_folder_stays_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), "config", TEXT.replace("./login", "login"));
        let user = read(Some(&file)).unwrap().auth_infos.remove(0).auth_info.unwrap();
        assert_eq!(user.exec.unwrap().command.as_deref(), Some("login"));
    }

    #[test]
    fn yaml_of_every_kind_is_read() {
        let read = |text: &[u8]| parse(text).unwrap().current_context;
        assert_eq!(read(b""), None);
        assert_eq!(read(b"# nothing\n"), None);
        assert_eq!(read(b"{\"current-context\": \"json\"}").as_deref(), Some("json"));
        assert_eq!(read(b"\xef\xbb\xbfcurrent-context: mark\n").as_deref(), Some("mark"));
        let wide: Vec<u8> = "\u{feff}current-context: wide\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&wide).as_deref(), Some("wide"));
        let merged = parse(b"x: &user {token: t}\nusers: [{name: a, user: {<<: *user}}]\n").unwrap();
        assert!(merged.auth_infos[0].auth_info.as_ref().unwrap().token.is_some());
    }

    #[test]
    fn of_several_files_the_first_holds_and_one_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path(), "a", "current-context: a\ncontexts: [{name: a, context: {cluster: one}}]\n");
        let second = write(folder.path(), "b", "current-context: b\ncontexts: [{name: b, context: {cluster: two}}]\n");
        let missing = folder.path().join("missing");
        let all = merged(&[missing.clone(), first, second]).unwrap();
        assert_eq!(all.current_context.as_deref(), Some("a"));
        assert_eq!(all.contexts.iter().map(|context| context.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let error = merged(std::slice::from_ref(&missing)).unwrap_err();
        assert_eq!(error, format!("the kubeconfig {} does not exist", missing.display()));
    }

    #[test]
    fn a_context_that_leads_to_no_cluster_is_named_with_those_there_are() {
        let error = |text: &str, context| check_context(&parse(text.as_bytes()).unwrap(), context).unwrap_err();
        assert_eq!(check_context(&parse(TEXT.as_bytes()).unwrap(), None), Ok(()));
        assert_eq!(check_context(&parse(TEXT.as_bytes()).unwrap(), Some("here")), Ok(()));
        assert_eq!(error(TEXT, Some("there")), "the kubeconfig has no context `there`; it has `here`");
        assert_eq!(error("", Some("there")), "the kubeconfig has no context `there`; it has none");
        let two = "contexts: [{name: a, context: {cluster: c}}, {name: b}]";
        assert_eq!(error(two, None), "the kubeconfig has no current context, and none is set; it has `a`, `b`");
        assert_eq!(error(two, Some("b")), "the kubeconfig has no context `b`; it has `a`, `b`");
        let lost = "the context `a` of the kubeconfig names the cluster `c`, which is not there";
        assert_eq!(error(two, Some("a")), lost);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("clusters: [", "line 2"),
            ("- a\n", "the file must be a mapping"),
            ("clusters: 7", "`clusters` must be a list"),
            ("clusters: [{name: a, cluster: {server: 7}}]", "`clusters[0].cluster.server` must be a text"),
            ("contexts: [{context: {}}]", "`contexts[0].name` is missing"),
            ("users: [{name: a, user: {exec: {args: [1]}}}]", "`users[0].user.exec.args` must be a list of texts"),
            ("users: [{name: a, user: {exec: {interactiveMode: ask}}}]", "must be `Never`, `IfAvailable` or `Always`"),
            ("users: [{name: a, user: {exec: {env: [{name: 1}]}}}]", "`users[0].user.exec.env[0].name` must be a text"),
        ] {
            let file = write(folder.path(), "config", text);
            let error = read(Some(&file)).unwrap_err();
            assert!(error.starts_with(&format!("the kubeconfig {}: ", file.display())), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
