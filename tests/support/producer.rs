//! A producer of some family, driven record by record.

use std::net::SocketAddr;
use std::time::Instant;

use super::family::Family;
use super::place;
use super::process::Process;

/// A record that the producer called acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    /// Its id, which is its value.
    pub id: String,
    /// Where the producer says that it stands.
    pub partition: i32,
    /// Where in it.
    pub offset: i64,
}

/// A record that the producer gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its id.
    pub id: String,
    /// What it threw.
    pub error: String,
}

/// A running idempotent producer. Record number n has the id `id-00000n`.
pub struct Producer {
    family: Family,
    client: String,
    topic: String,
    process: Process,
    sent: usize,
}

impl Producer {
    /// Begins to start one, for [`Self::wait_ready`]; `settings`, named as for Kafka's own producer, go over the defaults.
    pub fn launch(family: Family, bootstrap: SocketAddr, topic: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = family.program().unwrap_or_else(|missing| panic!("{missing}"));
        command.arg(bootstrap.to_string()).arg(topic);
        let client = settings.iter().find(|(key, _)| *key == "client.id").map_or(family.name(), |(_, value)| value);
        command.arg(format!("client.id={client}"));
        command.args(settings.iter().map(|(key, value)| format!("{key}={value}")));
        let process = Process::spawn(client, command, &place::fresh(client).join("stderr.log"));
        Self { family, client: client.to_owned(), topic: topic.to_owned(), process, sent: 0 }
    }

    /// Waits until it takes commands.
    pub fn wait_ready(&self) {
        self.process.wait_line(0, "sign of life", |line| line == "ready");
    }

    /// What it is.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The client id in its requests.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// Where its records go.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Has a transactional producer do `command`, one of begin, commit and abort; fails when it refuses.
    #[track_caller]
    pub fn transaction(&mut self, command: &str) {
        let begun = self.begin_transaction(command);
        self.end_transaction(command, begun).unwrap_or_else(|error| panic!("{}: {command}: {error}", self.client));
    }

    /// Tells it to do so; what comes of it is said by [`Self::end_transaction`] with the value returned.
    pub fn begin_transaction(&mut self, command: &str) -> usize {
        let from = self.process.lines().len();
        self.process.tell(command);
        from
    }

    /// Waits until it has done so; an error is what it threw.
    pub fn end_transaction(&self, command: &str, begun: usize) -> Result<(), String> {
        let done = format!("{command} done");
        let failed = format!("{command} failed ");
        let (_, said) = self.process.wait_line(begun, command, |line| line == done || line.starts_with(&failed));
        said.strip_prefix(&failed).map_or(Ok(()), |error| Err(error.to_owned()))
    }

    /// Hands it the next `count` records, for a partition or for wherever its partitioner puts them.
    ///
    /// Returns when its `send` has returned for each, which is when they wait for their turn on a connection.
    pub fn send(&mut self, count: usize, partition: Option<i32>) {
        self.begin_send(count, partition);
        let all = format!("sent {}", self.sent);
        self.process.wait_line(0, "end of a send", |line| line == all);
    }

    /// The same without the wait, for when its `send` itself may have to wait for a broker.
    pub fn begin_send(&mut self, count: usize, partition: Option<i32>) {
        let partition = partition.map(|partition| format!(" {partition}")).unwrap_or_default();
        self.process.tell(&format!("send {count}{partition}"));
        self.sent += count;
    }

    /// Waits until each record handed to it is acknowledged or failed.
    pub fn wait_settled(&self) {
        self.process.wait_count(self.sent, "settled records", is_settled);
    }

    /// The same for as long as this; says whether it came to that.
    pub fn wait_settled_until(&self, deadline: Instant) -> bool {
        self.process.wait_count_until(deadline, self.sent, is_settled)
    }

    /// Waits until it has given up a record.
    pub fn wait_failed(&self) {
        self.process.wait_count(1, "failed record", |line| line.starts_with("failed "));
    }

    /// Closes it and waits until it has ended.
    pub fn close(&mut self) {
        self.process.tell("close");
        self.process.wait_line(0, "closing", |line| line == "closed");
        self.process.wait_exit();
    }

    /// How many records it has been given.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Whether it has settled this many.
    pub fn settled(&self) -> usize {
        self.process.lines().iter().filter(|line| is_settled(line)).count()
    }

    /// All acknowledgements, in their order.
    pub fn acked(&self) -> Vec<Acked> {
        self.process.lines().iter().filter_map(|line| acked(line)).collect()
    }

    /// All failures, in their order.
    pub fn failed(&self) -> Vec<Failed> {
        self.process.lines().iter().filter_map(|line| failed(line)).collect()
    }

    /// The end of all that it has said, for a failure message.
    pub fn tail(&self) -> String {
        self.process.tail()
    }

    /// Its own log.
    pub fn log(&self) -> String {
        self.process.errors()
    }
}

fn is_settled(line: &str) -> bool {
    line.starts_with("acked ") || line.starts_with("failed ")
}

fn acked(line: &str) -> Option<Acked> {
    let mut words = line.strip_prefix("acked ")?.split(' ');
    let id = words.next()?.to_owned();
    Some(Acked { id, partition: words.next()?.parse().ok()?, offset: words.next()?.parse().ok()? })
}

fn failed(line: &str) -> Option<Failed> {
    let (id, error) = line.strip_prefix("failed ")?.split_once(' ')?;
    Some(Failed { id: id.to_owned(), error: error.to_owned() })
}
