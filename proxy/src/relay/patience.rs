//! How long looking into logs may hold a connection up. Clients give up on an answer after 30 s, and begin to count when
//! they send: what lies in a row in front of a request, or of its answer, has to fit in together.

use std::time::Duration;

use tokio::time::Instant;

/// What is looked into at once may take so long, before everything goes on as without it.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// What is looked into one after the other holds requests up for so long in all, and an answer for so long since it came:
/// a third of what clients wait for either, so that both leave the broker a third.
const ROW_PATIENCE: Duration = Duration::from_secs(10);

/// What looks have taken from the requests that stand in a row: until the client waits for the proxy to read, and not the
/// other way round, any of them may have come with the first.
#[derive(Debug, Default)]
pub(super) struct Row {
    spent: Duration,
}

impl Row {
    /// Until when what begins `now` may take.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        now + LOOK_PATIENCE.min(ROW_PATIENCE.saturating_sub(self.spent))
    }

    /// Something was looked into for so long.
    pub(super) fn note(&mut self, took: Duration) {
        self.spent += took;
    }

    /// Nobody stands behind it any more.
    pub(super) fn end(&mut self) {
        self.spent = Duration::ZERO;
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
            row.note(took);
            assert_eq!(row.deadline(now), now + s(left));
        }
        assert!(row.is_begun());
        row.end();
        assert_eq!((row.is_begun(), row.deadline(now)), (false, now + LOOK_PATIENCE));
    }
}
