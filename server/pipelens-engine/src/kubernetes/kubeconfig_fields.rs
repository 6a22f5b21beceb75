//! What a kubeconfig says, field by field: an error names the field. Reads no file.

use std::collections::HashMap;

use kube::config::{
    AuthInfo, AuthProviderConfig, Cluster, Context, ExecConfig, ExecInteractiveMode, Kubeconfig, NamedAuthInfo,
    NamedCluster, NamedContext, NamedExtension,
};
use serde_json::{Map, Value};

/// A mapping, and where it is.
pub(super) struct Fields<'a> {
    entries: Option<&'a Map<String, Value>>,
    place: String,
}

pub(super) type Read<T> = Result<T, String>;

/// Reads a whole kubeconfig. Fields that are not known are ignored, as by `kubectl`.
pub(super) fn kubeconfig(value: &Value) -> Read<Kubeconfig> {
    let fields = Fields::of(value, "the file".to_owned())?;
    Ok(Kubeconfig {
        clusters: fields.list("clusters", |named| {
            let cluster = named.mapping("cluster", |it| cluster(&it))?;
            Ok(NamedCluster { name: named.name()?, cluster, ..NamedCluster::default() })
        })?,
        auth_infos: fields.list("users", |named| {
            let auth_info = named.mapping("user", |it| user(&it))?;
            Ok(NamedAuthInfo { name: named.name()?, auth_info, ..NamedAuthInfo::default() })
        })?,
        contexts: fields.list("contexts", |named| {
            let context = named.mapping("context", |it| context(&it))?;
            Ok(NamedContext { name: named.name()?, context, ..NamedContext::default() })
        })?,
        current_context: fields.text("current-context")?,
        ..Kubeconfig::default()
    })
}

fn cluster(fields: &Fields) -> Read<Cluster> {
    Ok(Cluster {
        server: fields.text("server")?,
        insecure_skip_tls_verify: fields.flag("insecure-skip-tls-verify")?,
        certificate_authority: fields.text("certificate-authority")?,
        certificate_authority_data: fields.text("certificate-authority-data")?,
        proxy_url: fields.text("proxy-url")?,
        disable_compression: fields.flag("disable-compression")?,
        tls_server_name: fields.text("tls-server-name")?,
        extensions: Some(extensions(fields)?),
        ..Cluster::default()
    })
}

/// A plugin may be given what is in those of its cluster.
fn extensions(fields: &Fields) -> Read<Vec<NamedExtension>> {
    fields.list("extensions", |named| {
        let extension = named.value("extension").cloned().unwrap_or_default();
        Ok(NamedExtension { name: named.name()?, extension })
    })
}

fn context(fields: &Fields) -> Read<Context> {
    Ok(Context {
        cluster: fields.text("cluster")?.unwrap_or_default(),
        user: fields.text("user")?,
        namespace: fields.text("namespace")?,
        ..Context::default()
    })
}

fn user(fields: &Fields) -> Read<AuthInfo> {
    Ok(AuthInfo {
        username: fields.text("username")?,
        password: fields.text("password")?.map(Into::into),
        token: fields.text("token")?.map(Into::into),
        token_file: fields.text("tokenFile")?,
        client_certificate: fields.text("client-certificate")?,
        client_certificate_data: fields.text("client-certificate-data")?,
        client_key: fields.text("client-key")?,
        client_key_data: fields.text("client-key-data")?.map(Into::into),
        impersonate: fields.text("as")?,
        impersonate_uid: fields.text("as-uid")?,
        impersonate_groups: fields.texts("as-groups")?,
        impersonate_user_extra: fields.mapping("as-user-extra", |extra| {
            extra.names().map(|name| Ok((name.to_owned(), extra.texts(name)?.unwrap_or_default()))).collect()
        })?,
        auth_provider: fields.mapping("auth-provider", |provider| {
            let config = provider.mapping("config", |config| config.all_texts())?.unwrap_or_default();
            Ok(AuthProviderConfig { name: provider.name()?, config, ..AuthProviderConfig::default() })
        })?,
        exec: fields.mapping("exec", |it| plugin(&it))?,
        ..AuthInfo::default()
    })
}

