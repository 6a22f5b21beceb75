//! The vocabulary: every key of every spelling, its type, whether it is required, and what it means. Checks, hover,
//! completion and the JSON schema are all derived from it: adding a key takes one row in its place's table, and a meaning in
//! `lower` and `model`.

mod authored;
mod choice;
mod common;
mod container;
pub(crate) mod foreign;
mod generated;
mod key;
mod place;
mod settings;
mod shape;

pub(crate) use choice::{POLICIES, policy_requires};
pub(crate) use key::Key;
pub(crate) use place::Place;
pub(crate) use shape::{Argument, Shape};

/// Names become part of container names, file names and every log line. A plan repeats a parent's name in each of its edges.
pub(crate) const MAX_NAME_BYTES: usize = 200;

/// Returns the keys a mapping may contain.
pub(crate) fn keys(place: Place) -> &'static [Key] {
    match place {
        Place::Pipeline => authored::PIPELINE,
        Place::Step => authored::STEP,
        Place::Wait => authored::WAIT,
        Place::WaitOptions => authored::WAIT_OPTIONS,
        Place::Cache => authored::CACHE_POLICY,
        Place::Matrix => authored::MATRIX,
        Place::Combination => &[],
        Place::Artifacts => authored::ARTIFACTS,
        Place::CacheMount => authored::CACHE_MOUNT,
        Place::Trigger => authored::TRIGGER,
        Place::RunnerArguments => authored::RUNNER_ARGUMENTS,
        Place::Services | Place::Ulimits => &[],
        Place::Service => authored::SERVICE,
        Place::Plan => generated::PLAN,
        Place::Graph => generated::GRAPH,
        Place::Node => generated::NODE,
        Place::PlanStep => generated::PLAN_STEP,
        Place::Envelope => generated::ENVELOPE,
        Place::EnvelopePipeline => generated::ENVELOPE_PIPELINE,
        Place::Settings => settings::SETTINGS,
        Place::Severities => &settings::SEVERITIES,
    }
}

/// Returns the key with this name, in a place that allows it.
pub(crate) fn find(place: Place, name: &str) -> Option<&'static Key> {
    keys(place).iter().find(|key| key.name == name).or_else(|| any_name(place))
}

/// Returns what every key of a place means whose keys are chosen by the author.
pub(crate) fn any_name(place: Place) -> Option<&'static Key> {
    match place {
        Place::Ulimits => Some(&authored::ANY_ULIMIT),
        Place::Services => Some(&authored::ANY_SERVICE),
        Place::Matrix => Some(&authored::ANY_AXIS),
        Place::Combination => Some(&authored::ANY_VALUE),
        _ => None,
    }
}

/// Returns the places people write that define a key with this name, the outermost first.
pub(crate) fn homes(name: &str) -> impl Iterator<Item = (Place, &'static Key)> {
    Place::authored().filter_map(move |place| Some((place, keys(place).iter().find(|key| key.name == name)?)))
}
