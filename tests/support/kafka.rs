//! A real Apache Kafka broker, alone in KRaft combined mode, that can be stopped, killed and started again.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::jvm::Parts;
use super::process::{Process, run};
use super::{PATIENCE, net, place};

const CLUSTER: &str = "c2VxZ2F0ZS10ZXN0cy0wMQ";
const START_ATTEMPTS: usize = 3;

/// A broker with two listeners on one log: `address`, which advertises what the test says, and `direct`, which advertises
/// itself and is for setting up and reading back.
pub struct Kafka {
    parts: &'static Parts,
    advertised: Option<SocketAddr>,
    settings: Vec<(String, String)>,
    address: SocketAddr,
    direct: SocketAddr,
    home: PathBuf,
    process: Option<Process>,
}

impl Kafka {
    /// Formats a new log and starts a broker, which is ready when this returns.
    ///
    /// Clients of `address` are sent to `advertised`, or to `address` itself. `settings` go over the defaults.
    pub fn start(parts: &'static Parts, advertised: Option<SocketAddr>, settings: &[(&str, &str)]) -> Self {
        let settings: Vec<_> = settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let mut attempt = 1;
        loop {
            let mut kafka = Self::format(parts, advertised, settings.clone());
            match kafka.launch() {
                Ok(()) => return kafka,
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
        self.launch().unwrap_or_else(|said| panic!("Kafka does not start again\n{said}"));
    }

    fn format(parts: &'static Parts, advertised: Option<SocketAddr>, settings: Vec<(String, String)>) -> Self {
        let [address, direct, controller] = net::free_ports();
        let home = place::fresh(&format!("kafka-{}", parts.version.number()));
        let address = net::local(address);
        let kafka = Self { parts, advertised, settings, address, direct: net::local(direct), home, process: None };
        fs::write(kafka.home.join("server.properties"), kafka.properties(net::local(controller))).unwrap();
        let mut format = parts.java("128m", "kafka.tools.StorageTool");
        format.args(["format", "-t", CLUSTER, "-c"]).arg(kafka.home.join("server.properties"));
        run(&mut format).unwrap_or_else(|error| panic!("the log cannot be formatted: {error}"));
        kafka
    }

    fn properties(&self, controller: SocketAddr) -> String {
        let Self { address, direct, .. } = self;
        let advertised = self.advertised.unwrap_or(*address);
        let logs = self.home.join("logs");
        let own = [
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", "1".to_owned()),
            ("listeners", format!("CLIENT://{address},DIRECT://{direct},CONTROLLER://{controller}")),
            ("advertised.listeners", format!("CLIENT://{advertised},DIRECT://{direct}")),
            ("listener.security.protocol.map", "CLIENT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
            ("inter.broker.listener.name", "DIRECT".to_owned()),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("controller.quorum.voters", format!("1@{controller}")),
            ("log.dirs", logs.display().to_string()),
        ];
        // One of everything: small, quick to start, and enough for one node.
        let small = [
            ("offsets.topic.replication.factor", "1"),
            ("offsets.topic.num.partitions", "1"),
            ("transaction.state.log.replication.factor", "1"),
            ("transaction.state.log.min.isr", "1"),
            ("transaction.state.log.num.partitions", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
            ("share.coordinator.state.topic.num.partitions", "1"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("auto.create.topics.enable", "false"),
            ("num.network.threads", "2"),
            ("num.io.threads", "2"),
            ("background.threads", "2"),
            ("log.cleaner.dedupe.buffer.size", "2097152"),
        ];
        let own = own.iter().map(|(key, value)| format!("{key}={value}\n"));
        let small = small.iter().map(|(key, value)| format!("{key}={value}\n"));
        let overrides = self.settings.iter().map(|(key, value)| format!("{key}={value}\n"));
        own.chain(small).chain(overrides).collect()
    }

    fn launch(&mut self) -> Result<(), String> {
        let mut command = self.parts.guarded("256m", "kafka.Kafka");
        command.arg(self.home.join("server.properties"));
        let mut process = Process::spawn("kafka", command, &self.home.join("broker.log"));
        let deadline = Instant::now() + PATIENCE;
        let expected = [(self.address, self.advertised.unwrap_or(self.address)), (self.direct, self.direct)];
        while !expected.iter().all(|(at, advertised)| advertises(*at, *advertised)) {
            if Instant::now() > deadline || process.wait_exit_within(Duration::ZERO).is_some() {
                return Err(process.tail());
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
        Ok(())
    }
}

/// Whether a broker answers there and sends its clients to the address expected.
fn advertises(at: SocketAddr, expected: SocketAddr) -> bool {
    metadata_ports(at).is_ok_and(|ports| ports == [i32::from(expected.port())])
}

/// Asks with ApiVersions v0 and Metadata v1, made by hand, for the ports of all brokers.
fn metadata_ports(at: SocketAddr) -> io::Result<Vec<i32>> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // Length; api key, version, correlation id, no client id.
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])?;
    read_frame(&mut stream)?;
    // The same and an empty list of topics.
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0, 0, 0, 0])?;
    let answer = read_frame(&mut stream)?;
    ports_in(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn ports_in(answer: &[u8]) -> Option<Vec<i32>> {
    let int = |at: usize| Some(i32::from_be_bytes(*answer.get(at..)?.first_chunk()?));
    let mut at = 8;
    let mut ports = Vec::new();
    for _ in 0..int(4)? {
        let host = i16::from_be_bytes(*answer.get(at + 4..)?.first_chunk()?);
        at += 6 + usize::try_from(host).ok()?;
        ports.push(int(at)?);
        at += 4;
        // The rack, which is null.
        at += 2;
    }
    Some(ports)
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap().min(1 << 20)];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}
