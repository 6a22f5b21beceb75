//! The variables that a runner sets for every step.

/// A variable that every step of a runner has.
#[derive(Debug)]
pub(crate) struct Provided {
    pub(crate) name: &'static str,
    /// Markdown.
    pub(crate) doc: &'static str,
}

const WORKDIR: Provided = Provided { name: "PWD", doc: "The step's working directory." };

const CONTAINER: &[Provided] = &[
    WORKDIR,
    Provided { name: "HOME", doc: "The home directory of the user that runs the command." },
    Provided { name: "PATH", doc: "Where programs are looked up, as the image sets it." },
    Provided { name: "HOSTNAME", doc: "The name of the container." },
];

const HOST: &[Provided] = &[
    WORKDIR,
    Provided { name: "HOME", doc: "Your home directory: passed on from pipelens's own environment." },
    Provided { name: "PATH", doc: "Where programs are looked up: passed on from pipelens's own environment." },
    Provided { name: "TERM", doc: "The kind of terminal: passed on from pipelens's own environment." },
    Provided { name: "LANG", doc: "The language and character set: passed on from pipelens's own environment." },
];

/// Returns what a runner sets; a step without one runs in a container.
pub(crate) fn provided(runner: Option<&str>) -> &'static [Provided] {
    if runner == Some("host") { HOST } else { CONTAINER }
}
