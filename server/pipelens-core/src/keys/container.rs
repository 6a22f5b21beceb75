//! What a step and its services can both ask of their containers.

use super::key::Key;
use super::place::Place;
use super::shape::{Argument, Shape};

pub(super) const SHM_SIZE: Key = Key::optional(
    "shm_size",
    Shape::Argument(Argument::Memory),
    "The size of `/dev/shm`: bytes, or a number with `k`, `m` or `g`. Browsers and databases need more than the engine's default, which is usually 64 MiB.",
);
pub(super) const ULIMITS: Key = Key::optional(
    "ulimits",
    Shape::Map(Place::Ulimits),
    "Limits of the container's processes by name, such as `{nofile: 65536}` or `{nofile: \"1024:65536\"}` for a soft and a hard limit. Default: the engine's.",
);
pub(super) const EXTRA_HOSTS: Key = Key::optional(
    "extra_hosts",
    Shape::List { of: &Shape::Argument(Argument::ExtraHost), may_be_empty: true },
    "Further lines of `/etc/hosts`, as `name:address`. The address `host-gateway` is that of the engine's machine.",
);
pub(super) const INIT: Key = Key::optional(
    "init",
    Shape::Bool,
    "`false`: the container's first process is the command itself, and not a small init process that passes on signals and ends what is left. For images with an init of their own. Default: `true`.",
);
pub(super) const TMPFS: Key = Key::optional(
    "tmpfs",
    Shape::List { of: &Shape::Argument(Argument::Tmpfs), may_be_empty: true },
    "Folders that are kept in memory, start empty and are part of no result, as `/path` or `/path:size=64m,mode=1777`.",
);
pub(super) const GPUS: Key = Key::optional(
    "gpus",
    Shape::Argument(Argument::Gpus),
    "How many of the machine's GPUs the container gets: `all`, or a number. Runs only if the user allows it with `pipelens.allowMachineAccess` or `--allow-machine-access`.",
);
