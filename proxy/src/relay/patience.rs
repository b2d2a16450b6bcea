//! How long looking into logs may hold a connection up. Clients give up on an answer after 30 s, and begin to count when
//! they send: what lies in a row in front of a request, or of its answer, has to fit in together.

use std::time::Duration;

use tokio::time::Instant;

/// What is looked into at once may take so long, before everything goes on as without it.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// What is looked into one after the other holds requests up for so long in all, and an answer for so long since it came:
/// a third of what clients wait for either, so that both leave the broker a third.
const ROW_PATIENCE: Duration = Duration::from_secs(10);

/// Nothing waits for longer: what the client waits for that long after the last look has come since.
const ROW_AGE_MAX: Duration = Duration::from_secs(30);

/// What looks have taken from the requests that stand in a row: until the client waits for the proxy to read, and not the
/// other way round, any of them may have come with the first.
#[derive(Debug, Default)]
pub(super) struct Row {
    spent: Duration,
    /// When the last of them was over.
    last: Option<Instant>,
}

impl Row {
    /// Until when what begins `now` may take.
    pub(super) fn deadline(&mut self, now: Instant) -> Instant {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) >= ROW_AGE_MAX) {
            self.end();
        }
        now + LOOK_PATIENCE.min(ROW_PATIENCE.saturating_sub(self.spent))
    }

    /// Something was looked into from `since` until `now`.
    pub(super) fn note(&mut self, since: Instant, now: Instant) {
        self.spent += now.saturating_duration_since(since);
        self.last = Some(now);
    }

    /// Nobody stands behind it any more.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether something was looked into.
    pub(super) fn is_begun(&self) -> bool {
        self.spent > Duration::ZERO
    }
}

/// Until when an answer that came at `since` is kept back for what is looked into from `now` on; `None`: it has waited for
/// long enough behind others.
pub(super) fn of_answer(since: Instant, now: Instant) -> Option<Instant> {
    let end = since + ROW_PATIENCE;
    (now < end).then(|| end.min(now + LOOK_PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn answers_in_a_row_are_kept_back_for_no_longer_than_the_first_of_them() {
        let came = Instant::now();
        // Each look takes as long as it may, but a little.
        let (mut now, mut looks) = (came, 0);
        while let Some(deadline) = of_answer(came, now) {
            assert!(deadline > now && deadline - now <= LOOK_PATIENCE && looks < 10);
            (now, looks) = (deadline, looks + 1);
        }
        assert_eq!((now - came, looks), (ROW_PATIENCE, 2));
        // One that comes later has its own time.
        assert_eq!(of_answer(now, now), Some(now + LOOK_PATIENCE));
    }

    #[test]
    fn requests_in_a_row_share_their_time_and_the_next_row_has_its_own() {
        let (now, mut row) = (Instant::now(), Row::default());
        assert!(!row.is_begun());
        for (took, left) in [(s(4), 5), (s(4), 2), (s(1), 1), (s(1), 0), (s(1), 0)] {
            row.note(now - took, now);
            assert_eq!(row.deadline(now), now + s(left));
        }
        assert!(row.is_begun());
        // A client that always has something more to send waits for what it sends no longer than others.
        assert_eq!([s(29), s(30)].map(|later| row.deadline(now + later) - (now + later)), [s(0), LOOK_PATIENCE]);
        row.note(now - s(7), now);
        row.end();
        assert_eq!((row.is_begun(), row.deadline(now)), (false, now + LOOK_PATIENCE));
    }
}
