//! The kinds of mappings a pipeline is made of.

/// Generates `Place` and everything known about each place, apart from its keys, from one table.
macro_rules! places {
    ($($(#[$doc:meta])* $place:ident = $schema_name:literal, $origin:ident, $noun:literal;)+) => {
        /// A kind of mapping: it determines which keys are allowed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Place {
            $($(#[$doc])* $place,)+
        }

        impl Place {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$place,)+];

            /// Returns what a person calls such a mapping, with its article.
            pub(crate) fn noun(self) -> &'static str {
                match self {
                    $(Self::$place => $noun,)+
                }
            }

            /// Returns the name of its definition in the JSON schema.
            pub(crate) fn schema_name(self) -> &'static str {
                match self {
                    $(Self::$place => $schema_name,)+
                }
            }

            fn origin(self) -> Origin {
                match self {
                    $(Self::$place => Origin::$origin,)+
                }
            }
        }
    };
}

/// Who writes such a mapping.
#[derive(PartialEq, Eq)]
enum Origin {
    Authored,
    Generated,
    /// Not part of a pipeline: the settings of its project.
    Settings,
}

places! {
    Pipeline = "pipeline", Authored, "a pipeline";
    Step = "step", Authored, "a step";
    Wait = "wait", Authored, "a `wait`";
    WaitOptions = "waitOptions", Authored, "a `wait`";
    Cache = "cache", Authored, "a cache policy";
    /// The axes of a step: the author chooses its keys, apart from two.
    Matrix = "matrix", Authored, "a matrix";
    /// An entry of `include` or `exclude`, with the axes as its keys.
    Combination = "combination", Authored, "a combination";
    Artifacts = "artifacts", Authored, "`artifacts`";
    CacheMount = "cacheMount", Authored, "a cache mount";
    Trigger = "trigger", Authored, "a trigger";
    RunnerArguments = "runnerArguments", Authored, "`runner_args`";
    /// The limits of a container's processes, by their names.
    Ulimits = "ulimits", Authored, "`ulimits`";
    /// The services of a step: the author chooses its keys.
    Services = "services", Authored, "`services`";
    Service = "service", Authored, "a service";
    Plan = "plan", Generated, "a plan";
    Graph = "graph", Generated, "a graph";
    Node = "node", Generated, "a node";
    PlanStep = "planStep", Generated, "a step";
    Envelope = "envelope", Generated, "an envelope";
    EnvelopePipeline = "envelopePipeline", Generated, "an envelope's pipeline";
    Settings = "settings", Settings, "the settings";
    Severities = "severities", Settings, "`severity`";
}

impl Place {
    /// Returns the places people write themselves.
    pub(crate) fn authored() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|place| place.origin() == Origin::Authored)
    }

    /// Tells whether this place belongs to a generated spelling, where unknown fields belong to other tools.
    pub(crate) fn is_wire_format(self) -> bool {
        self.origin() == Origin::Generated
    }

    /// Tells whether this place is part of a pipeline, in any spelling.
    pub(crate) fn is_of_pipelines(self) -> bool {
        self.origin() != Origin::Settings
    }

    /// Tells whether keys that start with `x-` are allowed: anchors need a place to be defined.
    pub(crate) fn allows_extensions(self) -> bool {
        self == Self::Pipeline
    }
}
