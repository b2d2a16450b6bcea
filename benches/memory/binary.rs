//! The real binary, between clients and a broker of this process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::process::Relay;
use crate::support::frames::{Request, Response, batch};
use crate::{CONNECTION_BYTES_MAX, PAIR_BYTES_MAX, above};

const PARTITIONS: i32 = 1_000;
const BATCHES: i32 = 5;
const VERSION: i16 = 9;

/// So many producers on each of 1,000 partitions, five acknowledged batches each; returns the bounds that are broken.
pub(crate) fn pairs(producers: u32) -> Vec<String> {
    let mut request = Request::new(VERSION, 0, &vec![batch(1, 10, 0, 0); PARTITIONS as usize]);
    let response = Response::new(VERSION, &(0..PARTITIONS).collect::<Vec<_>>());
    let admin = free_port();
    let broker = acknowledging(request.frame.len(), response.clone());
    let relay = Relay::seqgate_with(env!("CARGO_BIN_EXE_seqgate"), broker, "dedupe", &["--admin", &admin.to_string()]);
    let mut client = TcpStream::connect(relay.address).expect("it listens");
    let mut answer = vec![0; response.frame.len()];
    let mut send = |producer: i64, sequence: i32| {
        request.set_batches(producer, sequence);
        client.write_all(&request.frame).expect("it takes a request");
        client.read_exact(&mut answer).expect("an answer");
    };
    // The first producer pays for what all of them share.
    (0..BATCHES).for_each(|sequence| send(0, sequence));
    let (before, counted_before) = (relay.resident(), tracker_bytes(admin));
    // No more pairs than are remembered: of one that is forgotten the broker's log would be asked.
    for sequence in 0..BATCHES {
        (1..i64::from(producers)).for_each(|producer| send(producer, sequence));
    }
    let pairs = f64::from(producers - 1) * f64::from(PARTITIONS);
    let resident = relay.resident().saturating_sub(before) as f64 / pairs;
    let counted = (tracker_bytes(admin) - counted_before) / pairs;
    println!("{pairs} pairs with {BATCHES} batches each, the binary");
    println!("  bytes per pair: {resident:.1} resident, {counted:.1} in tracker_bytes");
    let resident = above("resident bytes per pair of the binary", resident, PAIR_BYTES_MAX);
    resident.into_iter().chain(above("tracker_bytes per pair", counted, PAIR_BYTES_MAX)).collect()
}

/// Acknowledges every request of this size, each batch behind those before it.
fn acknowledging(request_bytes: usize, mut response: Response) -> SocketAddr {
    let (listener, address) = listen();
    thread::spawn(move || {
        let mut request = vec![0; request_bytes];
        let mut offset = 0;
        // The first connection is the proxy's look at its broker, which asks nothing.
        for mut stream in listener.incoming().map_while(Result::ok) {
            while stream.read_exact(&mut request).is_ok() {
                response.set(0, offset);
                offset += 1;
                stream.write_all(&response.frame).expect("it is open");
            }
        }
    });
    address
}

fn tracker_bytes(admin: SocketAddr) -> f64 {
    let mut stream = TcpStream::connect(admin).expect("the admin port is up");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it takes a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let value = text.lines().find_map(|line| line.strip_prefix("seqgate_tracker_bytes "));
    value.and_then(|value| value.trim().parse().ok()).expect("a gauge")
}

/// Connections that have said hello and say no more, both their sides counted; returns the bounds that are broken.
pub(crate) fn idle(count: usize) -> Vec<String> {
    let relay = Relay::seqgate(env!("CARGO_BIN_EXE_seqgate"), greeting(), "dedupe");
    // The first one pays for what all of them share.
    let first = hello(&relay);
    let before = relay.resident();
    let mut open = vec![first];
    open.extend((0..count).map(|_| hello(&relay)));
    let each = relay.resident().saturating_sub(before) as f64 / count as f64;
    println!("{count} idle connections: {:.1} KiB resident each", each / 1024.0);
    above("resident bytes per idle connection", each, CONNECTION_BYTES_MAX).into_iter().collect()
}

/// ApiVersions v0, as a client begins; waits for the answer.
fn hello(relay: &Relay) -> TcpStream {
    let mut stream = TcpStream::connect(relay.address).expect("it listens");
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]).expect("it takes a request");
    stream.read_exact(&mut [0; 14]).expect("an answer");
    stream
}

/// Answers each connection's one request with a correlation id, no error and no apis.
fn greeting() -> SocketAddr {
    let (listener, address) = listen();
    thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            // The proxy's look at its broker asks nothing.
            if stream.read_exact(&mut [0; 14]).is_err() {
                continue;
            }
            stream.write_all(&[0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]).expect("it is open");
            open.push(stream);
        }
    });
    address
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// One that nobody listens on.
fn free_port() -> SocketAddr {
    listen().1
}
