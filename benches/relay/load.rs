//! Clients that send, and check every answer.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use seqgate_protocol::wire::produce::ProduceResponse;

use crate::sink::{FETCH_BYTES, PRODUCE_VERSION, read_frame};
use crate::support::frames::{RECORDS, Request, batch, batch_16k};

/// What a load sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Produce requests of one batch of 16 KiB.
    Produce16k,
    /// Produce requests of 1 MiB: 16 partitions, a batch of 64 KiB each.
    Produce1m,
    /// Produce requests of one batch of 1 MiB.
    ProduceLarge,
    /// Small fetch requests, and answers of 1 MiB.
    Fetch1m,
    /// Produce requests of 1 KiB, one at a time, for their latency.
    Ping,
}

impl Load {
    pub(crate) const ALL: [Self; 5] =
        [Self::Produce16k, Self::Produce1m, Self::ProduceLarge, Self::Fetch1m, Self::Ping];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Produce16k => "produce 16 KiB, 4 connections, 5 in flight",
            Self::Produce1m => "produce 1 MiB, 2 connections, 5 in flight",
            Self::ProduceLarge => "produce 1 MiB in one batch, 2 connections, 5 in flight",
            Self::Fetch1m => "fetch 1 MiB, 2 connections, 1 in flight",
            Self::Ping => "produce 1 KiB, 1 connection, 1 in flight",
        }
    }

    const fn connections(self) -> i32 {
        match self {
            Self::Produce16k => 4,
            Self::Produce1m | Self::ProduceLarge | Self::Fetch1m => 2,
            Self::Ping => 1,
        }
    }

    const fn in_flight(self) -> usize {
        match self {
            Self::Produce16k | Self::Produce1m | Self::ProduceLarge => 5,
            Self::Fetch1m | Self::Ping => 1,
        }
    }

    /// Requests of one connection in one round.
    const fn requests(self, smoke: bool) -> usize {
        match (self, smoke) {
            (_, true) => 20,
            (Self::Produce16k, false) => 3_000,
            (Self::Produce1m | Self::ProduceLarge | Self::Fetch1m, false) => 120,
            (Self::Ping, false) => 2_000,
        }
    }

    /// Makes a produce request's frame, to partitions that are this connection's; `None` for fetch.
    fn request(self, connection: i32) -> Option<(Request, i32)> {
        let batches = match self {
            Self::Produce16k => vec![batch_16k(0, 0)],
            Self::Produce1m => vec![batch(4 * RECORDS, 1_000, 0, 0); 16],
            Self::ProduceLarge => vec![batch(64 * RECORDS, 1_000, 0, 0)],
            Self::Ping => vec![batch(1, 900, 0, 0)],
            Self::Fetch1m => return None,
        };
        let records = match self {
            Self::Produce1m => 4 * RECORDS,
            Self::ProduceLarge => 64 * RECORDS,
            Self::Ping => 1,
            Self::Produce16k | Self::Fetch1m => RECORDS,
        };
        Some((Request::new(PRODUCE_VERSION, connection * 16, &batches), records))
    }
}

/// What one round came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Bytes of requests, or of answers for fetch.
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
    /// Of each request, from its write to the end of its answer.
    pub(crate) latencies: Vec<Duration>,
}

/// Runs one round against `address`; panics on the first wrong answer.
pub(crate) fn run(load: Load, address: SocketAddr, smoke: bool) -> Outcome {
    let clients: Vec<_> =
        (0..load.connections()).map(|n| thread::spawn(move || Client::new(load, address).run(n, smoke))).collect();
    clients.into_iter().fold(Outcome::default(), |mut sum, client| {
        let one = client.join().expect("no wrong answer");
        sum.bytes += one.bytes;
        sum.requests += one.requests;
        sum.latencies.extend(one.latencies);
        sum
    })
}

struct Client {
    load: Load,
    stream: TcpStream,
    producer: i64,
    outcome: Outcome,
    sent: VecDeque<(i32, Instant)>,
    /// Of the newest answer, by its partitions.
    offsets: Vec<i64>,
    answer: Vec<u8>,
}

