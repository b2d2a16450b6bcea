//! A consumer group that reads along what is committed.

use std::collections::BTreeSet;

use crate::support::chain::Chain;
use crate::support::place;
use crate::support::process::Process;
use crate::support::tools::Logged;

/// A record's topic, partition and offset.
pub(crate) type Place = (String, i32, i64);

/// A group of one member, in a process of its own, behind the same relays as the producers.
pub(crate) struct Follower(Process);

impl Follower {
    /// Starts it. It reads from the beginning, and commits how far it came.
    pub(crate) fn launch(chain: &Chain, topics: &[String], group: &str) -> Self {
        let mut command = chain.a_running_broker().parts().java("128m", "seqgate.Follower");
        command.arg(chain.bootstrap().to_string()).arg(format!("{group}-group")).args(topics);
        let process = Process::spawn("follower", command, &place::fresh("follower").join("stderr.log"));
        process.wait_line(0, "sign of life", |line| line == "ready");
        Self(process)
    }

    /// Has it read all that is committed, and ends it. Returns each record's place and id, as often as it was read.
    pub(crate) fn finish(&mut self) -> Vec<(Place, String)> {
        self.0.tell("end");
        self.0.wait_line(0, "end of reading", |line| line == "closed");
        self.0.lines().iter().filter_map(|line| read(line)).collect()
    }
}

fn read(line: &str) -> Option<(Place, String)> {
    let words: Vec<_> = line.strip_prefix("record ")?.splitn(4, ' ').collect();
    let [topic, partition, offset, id] = words[..] else { return None };
    Some(((topic.to_owned(), partition.parse().ok()?, offset.parse().ok()?), id.to_owned()))
}

/// What is committed in a topic, in the same form.
pub(crate) fn committed(topic: &str, log: &[Logged]) -> BTreeSet<(Place, String)> {
    let place = |record: &Logged| ((topic.to_owned(), record.partition, record.offset), record.id.clone());
    log.iter().map(place).collect()
}
