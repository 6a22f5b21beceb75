//! The labels of everything we create in an engine, by which it is found again.

pub(super) const RUN: &str = "dev.pipelens.run";
pub(super) const STEP: &str = "dev.pipelens.step";
pub(super) const OWNER: &str = "dev.pipelens.owner";
/// On a container that runs beside a step's command: its name.
pub(super) const SERVICE: &str = "dev.pipelens.service";
/// On the volume of a cache mount: its name.
pub(super) const MOUNT: &str = "dev.pipelens.mount";
/// On a container that never runs and is removed after the images of its run. An engine lists containers quickly, but has to read every image
/// to list some of them, so a sweep looks for images only if a dead owner has a container.
pub(super) const ANCHOR: &str = "dev.pipelens.anchor";
/// On an image without the volumes of another, and on everything that is built on it: how its name begins. It is removed with the last of
/// them.
pub(super) const BASE: &str = "dev.pipelens.base";
pub(super) const WORKSPACE: &str = "dev.pipelens.workspace";
/// On a snapshot that outlives its run: the workspace it belongs to. Containers inherit their image's labels, so everything else
/// has this label with an empty value.
pub(super) const KEPT: &str = "dev.pipelens.kept";
/// On a kept snapshot: the cache that will record it, and the process and run that made it.
pub(super) const CACHE: &str = "dev.pipelens.store";
pub(super) const KEEPER: &str = "dev.pipelens.keeper";
pub(super) const KEPT_BY_RUN: &str = "dev.pipelens.kept-by-run";

/// The ends of the names of images without volumes; the second is built on the first.
pub(super) const PLAIN: &str = "plain";
pub(super) const WITH_FOLDERS: &str = "with-folders";

/// Returns the names of the images that something with this `BASE` is built on; the last one made is first.
pub(super) fn base_names(base: &str) -> [String; 2] {
    [WITH_FOLDERS, PLAIN].map(|suffix| format!("{base}-{suffix}"))
}
