//! Kafka's own classes at the test's service: topics, logs, and frames decoded by Java.

use std::net::SocketAddr;

use super::jvm::Parts;
use super::place;
use super::process::Process;

/// A record as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Logged {
    /// The partition it stands in.
    pub partition: i32,
    /// Where in it.
    pub offset: i64,
    /// The id that was its value.
    pub id: String,
}

/// One Java process that creates topics and reads logs.
pub struct Tools(Desk);

/// One Java process that decodes Produce frames. It wants Kafka 4.3.1.
pub struct Decoder(Desk);

impl Tools {
    /// Starts it.
    pub fn start(parts: &Parts) -> Self {
        Self(Desk::start(parts, "seqgate.Tools"))
    }

    /// Creates a topic; every partition has a leader when this returns.
    pub fn create_topic(&mut self, bootstrap: SocketAddr, topic: &str, partitions: usize) {
        self.create_topics(bootstrap, &[topic.to_owned()], partitions);
    }

    /// The same for several at once.
    pub fn create_topics(&mut self, bootstrap: SocketAddr, topics: &[String], partitions: usize) {
        self.0.ask(&format!("topics {bootstrap} {partitions} {}", topics.join(" "))).unwrap();
    }

    /// Creates a topic with these settings.
    pub fn create_topic_with(
        &mut self,
        bootstrap: SocketAddr,
        topic: &str,
        partitions: usize,
        settings: &[(&str, &str)],
    ) {
        let settings: Vec<_> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.0.ask(&format!("topic {bootstrap} {topic} {partitions} {}", settings.join(" "))).unwrap();
    }

    /// One of one partition on the brokers with these numbers, of which the first leads.
    pub fn place_topic(&mut self, bootstrap: SocketAddr, topic: &str, brokers: &[usize], settings: &[(&str, &str)]) {
        let brokers: Vec<_> = brokers.iter().map(usize::to_string).collect();
        let settings: Vec<_> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.0.ask(&format!("place {bootstrap} {topic} {} {}", brokers.join(","), settings.join(" "))).unwrap();
    }

    /// Has another broker lead, for each partition of these topics; it leads when this returns.
    pub fn move_leaders(&mut self, bootstrap: SocketAddr, topics: &[String]) {
        self.0.ask(&format!("move {bootstrap} {}", topics.join(" "))).unwrap();
    }

    /// Lets clients of a principal do this with every topic; brokers without an authorizer refuse.
    pub fn allow(&mut self, bootstrap: SocketAddr, principal: &str, operation: &str) {
        self.0.ask(&format!("allow {bootstrap} {principal} {operation}")).unwrap();
    }

    /// All that stands in a topic, in order of partition and offset.
    pub fn read_log(&mut self, bootstrap: SocketAddr, topic: &str) -> Vec<Logged> {
        let lines = self.0.ask(&format!("read {bootstrap} {topic}")).unwrap();
        let mut log: Vec<_> = lines.iter().map(|line| logged(line)).collect();
        log.sort();
        log
    }

    /// All that is committed in a topic, in the same order, once no transaction is open there.
    pub fn read_committed(&mut self, bootstrap: SocketAddr, topic: &str) -> Vec<Logged> {
        let lines = self.0.ask(&format!("committed {bootstrap} {topic}")).unwrap();
        let mut log: Vec<_> = lines.iter().map(|line| logged(line)).collect();
        log.sort();
        log
    }

    /// All that is committed in a topic behind what the group has read: `count` records and whatever more there is.
    pub fn read_group(&mut self, bootstrap: SocketAddr, topic: &str, group: &str, count: usize) -> Vec<Logged> {
        let lines = self.0.ask(&format!("group {bootstrap} {topic} {group} {count}")).unwrap();
        lines.iter().map(|line| logged(line)).collect()
    }

    /// Waits until a partition has a leader that serves it.
    pub fn wait_led(&mut self, bootstrap: SocketAddr, topic: &str, partition: i32) {
        self.0.ask(&format!("led {bootstrap} {topic} {partition}")).unwrap();
    }

    /// How many producers the leader of a partition remembers.
    pub fn known_producers(&mut self, bootstrap: SocketAddr, topic: &str, partition: i32) -> usize {
        self.0.ask(&format!("known {bootstrap} {topic} {partition}")).unwrap().len()
    }
}

impl Decoder {
    /// Starts it.
    pub fn start(parts: &Parts) -> Self {
        Self(Desk::start(parts, "seqgate.Decode"))
    }

    /// What Java sees in a whole Produce request without its length; an error is Java's exception.
    ///
    /// A good one says `left=0 same=true`: nothing left over, and writing it again gives the same bytes.
    pub fn request(&mut self, frame: &[u8]) -> Result<String, String> {
        self.0.ask(&format!("request {}", hex(frame))).map(|lines| lines.concat())
    }

    /// The same for a Produce response of a version.
    pub fn response(&mut self, version: i16, frame: &[u8]) -> Result<String, String> {
        self.0.ask(&format!("response {version} {}", hex(frame))).map(|lines| lines.concat())
    }
}

struct Desk {
    process: Process,
    read: usize,
}

impl Desk {
    fn start(parts: &Parts, main: &str) -> Self {
        let process = Process::spawn(main, parts.java("128m", main), &place::fresh("tools").join("stderr.log"));
        let (read, _) = process.wait_line(0, "sign of life", |line| line == "ready");
        Self { process, read }
    }

    fn ask(&mut self, command: &str) -> Result<Vec<String>, String> {
        self.process.tell(command);
        let from = self.read;
        let (to, last) =
            self.process.wait_line(from, "end of an answer", |line| line == "done" || line.starts_with("error "));
        self.read = to;
        match last.strip_prefix("error ") {
            Some(error) => Err(error.to_owned()),
            None => Ok(self.process.lines()[from..to - 1].to_vec()),
        }
    }
}

fn logged(line: &str) -> Logged {
    let words: Vec<_> = line.splitn(4, ' ').collect();
    let ["record", partition, offset, id] = words[..] else { panic!("not a record: {line}") };
    Logged { partition: partition.parse().unwrap(), offset: offset.parse().unwrap(), id: id.to_owned() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