/// Reads how a program is called that logs in.
fn plugin(fields: &Fields) -> Read<ExecConfig> {
    let interactive_mode = match fields.text("interactiveMode")?.as_deref() {
        None => None,
        Some("Never") => Some(ExecInteractiveMode::Never),
        Some("IfAvailable") => Some(ExecInteractiveMode::IfAvailable),
        Some("Always") => Some(ExecInteractiveMode::Always),
        Some(_) => return Err(fields.wrong("interactiveMode", "`Never`, `IfAvailable` or `Always`")),
    };
    Ok(ExecConfig {
        api_version: fields.text("apiVersion")?,
        command: fields.text("command")?,
        args: fields.texts("args")?,
        env: Some(fields.list("env", |variable| variable.all_texts())?),
        install_hint: fields.text("installHint")?,
        interactive_mode,
        provide_cluster_info: fields.flag("provideClusterInfo")?.unwrap_or_default(),
        ..ExecConfig::default()
    })
}

impl<'a> Fields<'a> {
    /// An empty field is one without entries.
    pub(super) fn of(value: &'a Value, place: String) -> Read<Self> {
        match value {
            Value::Object(entries) => Ok(Self { entries: Some(entries), place }),
            Value::Null => Ok(Self { entries: None, place }),
            _ => Err(format!("{place} must be a mapping")),
        }
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.entries?.get(name).filter(|value| !value.is_null())
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.into_iter().flatten().map(|(name, _)| name.as_str())
    }

    fn place_of(&self, name: &str) -> String {
        match self.place.strip_suffix('`') {
            Some(place) => format!("{place}.{name}`"),
            None => format!("`{name}`"),
        }
    }

    pub(super) fn wrong(&self, name: &str, wanted: &str) -> String {
        format!("{} must be {wanted}", self.place_of(name))
    }

    fn read<T>(&self, name: &str, wanted: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Read<Option<T>> {
        let value = self.value(name);
        value.map(|value| read(value).ok_or_else(|| self.wrong(name, wanted))).transpose()
    }

    pub(super) fn text(&self, name: &str) -> Read<Option<String>> {
        self.read(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// The name by which other parts of the file mean this one.
    fn name(&self) -> Read<String> {
        self.text("name")?.ok_or_else(|| format!("{} is missing", self.place_of("name")))
    }

    fn flag(&self, name: &str) -> Read<Option<bool>> {
        self.read(name, "`true` or `false`", Value::as_bool)
    }

    fn texts(&self, name: &str) -> Read<Option<Vec<String>>> {
        let all = |items: &Vec<Value>| items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        self.read(name, "a list of texts", |value| value.as_array().and_then(all))
    }

    /// All entries, each of which is a text.
    fn all_texts(&self) -> Read<HashMap<String, String>> {
        let pair = |name: &str| Ok((name.to_owned(), self.text(name)?.unwrap_or_default()));
        self.names().map(pair).collect()
    }

    pub(super) fn mapping<T>(&self, name: &str, read: impl FnOnce(Fields<'a>) -> Read<T>) -> Read<Option<T>> {
        self.value(name).map(|value| read(Fields::of(value, self.place_of(name))?)).transpose()
    }

    /// A list of mappings; without one, it is empty.
    fn list<T>(&self, name: &str, read: impl Fn(Fields<'a>) -> Read<T>) -> Read<Vec<T>> {
        let items = self.read(name, "a list", Value::as_array)?.into_iter().flatten();
        let place = |number: usize| self.place_of(&format!("{name}[{number}]"));
        items.enumerate().map(|(number, item)| read(Fields::of(item, place(number))?)).collect()
    }
}
