//! What an editor asks about text, in types of our own.

mod outline;

mod anchors;
mod axes;
mod calls;
mod combined;
mod command_lines;
mod completion;
mod described;
mod folding;
mod format;
mod highlight;
mod hints;
mod hover;
mod links;
mod mappings;
mod names;
mod rename;
mod resolved;
mod selection;
mod tokens;
mod variables;
mod waits;

pub(crate) use outline::first_words;

pub use calls::{Call, call_item, incoming_calls, outgoing_calls};
pub use command_lines::command_line;
pub use completion::{Completion, CompletionKind, Known, completion};
pub use folding::{Fold, FoldKind, folds};
pub use format::{FormatStyle, format};
pub use highlight::{Highlight, highlights};
pub use hints::{Hint, hints};
pub use hover::{Hover, StepPlace, hover};
pub use links::{Link, LinkTarget, links};
pub use names::{definition, references, uses};
pub use outline::{CombinationPlace, RunPlace, SHOWN_AT_ONE_PLACE, Symbol, made_together, run_places, symbols};
pub use rename::{Renamable, prepare_rename, rename};
pub use selection::selection;
pub use tokens::{Token, TokenKind, tokens};
