//! Where a connection's authentication stands, as far as frames tell.

use crate::sequencing::Millis;

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No SASL so far. `served`: the broker does without.
    Plain { served: bool },
    /// A SASL request is on its way, or the exchange is not known to have ended. `accepted`: the broker has taken what
    /// its last request offered, which may be one step of many.
    Exchanging { accepted: bool },
    /// The broker has served a request since the last exchange: it was successful.
    Served,
    /// Raw tokens: nothing on this connection can be read any more.
    Raw,
}

/// SASL, seen from outside. How many rounds a mechanism takes is its own business, so an exchange counts as
/// complete when the broker has accepted its last step and served an ordinary request after it. An answer alone does
/// not tell: who still has to authenticate is answered as well, in the form of the api and with an error, before the
/// broker closes (KIP-152).
#[derive(Clone, Copy, Debug)]
pub struct Auth {
    stage: Stage,
    /// When the session ends (KIP-368).
    until: Option<Millis>,
    /// SASL requests without an answer so far: an ordinary answer that comes ahead of theirs was asked for before.
    open: u32,
}

impl Default for Auth {
    fn default() -> Self {
        Self { stage: Stage::Plain { served: false }, until: None, open: 0 }
    }
}

impl Auth {
    /// A SaslHandshake or SaslAuthenticate request passes: no local answer until it has come to its end.
    pub const fn exchange_begins(&mut self) {
        self.until = None;
        self.open = self.open.saturating_add(1);
        self.step(false);
    }

    /// A SaslHandshake answer. After a successful one at v0 bare tokens follow, whose end cannot be seen.
    pub const fn handshake_answered(&mut self, version: i16, error: i16) {
        self.open = self.open.saturating_sub(1);
        self.step(false);
        if version == 0 && error == 0 {
            self.stage = Stage::Raw;
        }
    }

    /// A SaslAuthenticate answer with an error.
    pub const fn refused(&mut self) {
        self.open = self.open.saturating_sub(1);
        self.step(false);
    }

    /// A SaslAuthenticate answer without error.
    pub const fn authenticated(&mut self, session_lifetime_ms: i64, now: Millis) {
        self.open = self.open.saturating_sub(1);
        self.step(true);
        self.until = if session_lifetime_ms > 0 {
            Some(Millis(now.0.saturating_add(session_lifetime_ms.cast_unsigned())))
        } else {
            None
        };
    }

    /// The broker told what it tells only those whom it serves.
    pub(super) const fn served(&mut self) {
        match self.stage {
            Stage::Plain { .. } => self.stage = Stage::Plain { served: true },
            Stage::Exchanging { accepted: true } if self.open == 0 => self.stage = Stage::Served,
            Stage::Exchanging { .. } | Stage::Served | Stage::Raw => {}
        }
    }

    const fn step(&mut self, accepted: bool) {
        if !self.is_raw() {
            self.stage = Stage::Exchanging { accepted };
        }
    }

    /// Whether the broker has served this connection, which knows no SASL.
    #[must_use]
    pub const fn is_served_without_sasl(&self) -> bool {
        matches!(self.stage, Stage::Plain { served: true })
    }

    /// Whether frames cannot be read any more.
    #[must_use]
    pub const fn is_raw(&self) -> bool {
        matches!(self.stage, Stage::Raw)
    }

    /// Whether the broker may be asked on this connection: it answers only those whom it serves, and who has still to
    /// authenticate is not spoken for.
    pub(super) fn allows_questions(&self, now: Millis) -> bool {
        match self.stage {
            Stage::Plain { .. } => true,
            Stage::Exchanging { .. } | Stage::Raw => false,
            Stage::Served => self.until.is_none_or(|until| now < until),
        }
    }

    /// Whether this client may be told what the cluster told it before (T33).
    pub(super) fn allows_answers(&self, serves_without_sasl: bool, now: Millis) -> bool {
        match self.stage {
            Stage::Plain { .. } => serves_without_sasl,
            Stage::Exchanging { .. } | Stage::Raw => false,
            Stage::Served => self.until.is_none_or(|until| now < until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_before_during_and_after_a_session() {
        let mut auth = Auth::default();
        assert!(!auth.allows_answers(false, Millis(0)) && auth.allows_answers(true, Millis(0)));
        auth.exchange_begins();
        auth.handshake_answered(1, 0);
        auth.exchange_begins();
        auth.authenticated(1000, Millis(5));
        assert!(!auth.allows_answers(true, Millis(6)), "the broker has not served anything yet");
        auth.served();
        assert!(!auth.is_served_without_sasl());
        assert!(auth.allows_answers(false, Millis(6)));
        assert!(!auth.allows_answers(true, Millis(1005)), "the session has ended");
        auth.exchange_begins();
        assert!(!auth.allows_answers(true, Millis(7)), "re-authentication");
    }

    #[test]
    fn an_answer_that_was_asked_for_before_does_not_end_an_exchange() {
        let mut auth = Auth::default();
        auth.exchange_begins();
        auth.served();
        assert!(!auth.allows_answers(true, Millis(0)));
        auth.handshake_answered(1, 0);
        auth.exchange_begins();
        auth.refused();
        auth.exchange_begins();
        auth.authenticated(0, Millis(0));
        auth.served();
        assert!(auth.allows_answers(true, Millis(0)));
    }

    #[test]
    fn an_answer_between_those_to_two_steps_does_not_end_an_exchange() {
        let mut auth = Auth::default();
        auth.exchange_begins();
        auth.exchange_begins();
        for is_last in [false, true] {
            auth.authenticated(0, Millis(0));
            auth.served();
            assert_eq!(auth.allows_answers(true, Millis(0)), is_last);
        }
    }

    #[test]
    fn sasl_handshake_v0_makes_the_connection_unreadable() {
        let mut auth = Auth::default();
        auth.exchange_begins();
        auth.handshake_answered(0, 33);
        assert!(!auth.is_raw());
        auth.handshake_answered(0, 0);
        assert!(auth.is_raw());
    }

    #[test]
    fn nothing_is_asked_during_an_exchange_and_after_a_session() {
        let mut auth = Auth::default();
        assert!(auth.allows_questions(Millis(0)), "a broker that asks for SASL will say so");
        auth.exchange_begins();
        auth.authenticated(1000, Millis(5));
        assert!(!auth.allows_questions(Millis(6)), "the broker has not served anything yet");
        auth.served();
        assert!(auth.allows_questions(Millis(6)) && !auth.allows_questions(Millis(1005)));
    }

    #[test]
    fn a_listener_without_sasl_is_known_by_its_answers() {
        let mut auth = Auth::default();
        assert!(!auth.is_served_without_sasl());
        auth.served();
        assert!(auth.is_served_without_sasl());
    }

    #[test]
    fn an_exchange_is_not_complete_before_its_last_step_is_accepted() {
        let mut auth = Auth::default();
        let mut told = |told: &dyn Fn(&mut Auth)| {
            told(&mut auth);
            auth.served();
            auth.allows_answers(true, Millis(0))
        };
        assert!(!told(&Auth::exchange_begins));
        assert!(!told(&|auth| auth.handshake_answered(1, 0)), "no step was taken");
        assert!(!told(&Auth::exchange_begins));
        assert!(!told(&Auth::refused));
        assert!(!told(&Auth::exchange_begins));
        assert!(told(&|auth| auth.authenticated(0, Millis(0))));
        assert!(!told(&Auth::exchange_begins), "another step");
    }
}
