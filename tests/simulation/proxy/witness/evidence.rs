//! What is evidence against proofs: contradictions, doubts, topics made anew, ids handed out.

use super::{Asked, INTERVALS, Key, Partition, Place, Witness};

impl Witness {
    /// Holds an interval against the last ones: two batches at one place, or one at two, and nothing is certain.
    pub(super) fn fits_not(&mut self, place: Place, new: (i64, i64, Option<Key>), late: bool, step: u64) -> bool {
        let known = &self.partitions.entry(place).or_default().intervals;
        let contradicts = |old: &(i64, i64, Option<Key>)| contradict(*old, new);
        let contradicted = known.iter().rev().take(INTERVALS).any(contradicts);
        if contradicted {
            self.contradicts(place, step);
        }
        let is_perhaps = |(other, partition): (&Place, &Partition)| {
            let elsewhere = partition.intervals.iter().filter(|_| *other != place);
            other.0 == place.0 && elsewhere.chain(&partition.perhaps).any(contradicts)
        };
        if self.partitions.iter().any(is_perhaps) {
            // Under its other form, of which the proxy knows that it is the same topic, or not; or long ago.
            self.begin_anew(place.0, step);
        }
        if !late {
            self.partitions.entry(place).or_default().intervals.push(new);
        }
        contradicted
    }

    /// Whether anything that the proxy knows, or perhaps knows, contradicts what stands there.
    pub(super) fn contradicts_any(&self, place: Place, new: (i64, i64, Option<Key>)) -> bool {
        let here = self.partitions.iter().filter(|(other, _)| other.0 == place.0).map(|(_, partition)| partition);
        here.flat_map(|it| it.intervals.iter().chain(&it.perhaps)).any(|old| contradict(*old, new))
    }

    /// Whichever batch it is that begins there, it begins inside another one.
    pub(super) fn is_cut_by(&self, place: Place, offset: i64) -> bool {
        let known = self.partitions.get(&place).map_or(&[][..], |partition| &partition.intervals);
        known.iter().rev().take(INTERVALS).any(|(first, last, _)| *first < offset && offset <= *last)
    }

    /// Two answers contradict each other; a proxy that remembers the first doubts what it had.
    pub(super) fn contradicts(&mut self, place: Place, step: u64) {
        if self.forgets {
            self.begin_anew(place.0, step);
        } else {
            self.doubt(place, step);
        }
    }

    pub(super) fn doubt(&mut self, place: Place, step: u64) {
        let partition = self.partitions.entry(place).or_default();
        partition.doubted = step;
        partition.forget_places();
        // Under its other form as well, perhaps, with all that was known of that.
        self.begin_anew(place.0, step);
    }

    /// The proxy may have had evidence and hold what comes against nothing that was before.
    pub(super) fn begin_anew(&mut self, partition: usize, step: u64) {
        self.unsettle(partition, step);
        let same = self.partitions.iter_mut().filter(|((number, _), _)| *number == partition);
        same.for_each(|(_, partition)| partition.perhaps.append(&mut partition.intervals));
    }

    /// Whether anything is proven there is for the proxy to say.
    pub(super) fn unsettle(&mut self, partition: usize, step: u64) {
        self.doubted_at.insert(partition, step);
        let same = self.partitions.iter_mut().filter(|((number, _), _)| *number == partition);
        same.flat_map(|(_, partition)| partition.producers.values_mut()).for_each(|producer| producer.unusual = true);
    }

    /// Metadata: a topic's name and id, for these partitions. What was proven under the name alone, or under another
    /// id, may have been another topic's.
    pub(crate) fn linked(&mut self, name: &str, id: u8, partitions: std::ops::Range<usize>, step: u64) {
        // A broker that lags behind does not bring an old topic back.
        if self.retired.contains(&id) {
            return;
        }
        let known = self.ids.insert(name.into(), id);
        if known == Some(id) {
            return;
        }
        self.retired.extend(known);
        self.linked_at = step;
        // What was known under both names is dropped, this with it.
        let producers = self.partitions.values_mut().flat_map(|partition| partition.producers.values_mut());
        producers.for_each(|producer| producer.alone = None);
        // And with it the epochs: what comes next of an older one is the newest that the proxy knows of.
        let is_used = |form: u8| {
            let mut here = self.partitions.iter().filter(|((at, it), _)| partitions.contains(at) && *it == form);
            here.any(|(_, partition)| !partition.producers.is_empty())
        };
        let has_two_forms = known.is_none() && is_used(0) && is_used(id);
        for partition in partitions {
            let here = self.partitions.iter_mut().filter(|((number, _), _)| *number == partition);
            for producer in here.flat_map(|(_, partition)| partition.producers.values_mut()) {
                producer.is_unsettled();
                producer.is_epoch_doubtful |= has_two_forms;
            }
            self.doubt((partition, 0), step);
            // Of another topic nothing is known.
            let by_name = self.partitions.entry((partition, 0)).or_default();
            for producer in by_name.producers.values_mut().filter(|_| known.is_some()) {
                producer.successes.clear();
                producer.epoch = -1;
            }
            let by_id = self.partitions.entry((partition, id)).or_default();
            by_id.perhaps.append(&mut by_id.intervals);
            if let Some(known) = known {
                self.doubt((partition, known), step);
            }
            self.shown_as_one(partition, id, known.is_some(), step);
        }
        self.note_unusual();
    }

    /// A producer id was handed out: nobody has it yet.
    pub(crate) fn handed_out(&mut self, producer_id: i64, epoch: i16, step: u64) {
        let lowest = self.handed_out.get(&producer_id).map_or(epoch, |(_, lowest)| epoch.min(*lowest));
        self.handed_out.insert(producer_id, (step, lowest));
        for partition in self.partitions.values_mut() {
            partition.producers.entry(producer_id).and_modify(|producer| producer.is_handed_out(lowest));
            // Whoever has the id now may send under the same numbers what is another batch.
            let is_its = |it: &(i64, i64, Option<Key>)| it.2.is_some_and(|key| key.producer_id == producer_id);
            let (its, others) = partition.intervals.iter().copied().partition(is_its);
            partition.intervals = others;
            let its: Vec<_> = its;
            partition.perhaps.extend(its);
        }
    }

    /// Its connections lead elsewhere: nothing that was sent before is proven.
    pub(crate) fn ends(&mut self, step: u64) {
        self.doubted = step;
        // Where batches were in another cluster contradicts nothing of what its broker says from now on.
        for partition in self.partitions.values_mut() {
            partition.forget_places();
        }
    }

    /// A broker that is asked for another cluster does not know the partition any more.
    pub(crate) fn is_gone(&mut self, asked: &Asked, step: u64) {
        self.doubt(asked.place(), step);
    }
}

impl Partition {
    fn forget_places(&mut self) {
        self.intervals.clear();
        self.perhaps.clear();
        self.ends.clear();
    }
}

/// Whether two batches cannot both stand where they are said to.
fn contradict(old: (i64, i64, Option<Key>), new: (i64, i64, Option<Key>)) -> bool {
    let same_place = (old.0, old.1) == (new.0, new.1);
    let apart = new.0 > old.1 || new.1 < old.0;
    old.2 != new.2 && !apart || old.2.is_some() && old.2 == new.2 && !same_place
}
