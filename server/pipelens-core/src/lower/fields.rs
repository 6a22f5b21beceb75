//! Typed access to the entries of a mapping. A value of another type counts as absent.

use crate::expand::MAX_NAMES;
use crate::keys::{self, Place, Shape};
use crate::model::{
    ArtifactsWhen, Assignments, Axis, Cache, CacheMount, CachePolicy, EnvVar, Matrix, Reuse, Sharing, SpannedValue,
    Trigger,
};
use crate::syntax::scalar::ScalarType;
use crate::syntax::tree::{Entry, Kind, NodeId, Tree};
use crate::text::{Spanned, TextRange};

/// The shape of an environment variable: its source text.
const VARIABLE: Shape = Shape::Text;

/// The entries of one mapping by key, merge keys followed.
pub(super) struct Fields<'tree> {
    tree: &'tree Tree,
    /// Few enough that comparing beats hashing.
    entries: Vec<(&'tree str, Entry)>,
}

impl<'tree> Fields<'tree> {
    pub(super) fn new(tree: &'tree Tree, map: NodeId) -> Self {
        let named = |entry: &Entry| Some((tree.key_text(entry)?, *entry));
        Self { tree, entries: tree.entries(map).iter().filter_map(named).collect() }
    }

    pub(super) fn node(&self, key: &str) -> Option<NodeId> {
        self.entry(key).map(|entry| entry.value)
    }

