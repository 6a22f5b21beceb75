//! Which names a command has assigned so far, block by block.

use std::collections::HashMap;

use super::occurrence::{Occurrence, Role};
use crate::text::TextRange;

/// What opened a block, and so what becomes of its assignments when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// A process of its own: its assignments end with it.
    Subshell,
    /// `$(…)` or backquotes: as a subshell, with an end of its own.
    Substitution,
    /// May not run at all: its assignments may or may not have happened.
    Branch,
    /// May run many times.
    Loop,
    Case,
    /// The rest of a list after `&&` or `||`.
    Condition,
    /// One command of a pipe, which is a process of its own.
    Pipe,
    /// `{ … }`: its assignments outlive it.
    Group,
}

/// What had been found at some place.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    assigned: usize,
    occurrences: usize,
}

#[derive(Debug)]
struct Frame {
    block: Block,
    start: Mark,
    /// Where its current pipe or command began.
    pipe: Mark,
}

/// Deeper nesting is only written to take up time.
const MAX_BLOCKS: usize = 64;

/// The occurrences so far, and the blocks that are open.
#[derive(Debug, Default)]
pub(super) struct Scopes<'a> {
    pub(super) occurrences: Vec<Occurrence<'a>>,
    /// How often each name is assigned in open blocks.
    counts: HashMap<&'a str, usize>,
    /// The names in the order in which they were assigned.
    assigned: Vec<&'a str>,
    frames: Vec<Frame>,
    /// Blocks beyond the limit.
    ignored: usize,
    /// Where the current pipe or command outside of all blocks began.
    pipe: Mark,
    /// Local occurrences in branches that have ended: what comes later decides whose they are.
    undecided: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Scopes<'a> {
    fn top(&self) -> Option<Block> {
        self.frames.last().map(|frame| frame.block)
    }

    /// Returns the innermost block that has an end of its own, after the list that ends here.
    pub(super) fn innermost(&mut self) -> Option<Block> {
        self.end_list();
        self.top()
    }

    fn mark(&self) -> Mark {
        Mark { assigned: self.assigned.len(), occurrences: self.occurrences.len() }
    }

    pub(super) fn open(&mut self, block: Block) {
        if self.frames.len() >= MAX_BLOCKS {
            self.ignored += 1;
            return;
        }
        let start = self.mark();
        self.frames.push(Frame { block, start, pipe: start });
    }

    /// Closes the innermost block.
    fn close(&mut self) {
        if self.ignored > 0 {
            self.ignored -= 1;
            return;
        }
        let Some(frame) = self.frames.pop() else { return };
        self.end(frame.block, frame.start);
    }

    /// Closes the innermost of these blocks, with the lists and pipes in it that have no end of their own.
    pub(super) fn close_one_of(&mut self, blocks: &[Block]) {
        self.end_list();
        if self.top().is_some_and(|top| blocks.contains(&top)) {
            self.close();
        }
    }

    /// Begins a substitution; `leave` takes what this returns.
    pub(super) fn enter(&mut self) -> (usize, usize) {
        let outer = (self.frames.len(), self.ignored);
        self.open(Block::Substitution);
        outer
    }

    /// Closes everything that was opened since a substitution began.
    pub(super) fn leave(&mut self, (frames, ignored): (usize, usize)) {
        self.ignored = 0;
        while self.frames.len() > frames {
            self.close();
        }
        self.ignored = ignored;
    }

    /// Begins another branch of the same block: `else`, or the next pattern.
    pub(super) fn next_branch(&mut self) {
        self.end_list();
        if let Some(block @ (Block::Branch | Block::Case)) = self.top() {
            self.close();
            self.open(block);
        }
    }

    /// A `|`: what comes before it and what comes after it are processes of their own.
    pub(super) fn pipe(&mut self) {
        if self.top() == Some(Block::Pipe) {
            self.close();
        } else {
            let start = self.frames.last().map_or(self.pipe, |frame| frame.pipe);
            self.end(Block::Pipe, start);
        }
        self.open(Block::Pipe);
    }

    /// `&&` or `||`: what comes next may not run.
    pub(super) fn condition(&mut self) {
        self.end_pipe();
        if self.top() != Some(Block::Condition) {
            self.open(Block::Condition);
        }
        self.begin_pipe();
    }

    /// The end of a list of commands: `;`, `&` or a line break.
    pub(super) fn end_list(&mut self) {
        self.end_pipe();
        if self.top() == Some(Block::Condition) {
            self.close();
        }
        self.begin_pipe();
    }

    fn end_pipe(&mut self) {
        if self.top() == Some(Block::Pipe) {
            self.close();
        }
    }

    fn begin_pipe(&mut self) {
        let mark = self.mark();
        match self.frames.last_mut() {
            Some(frame) => frame.pipe = mark,
            None => self.pipe = mark,
        }
    }

    fn end(&mut self, block: Block, start: Mark) {
        if block == Block::Group {
            return;
        }
        for name in self.assigned.drain(start.assigned.min(self.assigned.len())..) {
            if let Some(count) = self.counts.get_mut(name) {
                *count = count.saturating_sub(1);
            }
        }
        if matches!(block, Block::Subshell | Block::Substitution | Block::Pipe) {
            return;
        }
        for (index, found) in self.occurrences.iter().enumerate().skip(start.occurrences) {
            let is_outside = self.counts.get(found.name).is_none_or(|count| *count == 0);
            if found.is_local && is_outside {
                self.undecided.entry(found.name).or_default().push(index);
            }
        }
        if block != Block::Loop {
            return;
        }
        let is_repeated = |found: &&Occurrence<'a>| !found.is_local && self.undecided.contains_key(found.name);
        let inside = self.occurrences.iter().skip(start.occurrences);
        let repeated: Vec<&str> = inside.filter(is_repeated).map(|found| found.name).collect();
        for name in repeated {
            self.decide(name);
        }
    }

    pub(super) fn add(&mut self, name: &'a str, range: TextRange, role: Role) {
        let is_local = role == Role::Assigned || self.is_local(name);
        if !is_local {
            self.decide(name);
        }
        if role == Role::Assigned {
            self.take_over(name);
        }
        self.occurrences.push(Occurrence { name, range, role, is_local });
    }

    /// Adds an assignment that keeps what the variable had: `A+=x`.
    pub(super) fn extend(&mut self, name: &'a str, range: TextRange) {
        let is_local = self.is_local(name);
        if !is_local {
            self.decide(name);
        }
        self.occurrences.push(Occurrence { name, range, role: Role::Assigned, is_local });
    }

    fn is_local(&self, name: &str) -> bool {
        self.counts.get(name).is_some_and(|count| *count > 0)
    }

    /// Makes a name the command's own from here on.
    pub(super) fn take_over(&mut self, name: &'a str) {
        *self.counts.entry(name).or_default() += 1;
        self.assigned.push(name);
    }

    /// A name from outside is used after a branch that may have assigned it: both are one variable.
    fn decide(&mut self, name: &str) {
        for index in self.undecided.remove(name).unwrap_or_default() {
            if let Some(found) = self.occurrences.get_mut(index) {
                found.is_local = false;
            }
        }
    }
}
