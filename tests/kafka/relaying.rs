//! The relay does what its script says.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::support::relay::{Ending, Point, Relay, Strike};

const PRODUCE: u8 = 0;
const METADATA: u8 = 3;
/// Answers to each request: its correlation id and eight bytes.
const ANSWER_BYTES: usize = 4 + 4 + 8;

#[test]
fn frames_pass_and_are_recorded() {
    let relay = Relay::to("relay", echo());
    let mut client = connect(&relay);
    for correlation in 1..=3 {
        client.write_all(&request(PRODUCE, correlation)).unwrap();
        assert_eq!(read_answer(&mut client).unwrap(), correlation);
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "the end goes through");
    drop(client);
    relay.wait_idle();
    let recording = relay.recording();
    assert_eq!(recording.streams[0].to_broker, (1..=3).flat_map(|n| request(PRODUCE, n)).collect::<Vec<_>>());
    assert_eq!(recording.streams[0].to_client.len(), 3 * ANSWER_BYTES);
    recording.assert_same_bytes(&recording.clone());
}

#[test]
fn refused_connections_are_reset() {
    let relay = Relay::to("relay", echo());
    relay.refuse();
    assert_eq!(read_answer(&mut connect(&relay)).unwrap_err().kind(), ErrorKind::ConnectionReset);
    relay.wait_refused(1);
    relay.admit();
    let mut client = connect(&relay);
    client.write_all(&request(PRODUCE, 1)).unwrap();
    assert_eq!(read_answer(&mut client).unwrap(), 1);
}

#[test]
fn connections_are_reset_while_nobody_listens_upstream() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = Relay::to("relay", gone);
    assert_eq!(read_answer(&mut connect(&relay)).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn held_answers_wait_and_keep_their_order() {
    let relay = Relay::to("relay", echo());
    relay.hold_answers();
    let mut client = connect(&relay);
    client.write_all(&request(METADATA, 1)).unwrap();
    assert_eq!(read_answer(&mut client).unwrap(), 1, "only produce answers are held");
    client.write_all(&[request(PRODUCE, 2), request(METADATA, 3), request(PRODUCE, 4)].concat()).unwrap();
    relay.wait_held(2);
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    relay.release_answers();
    assert_eq!([2, 3, 4].map(|_| read_answer(&mut client).unwrap()), [2, 3, 4]);
}

#[test]
fn answers_that_are_held_are_lost_by_a_cut() {
    let relay = Relay::to("relay", echo());
    relay.hold_answers();
    let mut client = connect(&relay);
    client.write_all(&request(PRODUCE, 1)).unwrap();
    relay.wait_held(1);
    relay.cut_all(Ending::Reset);
    assert_eq!(read_answer(&mut client).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(relay.held(), 0);
}

#[test]
fn a_strike_cuts_the_nth_answer_where_it_says() {
    let half = ANSWER_BYTES / 2;
    for (point, passed) in [(Point::BeforeAnswer, 0), (Point::InAnswer, half), (Point::AfterAnswer, ANSWER_BYTES)] {
        for ending in [Ending::Close, Ending::Reset] {
            let relay = Relay::to("relay", echo());
            relay.strike(Strike { nth: 2, point, ending });
            let mut client = connect(&relay);
            client.write_all(&[request(PRODUCE, 1), request(PRODUCE, 2), request(PRODUCE, 3)].concat()).unwrap();
            let mut read = Vec::new();
            let end = client.read_to_end(&mut read).map_err(|error| error.kind());
            assert_eq!(read.len(), ANSWER_BYTES + passed, "{point:?} {ending:?}");
            assert_eq!(end.is_err(), ending == Ending::Reset, "{point:?} {ending:?}: {end:?}");
            relay.wait_struck(1);
        }
    }
}

#[test]
fn a_strike_in_a_request_passes_half_of_it() {
    let (address, seen) = sink();
    let relay = Relay::to("relay", address);
    relay.strike(Strike { nth: 2, point: Point::InRequest, ending: Ending::Close });
    let mut client = connect(&relay);
    client.write_all(&[request(PRODUCE, 1), request(PRODUCE, 2)].concat()).unwrap();
    let whole = request(PRODUCE, 1).len();
    assert_eq!(seen.join().unwrap(), whole + whole / 2);
}

fn connect(relay: &Relay) -> TcpStream {
    let stream = TcpStream::connect(relay.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Version 9 of some api, with a body of four bytes.
fn request(api: u8, correlation: u8) -> Vec<u8> {
    vec![0, 0, 0, 12, 0, api, 0, 9, 0, 0, 0, correlation, 1, 2, 3, 4]
}

fn read_answer(stream: &mut TcpStream) -> io::Result<u8> {
    let mut answer = [0; ANSWER_BYTES];
    stream.read_exact(&mut answer)?;
    Ok(answer[7])
}

/// A server that answers every request of the length above.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_all(stream));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let mut request = [0; 16];
        stream.read_exact(&mut request)?;
        let mut answer = [0; ANSWER_BYTES];
        answer[3] = 12;
        answer[4..8].copy_from_slice(&request[8..12]);
        stream.write_all(&answer)?;
    }
}

/// A server that counts what it is sent on one connection.
fn sink() -> (SocketAddr, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = thread::spawn(move || {
        let mut all = Vec::new();
        let _ = listener.accept().unwrap().0.read_to_end(&mut all);
        all.len()
    });
    (address, seen)
}