    pub(super) fn key_range(&self, key: &str) -> Option<TextRange> {
        self.entry(key).map(|entry| self.tree.node(entry.key).range)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|(name, _)| *name == key).map(|(_, entry)| entry)
    }

    pub(super) fn text(&self, key: &str) -> Option<Spanned<String>> {
        text(self.tree, self.node(key)?)
    }

    /// Like `text`, but an empty string counts as absent.
    pub(super) fn name(&self, key: &str) -> Option<Spanned<String>> {
        self.text(key).filter(|text| !text.value.is_empty())
    }

    pub(super) fn bool(&self, key: &str) -> Option<Spanned<bool>> {
        let node = self.node(key)?;
        match self.tree.scalar(node)?.resolve() {
            ScalarType::Bool(value) => Some(Spanned::new(value, self.tree.node(node).range)),
            ScalarType::Null | ScalarType::Integer(_) | ScalarType::Float(_) | ScalarType::Text => None,
        }
    }

    pub(super) fn integer(&self, key: &str) -> Option<Spanned<u64>> {
        let node = self.node(key)?;
        match self.tree.scalar(node)?.resolve() {
            ScalarType::Integer(value) => Some(Spanned::new(u64::try_from(value).ok()?, self.tree.node(node).range)),
            ScalarType::Null | ScalarType::Bool(_) | ScalarType::Float(_) | ScalarType::Text => None,
        }
    }

    /// A list of strings; a single string counts as a list of one.
    pub(super) fn texts(&self, key: &str) -> Vec<Spanned<String>> {
        let Some(node) = self.node(key) else { return Vec::new() };
        match self.tree.items(node) {
            Some(items) => items.iter().filter_map(|item| text(self.tree, *item)).collect(),
            None => text(self.tree, node).into_iter().collect(),
        }
    }

    /// Globs, as a list or in a mapping, and after which outcome files are copied.
    pub(super) fn artifacts(&self, key: &str) -> (Vec<Spanned<String>>, Option<Spanned<ArtifactsWhen>>) {
        let map = self.node(key).filter(|node| self.tree.own_entries(*node).is_some());
        let Some(fields) = map.map(|node| Fields::new(self.tree, node)) else { return (self.texts(key), None) };
        let when =
            fields.text("when").and_then(|when| Some(Spanned::new(ArtifactsWhen::named(&when.value)?, when.range)));
        (fields.texts("paths"), when)
    }

    /// Paths, or mappings with them. A mount without a path is left out.
    pub(super) fn cache_mounts(&self, key: &str) -> Vec<CacheMount> {
        let items = self.node(key).and_then(|node| self.tree.items(node)).unwrap_or_default();
        items.iter().filter_map(|item| cache_mount(self.tree, *item)).collect()
    }

    pub(super) fn reuse(&self, key: &str) -> Option<Spanned<Reuse>> {
        let written = self.text(key)?;
        Some(Spanned::new(Reuse::named(&written.value)?, written.range))
    }

    /// A program and its options.
    pub(super) fn words(&self, key: &str) -> Option<Spanned<Vec<String>>> {
        let node = self.node(key)?;
        let words: Vec<String> = match self.tree.items(node) {
            Some(items) => items.iter().filter_map(|item| text(self.tree, *item)).map(|word| word.value).collect(),
            None => text(self.tree, node)?.value.split_whitespace().map(str::to_owned).collect(),
        };
        (!words.is_empty()).then(|| Spanned::new(words, self.tree.node(node).range))
    }

    pub(super) fn env(&self, key: &str) -> Vec<EnvVar> {
        let Some(node) = self.node(key) else { return Vec::new() };
        self.tree.entries(node).iter().filter_map(|entry| self.env_var(entry)).collect()
    }

    pub(super) fn cache(&self, key: &str) -> Option<Spanned<Cache>> {
        let node = self.node(key)?;
        let fields = Fields::new(self.tree, node);
        let policy = policy(self.tree, node)?;
        Some(Spanned::new(Cache { policy, key: fields.name("key") }, self.tree.node(node).range))
    }

    pub(super) fn arguments(&self, key: &str) -> Option<Spanned<SpannedValue>> {
        let value = value(self.tree, self.node(key)?, &Shape::Map(Place::RunnerArguments));
        (value.value != SpannedValue::Null).then_some(value)
    }

    pub(super) fn triggers(&self, key: &str) -> Vec<Trigger> {
        let Some(items) = self.node(key).and_then(|node| self.tree.items(node)) else { return Vec::new() };
        let trigger = |item: &NodeId| Trigger {
            range: self.tree.node(*item).range,
            event: Fields::new(self.tree, *item).text("event"),
            details: value(self.tree, *item, &Shape::Anything).value.plain(),
        };
        items.iter().map(trigger).collect()
    }

    /// A matrix as it is written; what has another form is left out.
    pub(super) fn matrix(&self, key: &str) -> Option<Box<Matrix>> {
        let entry = self.entry(key)?;
        self.tree.own_entries(entry.value)?;
        let mut matrix = Matrix {
            range: self.tree.node(entry.key).range,
            axes: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            names: Vec::new(),
            values: Vec::new(),
            combinations: None,
        };
        self.add_axes(entry.value, &mut matrix, true);
        Some(Box::new(matrix))
    }

    fn add_axes(&self, map: NodeId, matrix: &mut Matrix, is_outermost: bool) {
        for part in self.tree.entries(map).iter() {
            let Some(name) = self.tree.scalar(part.key) else { continue };
            match name.text.as_str() {
                "include" => matrix.include = self.assignments(part.value),
                "exclude" => matrix.exclude = self.assignments(part.value),
                // Other systems have the axes one level deeper: that is a mistake, but what they mean is clear.
                "parameters" | "setup" if is_outermost && self.tree.own_entries(part.value).is_some() => {
                    self.add_axes(part.value, matrix, false);
                }
                _ => {
                    // So many have a finding, and are not combined.
                    if matrix.axes.len() > MAX_NAMES {
                        continue;
                    }
                    let values = match self.tree.items(part.value) {
                        Some(items) => items.iter().filter_map(|item| self.source_text(*item)).collect(),
                        None => self.source_text(part.value).into_iter().collect(),
                    };
                    let name = Spanned::new(name.text.as_str().to_owned(), self.tree.node(part.key).range);
                    // If an axis is written twice, the last one counts.
                    matrix.axes.retain(|axis| axis.name.value != name.value);
                    matrix.axes.push(Axis { name, values });
                }
            }
        }
    }

    fn assignments(&self, list: NodeId) -> Vec<Assignments> {
        let items = self.tree.items(list).unwrap_or_default();
        let entry = |item: &NodeId| {
            self.tree.own_entries(*item)?;
            let entries = self.tree.entries(*item);
            let values = entries.iter().map(|entry| {
                let name = self.tree.scalar(entry.key)?;
                let name = Spanned::new(name.text.as_str().to_owned(), self.tree.node(entry.key).range);
                Some((name, self.source_text(entry.value)?))
            });
            // What an entry with something else means is unknown.
            Some(Assignments { range: self.tree.node(*item).range, values: values.collect::<Option<_>>()? })
        };
        items.iter().filter_map(entry).collect()
    }

    /// Returns a scalar of any type but null as it is written.
    fn source_text(&self, node: NodeId) -> Option<Spanned<String>> {
        let scalar = self.tree.scalar(node).filter(|scalar| scalar.resolve() != ScalarType::Null)?;
        Some(Spanned::new(scalar.text.as_str().to_owned(), self.tree.node(node).range))
    }

    fn env_var(&self, entry: &Entry) -> Option<EnvVar> {
        let name = self.tree.scalar(entry.key)?;
        let value = self.tree.scalar(entry.value)?;
        Some(EnvVar {
            name: Spanned::new(name.text.as_str().to_owned(), self.tree.node(entry.key).range),
            value: Spanned::new(value.text.as_str().to_owned(), self.tree.node(entry.value).range),
        })
    }
}