impl Client {
    fn new(load: Load, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut client = Self {
            load,
            stream,
            producer: 0,
            outcome: Outcome::default(),
            sent: VecDeque::new(),
            offsets: Vec::new(),
            answer: Vec::new(),
        };
        client.producer = client.init_producer_id();
        client
    }

    fn run(mut self, connection: i32, smoke: bool) -> Outcome {
        let requests = self.load.requests(smoke);
        match self.load.request(connection) {
            Some((request, records)) => self.produce(request, records, requests),
            None => self.fetch(requests),
        }
        self.outcome
    }

    fn produce(&mut self, mut request: Request, records: i32, count: usize) {
        let mut sequence = 0;
        for id in 0..i32::try_from(count).expect("few requests") {
            if self.sent.len() == self.load.in_flight() {
                self.check_produced(records);
            }
            request.set_correlation_id(id);
            request.set_batches(self.producer, sequence);
            request.seal();
            self.sent.push_back((id, Instant::now()));
            self.stream.write_all(&request.frame).expect("the relay takes it");
            self.outcome.bytes += request.frame.len() as u64;
            sequence += records;
        }
        while !self.sent.is_empty() {
            self.check_produced(records);
        }
    }

    /// The sink has held the sequences against each other; here it is the turn of order, errors and offsets.
    fn check_produced(&mut self, records: i32) {
        read_frame(&mut self.stream, &mut self.answer).expect("an answer");
        let (id, since) = self.sent.pop_front().expect("it was asked for");
        self.outcome.latencies.push(since.elapsed());
        self.outcome.requests += 1;
        let response = ProduceResponse::parse(PRODUCE_VERSION, &self.answer[4..]).expect("a produce response");
        assert_eq!(response.correlation_id, id);
        for (at, entry) in response.entries().enumerate() {
            assert_eq!(entry.error, 0, "partition {}", entry.partition);
            match self.offsets.get_mut(at) {
                Some(newest) => {
                    *newest += i64::from(records);
                    assert_eq!(entry.base_offset, *newest, "partition {}", entry.partition);
                }
                None => self.offsets.push(entry.base_offset),
            }
        }
    }

    fn fetch(&mut self, count: usize) {
        for id in 0..i32::try_from(count).expect("few requests") {
            let request = plain(1, 11, id, &[0; 60]);
            let since = Instant::now();
            self.stream.write_all(&request).expect("the relay takes it");
            read_frame(&mut self.stream, &mut self.answer).expect("an answer");
            self.outcome.latencies.push(since.elapsed());
            self.outcome.requests += 1;
            self.outcome.bytes += self.answer.len() as u64;
            assert_eq!(self.answer[4..8], id.to_be_bytes());
            assert_eq!(self.answer.len(), 8 + FETCH_BYTES);
            assert_eq!((self.answer[8], self.answer[8 + FETCH_BYTES / 2]), (0x5a, 0x5a));
        }
    }

    fn init_producer_id(&mut self) -> i64 {
        // Header's tags; no transactional id, a minute, no id, no epoch, no tags.
        let mut body = vec![0, 0];
        body.extend(60_000_i32.to_be_bytes());
        body.extend([0xff; 8 + 2]);
        body.push(0);
        let request = plain(22, 4, -1, &body);
        self.stream.write_all(&request).expect("the relay takes it");
        read_frame(&mut self.stream, &mut self.answer).expect("an answer");
        let id = self.answer[4 + 4 + 1 + 4 + 2..].first_chunk().expect("an id");
        i64::from_be_bytes(*id)
    }
}

/// A request of any api, with the client id `client`.
fn plain(api: i16, version: i16, correlation_id: i32, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 4];
    frame.extend(api.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(correlation_id.to_be_bytes());
    frame.extend(6_i16.to_be_bytes());
    frame.extend(b"client");
    frame.extend(rest);
    let size = i32::try_from(frame.len() - 4).expect("a small frame");
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame
}
