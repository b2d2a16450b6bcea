//! Real Apache Kafka brokers in KRaft combined mode, alone or several as a cluster, that can be stopped, killed and started
//! again.

pub mod probe;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::jvm::{Parts, Version};
use super::process::{Process, run};
use super::{PATIENCE, net, place};

const CLUSTER: &str = "c2VxZ2F0ZS10ZXN0cy0wMQ";
const START_ATTEMPTS: usize = 3;

/// A broker with two listeners on one log: `address`, which advertises what the test says, and `direct`, which advertises
/// itself and is for setting up and reading back.
pub struct Kafka {
    parts: &'static Parts,
    seat: Seat,
    advertised: Option<SocketAddr>,
    settings: Vec<(String, String)>,
    address: SocketAddr,
    direct: SocketAddr,
    home: PathBuf,
    process: Option<Process>,
}

/// A broker's place in its cluster.
#[derive(Debug, Clone)]
struct Seat {
    id: usize,
    controller: SocketAddr,
    /// Every node, each of which is a controller as well, as `controller.quorum.voters` has them.
    voters: String,
    nodes: usize,
}

impl Kafka {
    /// Formats a new log and starts a broker, which is ready when this returns.
    ///
    /// Clients of `address` are sent to `advertised`, or to `address` itself. `settings` go over the defaults.
    pub fn start(parts: &'static Parts, advertised: Option<SocketAddr>, settings: &[(&str, &str)]) -> Self {
        Self::cluster(parts, &[advertised], settings).pop().expect("a cluster of one has one")
    }

    /// The same for one broker per address advertised, which are one cluster: each knows all others when this returns.
    pub fn cluster(parts: &'static Parts, advertised: &[Option<SocketAddr>], settings: &[(&str, &str)]) -> Vec<Self> {
        let settings: Vec<_> = settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let mut attempt = 1;
        loop {
            let mut nodes = Self::format(parts, advertised, &settings);
            nodes.iter_mut().for_each(Self::begin);
            let ready = nodes.iter().map(|node| node.wait_ready(advertised.len())).collect::<Result<Vec<()>, _>>();
            match ready {
                Ok(_) => return nodes,
                // Somebody else took a port between our look and its bind.
                Err(said) if said.contains("Address already in use") && attempt < START_ATTEMPTS => attempt += 1,
                Err(said) => panic!("Kafka {} does not start\n{said}", parts.version.number()),
            }
        }
    }

    /// Where clients under test connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where set-up and judges connect.
    pub fn direct(&self) -> SocketAddr {
        self.direct
    }

