//! A connection that cannot be read: SASL tokens without frames of their own (SaslHandshake v0).

use seqgate_protocol::event::{Event, Unread};
use seqgate_protocol::session::Ledger;

use super::super::buffer::Read;
use super::super::link::Link;
use super::{Step, UpEnd, Uplink, wanted};

impl Uplink<'_> {
    /// After a SaslHandshake v0, what follows may not be frames at all.
    pub(super) async fn wait_for_answer(&self) -> Step {
        wanted(&self.client, self.link.answered()).await
    }

    /// Raw tokens, and everything behind them.
    pub(super) async fn pass_raw(&mut self) -> Step {
        let count = self.buffer.unread().len();
        self.buffer.release(count);
        self.flush().await?;
        match self.fill(1, true).await? {
            Read::Some => Ok(()),
            Read::End => Err(UpEnd::ClientEnd),
        }
    }
}

/// Raw tokens were agreed on: from here on the connection cannot be read.
pub(in super::super) fn note_raw(link: &Link) {
    link.session().ledger().taint();
    link.reporter().take(Event::Unread(Unread::SaslRaw));
}
