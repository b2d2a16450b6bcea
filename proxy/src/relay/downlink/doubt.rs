//! Requests that may have no answer, and what could be theirs.

/// The requests in a row of which nobody knows whether they are answered.
///
/// A client may send nothing else, and then no answer ever tells that the earlier ones are over. So of however many
/// there are, only the bounds of their numbers are kept: clients count their requests, and the next one that is
/// certain to be answered has a number of its own.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// The lowest and the highest number that an answer may bear.
    numbers: Option<(i32, i32)>,
    /// How many of them can still be answered.
    open: usize,
}

impl Doubt {
    /// Another one.
    pub(super) fn note(&mut self, correlation_id: i32) {
        let (lowest, highest) = self.numbers.unwrap_or((correlation_id, correlation_id));
        self.numbers = Some((lowest.min(correlation_id), highest.max(correlation_id)));
        self.open += 1;
    }

    /// Notes an answer that one of them may have got; false when it is to none of them.
    pub(super) fn take_answer(&mut self, correlation_id: i32) -> bool {
        let is_theirs = self.is_open() && self.covers(correlation_id);
        if is_theirs {
            self.open -= 1;
        }
        is_theirs
    }

    /// What came after them has been answered.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether one of them can still be answered.
    pub(super) const fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Whether an answer with this number could be to one of them.
    pub(super) fn covers(&self, correlation_id: i32) -> bool {
        self.numbers.is_some_and(|(lowest, highest)| (lowest..=highest).contains(&correlation_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(numbers: &[i32]) -> Doubt {
        let mut doubt = Doubt::default();
        numbers.iter().for_each(|number| doubt.note(*number));
        doubt
    }

    #[test]
    fn each_may_be_answered_once() {
        let mut doubt = doubt(&[5, 6, 7]);
        assert!(!doubt.take_answer(4) && !doubt.take_answer(8));
        assert!(doubt.take_answer(5) && doubt.take_answer(7) && doubt.take_answer(7));
        assert!(!doubt.is_open() && !doubt.take_answer(7));
    }

    #[test]
    fn a_number_stays_doubtful_until_another_one_is_answered() {
        let mut doubt = doubt(&[5]);
        assert!(doubt.take_answer(5) && doubt.covers(5));
        doubt.end();
        assert!(!doubt.covers(5));
    }

    #[test]
    fn numbers_that_wrap_leave_none_certain() {
        let doubt = doubt(&[i32::MAX, i32::MIN]);
        assert!([i32::MIN, 0, i32::MAX].iter().all(|number| doubt.covers(*number)));
    }
}