    /// The parts it runs from, for clients of the same release.
    pub fn parts(&self) -> &'static Parts {
        self.parts
    }

    /// Whether it has been started and not ended by the test.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// What `DumpLogSegments` prints of each of these partitions, which are small enough to have one segment.
    pub fn dump_logs(&self, partitions: &[(&str, i32)]) -> Vec<String> {
        let segment = |(topic, partition): &(&str, i32)| self.segment(topic, *partition).display().to_string();
        let main = match self.parts.version {
            Version::V4_4_0 | Version::V4_3_1 => "org.apache.kafka.tools.DumpLogSegments",
            Version::V3_9_1 => "kafka.tools.DumpLogSegments",
        };
        let mut command = self.parts.java("128m", main);
        command.arg("--files").arg(partitions.iter().map(segment).collect::<Vec<_>>().join(","));
        let dump = run(&mut command).unwrap_or_else(|error| panic!("{error}"));
        let dumps: Vec<_> = dump.split("Dumping ").skip(1).map(str::to_owned).collect();
        assert_eq!(dumps.len(), partitions.len(), "{dump}");
        dumps
    }

    /// Stops it in good order: it writes its snapshots.
    pub fn stop_clean(&mut self) {
        let mut process = self.process.take().expect("the broker runs");
        process.terminate();
        process.wait_exit();
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        self.process.take().expect("the broker runs").kill();
    }

    /// Starts it on the same ports and data, and waits until it is ready.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the broker runs");
        self.begin();
        self.wait_ready(1).unwrap_or_else(|said| panic!("Kafka does not start again\n{said}"));
    }

    /// Gives a broker that is down a new log, as a container without a volume has it: the cluster's id and the addresses
    /// are the same, and everything else begins anew.
    pub fn wipe(&mut self) {
        assert!(self.process.is_none(), "the broker runs");
        fs::remove_dir_all(self.logs()).unwrap();
        self.format_log();
    }

    /// Takes away what a partition's log has from an offset on, as a power cut does to what was not on the disk yet. The
    /// broker is down, and the log has one segment.
    pub fn lose_log_from(&mut self, topic: &str, partition: i32, offset: i64) {
        assert!(self.process.is_none(), "the broker runs");
        let segment = self.segment(topic, partition);
        let log = fs::read(&segment).unwrap();
        let mut end = 0;
        while let Some(head) = log.get(end..end + 12) {
            let (base, length) = head.split_at(8);
            if i64::from_be_bytes(base.try_into().unwrap()) >= offset {
                break;
            }
            end += 12 + usize::try_from(i32::from_be_bytes(length.try_into().unwrap())).unwrap();
        }
        assert!(end < log.len(), "{topic} does not reach offset {offset}");
        // How it was ended is what a start goes by: it reads the log, not what was noted of it.
        let _ = fs::remove_file(self.logs().join(".kafka_cleanshutdown"));
        fs::File::options().write(true).open(segment).unwrap().set_len(end as u64).unwrap();
    }

    fn segment(&self, topic: &str, partition: i32) -> PathBuf {
        self.logs().join(format!("{topic}-{partition}/00000000000000000000.log"))
    }

    fn format(parts: &'static Parts, advertised: &[Option<SocketAddr>], settings: &[(String, String)]) -> Vec<Self> {
        let nodes = advertised.len();
        let ports: Vec<_> = net::free_ports(3 * nodes).into_iter().map(net::local).collect();
        let ports: Vec<&[SocketAddr]> = ports.chunks(3).collect();
        let voters: Vec<_> = ports.iter().zip(1..).map(|(ports, id)| format!("{id}@{}", ports[2])).collect();
        let seat = |id| Seat { id, controller: ports[id - 1][2], voters: voters.join(","), nodes };
        let node = |id: usize| Self {
            parts,
            seat: seat(id),
            advertised: advertised[id - 1],
            settings: settings.to_vec(),
            address: ports[id - 1][0],
            direct: ports[id - 1][1],
            home: place::fresh(&format!("kafka-{}", parts.version.number())),
            process: None,
        };
        let nodes: Vec<_> = (1..=nodes).map(node).collect();
        thread::scope(|scope| nodes.iter().for_each(|node| drop(scope.spawn(|| node.format_log()))));
        nodes
    }

    fn format_log(&self) {
        fs::write(self.home.join("server.properties"), self.properties()).unwrap();
        let mut format = self.parts.java("128m", "kafka.tools.StorageTool");
        format.args(["format", "-t", CLUSTER, "-c"]).arg(self.home.join("server.properties"));
        run(&mut format).unwrap_or_else(|error| panic!("the log cannot be formatted: {error}"));
    }

    fn properties(&self) -> String {
        let Self { address, direct, seat, .. } = self;
        let Seat { id, controller, voters, nodes } = seat;
        let advertised = self.advertised.unwrap_or(*address);
        let own = [
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", id.to_string()),
            ("listeners", format!("CLIENT://{address},DIRECT://{direct},CONTROLLER://{controller}")),
            ("advertised.listeners", format!("CLIENT://{advertised},DIRECT://{direct}")),
            ("listener.security.protocol.map", "CLIENT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
            ("inter.broker.listener.name", "DIRECT".to_owned()),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("controller.quorum.voters", voters.clone()),
            ("log.dirs", self.logs().display().to_string()),
        ];
        // As many copies as there are nodes, and one that may be missing when there are several.
        let copies = |key: &'static str| (key, nodes.to_string());
        let in_sync = |key: &'static str| (key, nodes.saturating_sub(1).max(1).to_string());
        let copied = [
            copies("default.replication.factor"),
            in_sync("min.insync.replicas"),
            copies("offsets.topic.replication.factor"),
            copies("transaction.state.log.replication.factor"),
            in_sync("transaction.state.log.min.isr"),
            copies("share.coordinator.state.topic.replication.factor"),
            in_sync("share.coordinator.state.topic.min.isr"),
        ];
        // One of everything: small and quick to start.
        let small = [
            ("offsets.topic.num.partitions", "1"),
            ("transaction.state.log.num.partitions", "1"),
            ("share.coordinator.state.topic.num.partitions", "1"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("auto.create.topics.enable", "false"),
            ("num.network.threads", "2"),
            ("num.io.threads", "2"),
            ("background.threads", "2"),
            ("log.cleaner.dedupe.buffer.size", "2097152"),
        ];
        let own = own.iter().chain(&copied).map(|(key, value)| format!("{key}={value}\n"));
        let small = small.iter().map(|(key, value)| format!("{key}={value}\n"));
        let overrides = self.settings.iter().map(|(key, value)| format!("{key}={value}\n"));
        own.chain(small).chain(overrides).collect()
    }

    fn logs(&self) -> PathBuf {
        self.home.join("logs")
    }

    /// Starts its process, which is not ready yet: several need each other for that.
    fn begin(&mut self) {
        let mut command = self.parts.guarded("256m", "kafka.Kafka");
        command.arg(self.home.join("server.properties"));
        self.process = Some(Process::spawn("kafka", command, &self.home.join("broker.log")));
    }

    /// Waits until it sends clients of either listener to where they belong, and knows as many brokers as `nodes`.
    fn wait_ready(&self, nodes: usize) -> Result<(), String> {
        let process = self.process.as_ref().expect("the broker has begun");
        let deadline = Instant::now() + PATIENCE;
        let expected = [(self.address, self.advertised.unwrap_or(self.address)), (self.direct, self.direct)];
        while !expected.iter().all(|(at, advertised)| advertises(*at, *advertised, nodes)) {
            if Instant::now() > deadline || process.has_ended() {
                return Err(process.tail());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// Whether a broker answers there, sends its clients to the address expected, and knows so many in all.
fn advertises(at: SocketAddr, expected: SocketAddr, nodes: usize) -> bool {
    probe::advertised_ports(at).is_ok_and(|ports| ports.contains(&expected.port()) && ports.len() >= nodes)
}
