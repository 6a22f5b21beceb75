//! Images that already contain the sources, so that they need not be sent to every step that starts from an image. Creating a file in a
//! container takes longer than sending it, 0.2 to 1 ms; starting from an image costs nothing. Knows no store.

use std::sync::Arc;

use pipelens_core::plan::PlanStep;

use crate::cache::canonical;
use crate::docker::image::ImageFacts;
use crate::slots::Slots;
use crate::snapshot::Outdated;
use crate::sources::{Delta, Sources};
use crate::step_context::StepContext;

/// Sending this much takes longer than looking for an image that contains it. Saving the image costs about as much again, once.
const MANY_FILES: u64 = 200;
const MANY_BYTES: u64 = 8_000_000;
/// With this many steps, an image pays off even for few files, although the steps that share it have to wait for it.
const MANY_STEPS: usize = 6;
/// The same, for many files.
const SOME_STEPS: usize = 3;
/// Each change of the sources adds a layer. An image with more layers than this is made from scratch.
const MOST_MORE_LAYERS: usize = 20;

/// The images with the sources of a run, by what they are based on.
pub(super) type SourceLayers = Slots<SourceLayer>;

/// An image with sources in it.
#[derive(Debug, Clone)]
pub(super) struct SourceLayer {
    pub(super) image: Arc<ImageFacts>,
    /// The sources in it, if they are not the current ones.
    pub(super) outdated: Option<Outdated>,
}

/// Identifies what a step's sources are added to: the image, the directory, the owner.
pub(super) fn ground(image: &ImageFacts, step: &PlanStep, user: Option<&str>) -> String {
    let mut ground = [&image.origin, step.workdir.as_str(), user.unwrap_or_default()].join("\0");
    // They hide sources, and the engine makes directories for them.
    ground.extend(step.cache_mounts.iter().flat_map(|mount| ["\0", mount.path.as_str()]));
    ground
}

/// Whether an image of the sources pays off for a step, on its own or together with others.
pub(crate) fn is_worth_it(context: &StepContext) -> bool {
    let is_much = is_much(&context.sources);
    let sharing = sharing(context);
    (is_much && (context.keeping.source_images.is_some() || sharing >= SOME_STEPS)) || sharing >= MANY_STEPS
}

/// Whether to save a new image after an older one has been brought up to date.
pub(super) fn is_worth_another(context: &StepContext, delta: &Delta) -> bool {
    let removes = !delta.removed_files.is_empty() || !delta.removed_folders.is_empty();
    is_much(&delta.changed) || removes || sharing(context) >= MANY_STEPS
}

pub(super) fn is_too_deep(layer: &ImageFacts, image: &ImageFacts) -> bool {
    layer.layers > image.layers + MOST_MORE_LAYERS
}

fn is_much(sources: &Sources) -> bool {
    sources.files >= MANY_FILES || sources.bytes >= MANY_BYTES
}

/// Counts the steps of the run that would be sent the same sources.
fn sharing(context: &StepContext) -> usize {
    let own = context.step();
    let arguments = |step: &PlanStep| step.runner_args.as_ref().map(canonical);
    let own_arguments = arguments(own);
    let is_same = |step: &&PlanStep| {
        step.boots_from == own.boots_from
            && step.workdir == own.workdir
            && step.runner == own.runner
            && step.cache_mounts == own.cache_mounts
            && arguments(step) == own_arguments
    };
    context.plan.steps.iter().filter(is_same).count()
}
