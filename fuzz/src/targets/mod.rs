//! One function per target. Nothing they are given may make them panic.

mod config;
mod edit;
mod session;
mod walks;
mod wire;

pub use config::config;
pub use edit::edit;
pub use session::session;
pub use walks::{produce_request, produce_response};
pub use wire::{batch, heads, learners, splitter};

/// A target.
pub type Target = fn(&[u8]);

/// All of them, by the name of their corpus.
pub const TARGETS: [(&str, Target); 9] = [
    ("splitter", splitter),
    ("heads", heads),
    ("produce_request", produce_request),
    ("produce_response", produce_response),
    ("batch", batch),
    ("edit", edit),
    ("learners", learners),
    ("session", session),
    ("config", config),
];

/// Takes decisions from the front of the input, and zeros when it is used up.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
}
