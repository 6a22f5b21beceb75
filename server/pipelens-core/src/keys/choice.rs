//! Values with names: cache policies.

/// One of the names a value may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    pub(crate) name: &'static str,
    /// Markdown.
    pub(crate) doc: &'static str,
    /// Other keys of the same mapping that it requires.
    pub(crate) requires: &'static [&'static str],
}

pub(crate) const POLICIES: &[Choice] = &[
    Choice { name: "none", doc: "Never reused from an earlier run. This is the default.", requires: &[] },
    Choice {
        name: "forever",
        doc: "Reused as long as the command, its parent step and the variables in `env_keys` are unchanged.",
        requires: &[],
    },
    Choice {
        name: "ttl",
        doc: "Like `forever`, but only within a window of `duration_seconds`.",
        requires: &["duration_seconds"],
    },
    Choice { name: "on_change", doc: "Reused as long as the files in `paths` are unchanged.", requires: &["paths"] },
    Choice { name: "compose", doc: "Reused if every policy in `sub_policies` allows it.", requires: &["sub_policies"] },
];

/// Returns the keys a policy requires besides `policy`.
pub(crate) fn policy_requires(policy: &str) -> &'static [&'static str] {
    POLICIES.iter().find(|choice| choice.name == policy).map_or(&[], |choice| choice.requires)
}
