//! The parts of a graph.

/// What can be drawn of a pipeline. Edges refer to nodes by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    pub name: String,
    /// Steps and barriers in file order.
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Step {
        key: String,
        /// The label, else the command's first line.
        words: String,
        /// The image of a step that does not build in another.
        image: Option<String>,
    },
    Barrier {
        continue_on_failure: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub kind: EdgeKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeKind {
    /// `builds_in`: starts from the other's filesystem.
    Lineage,
    /// `depends_on`: waits for the other.
    Order,
    /// Waits at, or because of, a barrier.
    Barrier,
}
