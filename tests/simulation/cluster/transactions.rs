//! The transaction coordinator, as far as the partitions' logs show it.

use std::collections::{BTreeMap, BTreeSet};

use super::Cluster;

/// Transactions in progress: the epoch, and the partitions that were added.
#[derive(Debug, Default)]
pub(super) struct Transactions(BTreeMap<i64, (i16, BTreeSet<usize>)>);

/// From this version of Produce on, a broker adds the partition itself (KIP-890).
const ADDS_ITSELF: i16 = 12;

impl Cluster {
    /// AddPartitionsToTxn.
    pub(crate) fn add_to_transaction(&mut self, producer_id: i64, epoch: i16, partition: usize) {
        let (known, partitions) = self.transactions.0.entry(producer_id).or_insert((epoch, BTreeSet::new()));
        if *known == epoch {
            partitions.insert(partition);
        }
    }

    /// Whether the broker takes a transactional batch, or with which code it does not.
    pub(super) fn verify(&mut self, producer_id: i64, epoch: i16, partition: usize, version: i16) -> Result<(), i16> {
        if version >= ADDS_ITSELF && !self.transactions.0.contains_key(&producer_id) {
            if self.partitions[partition].log.is_fenced(producer_id, epoch) {
                return Err(47);
            }
            self.add_to_transaction(producer_id, epoch, partition);
        }
        match self.transactions.0.get_mut(&producer_id) {
            Some((known, _)) if *known != epoch => Err(47),
            Some((_, partitions)) if version >= ADDS_ITSELF || partitions.contains(&partition) => {
                partitions.insert(partition);
                Ok(())
            }
            Some(_) | None => Err(48),
        }
    }

    /// EndTxn: markers in all its partitions. From v5 on the producer goes on with the next epoch.
    pub(crate) fn end_transaction(&mut self, producer_id: i64, bumps: bool) {
        let Some((epoch, partitions)) = self.transactions.0.remove(&producer_id) else { return };
        for partition in partitions {
            self.partitions[partition].log.mark(producer_id, epoch + i16::from(bumps));
            self.replicate(partition);
        }
    }
}
