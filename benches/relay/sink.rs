//! A broker that takes what comes, checks it and answers at once.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use seqgate_protocol::wire::head::{ApiKey, RequestHead};
use seqgate_protocol::wire::produce::ProduceRequest;

use crate::support::frames::Response;

/// The api version of Produce that clients use.
pub(crate) const PRODUCE_VERSION: i16 = 9;
/// Bytes of a fetch answer behind its header.
pub(crate) const FETCH_BYTES: usize = 1 << 20;
/// The error of a batch whose base sequence is not the next one, and of one whose checksum is wrong.
const OUT_OF_ORDER: i16 = 45;
const CORRUPT: i16 = 2;
/// One batch in so many has its checksum looked at: the figures are the relay's, not the sink's.
const CHECKED_EACH: i64 = 64;

/// Listens until the process ends.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A connection ends when its client has had enough.
            thread::spawn(move || serve(stream).ok());
        }
    });
    address
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut frame, mut broker) = (Vec::new(), Broker::default());
    loop {
        read_frame(&mut stream, &mut frame)?;
        let answer = broker.answer(&frame).ok_or(io::ErrorKind::InvalidData)?;
        stream.write_all(answer)?;
    }
}

/// Reads one frame, its length included.
pub(crate) fn read_frame(stream: &mut TcpStream, frame: &mut Vec<u8>) -> io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let size = u32::from_be_bytes(length) as usize;
    frame.resize(4 + size, 0);
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..])
}

static PRODUCERS: AtomicI64 = AtomicI64::new(0);

/// The end of each partition's log: offsets grow, whoever produces.
static LOG_ENDS: [AtomicI64; PARTITIONS_MAX] = [const { AtomicI64::new(0) }; PARTITIONS_MAX];
const PARTITIONS_MAX: usize = 256;

/// One connection's broker.
#[derive(Default)]
struct Broker {
    /// The next sequence of each partition; a connection has one producer.
    expected: Vec<i32>,
    produced: Option<Response>,
    other: Vec<u8>,
    seen: i64,
}

impl Broker {
    fn answer(&mut self, frame: &[u8]) -> Option<&[u8]> {
        let head = RequestHead::parse(&frame[4..]).ok()?;
        let id = head.prefix.correlation_id;
        if head.prefix.api_key == ApiKey::PRODUCE {
            return self.produce(head.prefix.api_version, id, head.body);
        }
        self.other.clear();
        self.other.extend([0; 4]);
        self.other.extend(id.to_be_bytes());
        if head.prefix.api_key == ApiKey::INIT_PRODUCER_ID {
            // Header's tags, throttle time, no error, an id, epoch 0, tags.
            self.other.extend([0; 1 + 4 + 2]);
            self.other.extend(PRODUCERS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            self.other.extend([0; 2 + 1]);
        } else {
            self.other.resize(8 + FETCH_BYTES, 0x5a);
        }
        let size = i32::try_from(self.other.len() - 4).ok()?;
        self.other[..4].copy_from_slice(&size.to_be_bytes());
        Some(&self.other)
    }

    fn produce(&mut self, version: i16, id: i32, body: &[u8]) -> Option<&[u8]> {
        let request = ProduceRequest::parse(version, body).ok()?;
        self.expected.resize(PARTITIONS_MAX, 0);
        let partitions = || request.entries().map(|entry| entry.partition).collect::<Vec<_>>();
        let answer = self.produced.get_or_insert_with(|| Response::new(version, &partitions()));
        answer.set(id, 0);
        for (at, entry) in request.entries().enumerate() {
            let view = entry.records.batch().ok()?;
            let partition = usize::try_from(entry.partition).ok()?;
            let expected = self.expected.get_mut(partition)?;
            let in_order = *expected == view.base_sequence();
            *expected = view.base_sequence() + view.records_count();
            self.seen += 1;
            let intact = self.seen % CHECKED_EACH != 0 || is_intact(body, entry.records.head, entry.records.len?);
            let error = match (in_order, intact) {
                (true, true) => 0,
                (false, _) => OUT_OF_ORDER,
                (true, false) => CORRUPT,
            };
            let offset = LOG_ENDS[partition].fetch_add(view.records_count().into(), Ordering::Relaxed);
            answer.set_partition(at, error, offset);
        }
        Some(&answer.frame)
    }
}

/// Whether the checksum of the batch that begins with `head` is right.
fn is_intact(body: &[u8], head: &[u8], len: u32) -> bool {
    let at = head.as_ptr() as usize - body.as_ptr() as usize;
    let batch = &body[at..at + len as usize];
    batch[17..21] == crc32c::crc32c(&batch[21..]).to_be_bytes()
}
