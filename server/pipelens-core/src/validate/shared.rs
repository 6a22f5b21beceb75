//! Values that aliases share: a fix for one step must not change what another step does.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Code, Diagnostic, Fix};
use crate::syntax::tree::{Entry, Kind, NodeId, Tree};
use crate::text::TextRange;

/// Drops the fixes that would edit a value for one of its users only, or for users that read it differently.
pub(super) fn keep_apart(tree: &Tree, findings: &mut [Diagnostic]) {
    if !tree.has_aliases || findings.iter().all(|finding| finding.fixes.is_empty()) {
        return;
    }
    let shared = shared_values(tree);
    for finding in findings.iter_mut().filter(|finding| !finding.fixes.is_empty()) {
        let concerns_one_step = concerns_one_step(finding.code);
        let is_unfair = |value: &SharedValue| concerns_one_step || value.roles.len() > 1;
        let spoils = |fix: &Fix| {
            let edits = fix.edits.iter();
            edits.map(|edit| edit.edit.range).any(|range| shared.around(range).any(is_unfair))
        };
        finding.fixes.retain(|fix| !spoils(fix));
    }
}

/// Whether such a finding depends on the step, and not only on the value.
fn concerns_one_step(code: Code) -> bool {
    matches!(
        code,
        Code::RedundantDependency
            | Code::ImageWithoutEffect
            | Code::SelfReference
            | Code::SeveralParents
            | Code::UnknownStep
            | Code::ReferenceAcrossWait
            | Code::Cycle
            | Code::ServicesOnHost
            | Code::TimeoutTooLong
            | Code::DuplicateStepKey
            | Code::CollidingStepKeys
            | Code::UnknownAxis
    )
}

/// A value with more than one user.
struct SharedValue {
    range: TextRange,
    /// The keys it is the value of, which decide how it is read.
    roles: BTreeSet<String>,
}

/// Shared values in text order. One may contain another.
struct SharedValues {
    values: Vec<SharedValue>,
    reach: Reach,
}

impl SharedValues {
    /// Returns the values that contain or touch a range.
    fn around(&self, range: TextRange) -> impl Iterator<Item = &SharedValue> {
        let after = self.values.partition_point(|value| value.range.start <= range.end);
        let first = self.reach.first_to(range.start);
        let near = self.values.iter().take(after).skip(first);
        near.filter(move |value| range.start <= value.range.end)
    }
}

/// For ranges in text order, how far each and all before it extend.
struct Reach(Vec<usize>);

impl Reach {
    fn of(ranges: impl Iterator<Item = TextRange>) -> Self {
        let further = |furthest: &mut usize, range: TextRange| {
            *furthest = range.end.max(*furthest);
            Some(*furthest)
        };
        Self(ranges.scan(0, further).collect())
    }

    /// Returns the first range that may extend to an offset.
    fn first_to(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset)
    }
}

fn shared_values(tree: &Tree) -> SharedValues {
    let mut values: BTreeMap<NodeId, (usize, BTreeSet<String>)> = BTreeMap::new();
    let places: Vec<(TextRange, NodeId)> = tree.aliases().collect();
    let mut targets: Vec<TextRange> = places.iter().map(|(_, target)| tree.node(*target).range).collect();
    targets.sort();
    let reach = Reach::of(targets.iter().copied());
    // An alias in a value that is itself shared is followed once for each user of that value.
    let is_nested = |alias: TextRange| {
        let before = targets.partition_point(|target| target.start <= alias.start);
        before.checked_sub(1).and_then(|last| reach.0.get(last)).is_some_and(|end| alias.end <= *end)
    };
    let users = |alias: TextRange| if is_nested(alias) { 2 } else { 1 };
    for (alias, target) in &places {
        values.entry(*target).or_default().0 += users(*alias);
    }
    let mut note = |id: NodeId, role: &str| {
        let node = tree.node(id);
        let target = match node.kind {
            Kind::Alias(_) => tree.alias_target(id),
            Kind::Scalar(_) | Kind::List { .. } | Kind::Map { .. } => Some(id),
        };
        let Some((count, roles)) = target.and_then(|target| values.get_mut(&target)) else { return };
        // An extension (`x-…`) only holds the value for others.
        if role.starts_with("x-") {
            return;
        }
        *count += usize::from(!matches!(node.kind, Kind::Alias(_)));
        roles.insert(role.to_owned());
    };
    for node in tree.nodes() {
        match &node.kind {
            Kind::Map { entries, .. } => {
                for Entry { key, value } in entries {
                    let role = tree.scalar(*key).map(|key| key.text.as_str()).unwrap_or_default();
                    note(*value, role);
                    // `<<: [*a, *b]` uses each of them as `<<: *a` does.
                    if let Kind::List { items, .. } = &tree.node(*value).kind {
                        items.iter().for_each(|item| note(*item, role));
                    }
                }
            }
            Kind::Scalar(_) | Kind::List { .. } | Kind::Alias(_) => {}
        }
    }
    let shared = values.into_iter().filter(|(_, (count, _))| *count > 1);
    let mut shared: Vec<_> = shared.map(|(id, (_, roles))| SharedValue { range: tree.node(id).range, roles }).collect();
    shared.sort_by_key(|value| value.range);
    let reach = Reach::of(shared.iter().map(|value| value.range));
    SharedValues { values: shared, reach }
}
