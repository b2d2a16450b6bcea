//! How far a partition's log reaches, in the broker's present generation.

use super::attempts::BrokerGeneration;

/// A proof that is older than the broker's generation may be of a log that is no more. Where the log may not be read, the
/// proof is taken for good again once the log is known to reach beyond its batch; that holds for as long as the generation
/// does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach(Option<(BrokerGeneration, i64)>);

impl Reach {
    /// Whether the log has something behind this offset.
    pub(super) fn beyond(&self, by: BrokerGeneration, offset: i64) -> bool {
        self.0.is_some_and(|(told, end)| told == by && offset < end)
    }

    /// The log reaches up to `end`, and is the one of the same topic of the same cluster.
    pub(super) fn add(&mut self, by: BrokerGeneration, end: i64) {
        if self.0.is_some_and(|(told, _)| by.is_before(told)) {
            return;
        }
        let before = self.0.filter(|(told, _)| *told == by).map_or(end, |(_, end)| end);
        self.0 = Some((by, end.max(before)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BrokerGeneration = BrokerGeneration { broker: 1, generation: 4 };
    const LATER: BrokerGeneration = BrokerGeneration { broker: 1, generation: 5 };

    #[test]
    fn a_log_reaches_as_far_as_its_generation_has_told() {
        let mut reach = Reach::default();
        assert!(!reach.beyond(NOW, 0));
        reach.add(NOW, 13);
        reach.add(NOW, 11);
        assert!(reach.beyond(NOW, 12) && !reach.beyond(NOW, 13) && !reach.beyond(LATER, 12));
        reach.add(LATER, 7);
        reach.add(NOW, 20);
        assert!(reach.beyond(LATER, 6) && !reach.beyond(LATER, 7) && !reach.beyond(NOW, 6));
    }
}
