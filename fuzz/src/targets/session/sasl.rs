//! Whether a client may be told anything, by the book.

use seqgate_protocol::wire::learn::Fact;

#[derive(Default)]
pub struct Sasl {
    exchanging: bool,
    /// The last step of the exchange was one without error.
    accepted: bool,
    until_ms: Option<u64>,
    /// Requests that are not answered.
    pub open: u32,
}

impl Sasl {
    pub fn begin(&mut self) {
        (self.exchanging, self.accepted, self.until_ms, self.open) = (true, false, None, self.open + 1);
    }

    /// An answer to a request that was begun.
    pub fn learn(&mut self, fact: &Fact<'_>, now_ms: u64) {
        match fact {
            Fact::SaslHandshake { .. } => (self.open, self.accepted) = (self.open - 1, false),
            Fact::SaslAuthenticate { error, session_lifetime_ms } => {
                (self.open, self.accepted) = (self.open - 1, *error == 0);
                if *error == 0 {
                    let lifetime_ms = u64::try_from(*session_lifetime_ms).ok().filter(|ms| *ms > 0);
                    self.until_ms = lifetime_ms.map(|ms| now_ms + ms);
                }
            }
            Fact::Broker { .. } | Fact::Producer { error: 0, .. } => self.serve(),
            Fact::ClusterId(_) | Fact::Topic { .. } | Fact::Producer { .. } | Fact::DeletedTopic { .. } => {}
        }
    }

    /// The broker answers as it does only to those whom it serves.
    pub const fn serve(&mut self) {
        self.exchanging &= self.open > 0 || !self.accepted;
    }

    /// Whether nothing of an exchange is left to be done, nor to be done again.
    pub fn is_over(&self, now_ms: u64) -> bool {
        !self.exchanging && self.until_ms.is_none_or(|until_ms| now_ms < until_ms)
    }
}
