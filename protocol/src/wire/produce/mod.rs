//! Produce requests and responses (`ProduceRequest.json`, `ProduceResponse.json`), versions 0 to 13.

pub mod amend;
pub mod answer;
pub mod edit;
mod entries;
mod layout;
pub mod request;
pub mod response;
pub mod walk;

pub use amend::{AmendError, amend};
pub use answer::{AnswerEntry, OwnedTopic, answer};
pub use edit::{MergeError, merge, strip};
pub use request::{ProduceEntry, ProduceRequest};
pub use response::{ProduceResponse, ResponseEntry};
pub use walk::{ProduceEvent, ProduceWalk, Section, Step};

/// The newest version whose layout is known here.
pub const VERSION_MAX: i16 = 13;

#[cfg(test)]
mod tests;
