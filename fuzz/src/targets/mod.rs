//! One function per target. Nothing they are given may make them panic.

mod by_head;
mod config;
mod edit;
mod guarded;
mod learners;
mod log_answer;
mod make;
mod plain;
mod producers;
mod session;
mod walks;
mod wire;

pub use config::config;
pub use edit::edit;
pub use learners::learners;
pub use log_answer::log_answer;
pub use producers::producers;
pub use session::session;
pub use walks::{produce_request, produce_response};
pub use wire::{batch, heads, splitter};

/// A target.
pub type Target = fn(&[u8]);

/// All of them, by the name of their corpus.
pub const TARGETS: [(&str, Target); 11] = [
    ("splitter", splitter),
    ("heads", heads),
    ("produce_request", produce_request),
    ("produce_response", produce_response),
    ("batch", batch),
    ("edit", edit),
    ("learners", learners),
    ("log_answer", log_answer),
    ("producers", producers),
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

    fn below(&mut self, limit: u8) -> usize {
        usize::from(self.u8() % limit)
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes([self.u8(), self.u8()])
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes([self.u8(), self.u8(), self.u8(), self.u8()])
    }
}