/// Returns a scalar that is a string in the core schema.
pub(super) fn text(tree: &Tree, node: NodeId) -> Option<Spanned<String>> {
    let scalar = tree.scalar(node)?;
    (scalar.resolve() == ScalarType::Text).then(|| Spanned::new(scalar.text.as_str().to_owned(), tree.node(node).range))
}

fn cache_mount(tree: &Tree, node: NodeId) -> Option<CacheMount> {
    let range = tree.node(node).range;
    let is_path = |path: &Spanned<String>| !path.value.trim().is_empty();
    if tree.own_entries(node).is_none() {
        let path = text(tree, node).filter(is_path)?;
        return Some(CacheMount { range, path, name: None, sharing: Sharing::default() });
    }
    let fields = Fields::new(tree, node);
    let sharing = fields.text("sharing").and_then(|sharing| Sharing::named(&sharing.value));
    Some(CacheMount {
        range,
        path: fields.text("path").filter(is_path)?,
        name: fields.name("name"),
        sharing: sharing.unwrap_or_default(),
    })
}

fn policy(tree: &Tree, node: NodeId) -> Option<CachePolicy> {
    let fields = Fields::new(tree, node);
    Some(match fields.text("policy")?.value.as_str() {
        "none" => CachePolicy::None,
        "forever" => CachePolicy::Forever { env_keys: fields.texts("env_keys") },
        "ttl" => CachePolicy::Ttl {
            duration_seconds: fields.integer("duration_seconds")?.value,
            env_keys: fields.texts("env_keys"),
        },
        "on_change" => CachePolicy::OnChange { paths: fields.texts("paths") },
        "compose" => {
            let subs = fields.node("sub_policies").and_then(|node| tree.items(node)).unwrap_or_default();
            CachePolicy::Compose { sub_policies: subs.iter().filter_map(|sub| policy(tree, *sub)).collect() }
        }
        _ => return None,
    })
}

/// Returns a value as it is written. The vocabulary says which scalars are strings no matter what they look like.
fn value(tree: &Tree, id: NodeId, shape: &Shape) -> Spanned<SpannedValue> {
    let range = tree.node(id).range;
    let Some(node) = tree.resolved(id) else { return Spanned::new(SpannedValue::Null, range) };
    let value = match &node.kind {
        Kind::Scalar(scalar) => match scalar.resolve() {
            _ if *shape == VARIABLE => SpannedValue::Text(scalar.text.as_str().to_owned()),
            ScalarType::Null => SpannedValue::Null,
            ScalarType::Bool(value) => SpannedValue::Bool(value),
            ScalarType::Integer(value) => SpannedValue::Integer(value),
            ScalarType::Float(value) => SpannedValue::Float(value),
            ScalarType::Text => SpannedValue::Text(scalar.text.as_str().to_owned()),
        },
        Kind::List { items, .. } => {
            SpannedValue::List(items.iter().map(|item| value(tree, *item, &Shape::Anything)).collect())
        }
        Kind::Map { .. } => SpannedValue::Map(map_value(tree, id, shape)),
        Kind::Alias(_) => SpannedValue::Null,
    };
    Spanned::new(value, range)
}

fn map_value(tree: &Tree, id: NodeId, shape: &Shape) -> Vec<(Spanned<String>, Spanned<SpannedValue>)> {
    let entries = tree.entries(id);
    entries
        .iter()
        .filter_map(|entry| {
            let key = Spanned::new(tree.scalar(entry.key)?.text.as_str().to_owned(), tree.node(entry.key).range);
            let inner = match shape {
                Shape::Map(place) => keys::find(*place, &key.value).map_or(Shape::Anything, |known| known.shape),
                Shape::Env => VARIABLE,
                _ => Shape::Anything,
            };
            Some((key, value(tree, entry.value, &inner)))
        })
        .collect()
}
