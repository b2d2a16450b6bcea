//! What happens to the bytes and to the ends of connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use crate::support::{PATIENCE, Proxy, REQUEST, RESPONSE, accept, broker, connect, request, respond, seqgate_under};

/// Reads until the connection ends; an orderly end is no error.
fn end_of(mut stream: &TcpStream) -> Result<(), ErrorKind> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).map(|_| assert!(rest.is_empty())).map_err(|error| error.kind())
}

#[test]
fn a_client_is_reset_while_the_broker_is_down_and_served_when_it_is_back() {
    // Bound all along, so that nobody else gets the port; it listens only later.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let upstream = socket.local_addr().unwrap().as_socket().unwrap();
    let mut proxy = Proxy::start(upstream, &["-v"]);
    proxy.will_warn_again(&["broker unreachable"]);
    for _ in 0..20 {
        assert_eq!(end_of(&proxy.connect()), Err(ErrorKind::ConnectionReset));
    }
    proxy.wait_for_log("broker unreachable");
    let line = proxy.wait_for_log("connection closed");
    for part in ["outcome=\"error\"", "Connection refused", "bytes_to_broker=0", "listener=\"default\""] {
        assert!(line.contains(part), "{part}: {line}");
    }

    socket.listen(128).unwrap();
    let broker = TcpListener::from(socket);
    broker.set_nonblocking(true).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    let (mut client, mut served) = loop {
        let client = proxy.connect();
        client.set_nonblocking(true).unwrap();
        // Either the broker sees the connection, or the client its end.
        let served = loop {
            match (broker.accept(), client.peek(&mut [0])) {
                (Ok((served, _)), _) => break Some(served),
                (Err(_), Err(error)) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                (Err(_), _) => break None,
            }
        };
        if let Some(served) = served {
            break (client, served);
        }
        assert!(std::time::Instant::now() < deadline, "the proxy never dials again");
    };
    client.set_nonblocking(false).unwrap();
    served.set_nonblocking(false).unwrap();
    request(&mut client, &mut served);
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let (broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &[]);
    let mut client = proxy.connect();
    let mut served = accept(&broker);
    request(&mut client, &mut served);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(end_of(&served), Ok(()));
    respond(&mut served, &mut client);
    drop(served);
    assert_eq!(end_of(&client), Ok(()));
}

#[test]
fn an_orderly_close_and_a_reset_by_the_broker_are_passed_on_as_what_they_were() {
    let (broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &[]);
    let client = proxy.connect();
    drop(accept(&broker));
    assert_eq!(end_of(&client), Ok(()));

    let mut client = proxy.connect();
    let mut served = accept(&broker);
    // A reset before the proxy knows that it is connected is a broker that cannot be reached.
    request(&mut client, &mut served);
    respond(&mut served, &mut client);
    socket2::SockRef::from(&served).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(served);
    assert_eq!(end_of(&client), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_newcomer_above_connections_max_is_reset_and_the_others_stay() {
    let (broker, upstream) = broker();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("seqgate.toml");
    let text =
        format!("[limits]\nconnections_max = 1\n[[listener]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n");
    std::fs::write(&file, text).unwrap();
    let mut proxy = Proxy::spawn(crate::support::seqgate().args(["run", "-c"]).arg(&file));
    proxy.will_warn(&["connection refused: limits.connections_max"]);
    let mut client = proxy.connect();
    let mut served = accept(&broker);
    assert_eq!(end_of(&proxy.connect()), Err(ErrorKind::ConnectionReset));
    request(&mut client, &mut served);
    respond(&mut served, &mut client);
}

#[test]
fn what_a_client_sends_before_the_broker_accepts_is_not_lost() {
    let (broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &[]);
    let mut client = connect(proxy.address);
    client.write_all(&REQUEST).unwrap();
    let mut served = accept(&broker);
    let mut arrived = [0; REQUEST.len()];
    served.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, REQUEST);
}

#[test]
fn a_listener_outlives_a_lack_of_descriptors() {
    let (broker, upstream) = broker();
    let run = format!("run --listen 127.0.0.1:0 --upstream {upstream}");
    let mut proxy = Proxy::spawn(&mut seqgate_under("ulimit -n 40", &run));
    proxy.will_warn_again(&["Too many open files"]);
    // Keeps whoever comes until it goes.
    std::thread::spawn(move || {
        for mut served in broker.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                while served.read_exact(&mut [0; REQUEST.len()]).is_ok() {
                    served.write_all(&RESPONSE).ok();
                }
            });
        }
    });
    // One that is reset at once may hear of it while it connects.
    let connect = || {
        let client = TcpStream::connect(proxy.address)?;
        client.set_read_timeout(Some(PATIENCE))?;
        Ok::<_, std::io::Error>(client)
    };
    let clients: Vec<_> = (0..60).map(|_| connect()).collect();
    proxy.wait_for_log("Too many open files");
    drop(clients);
    let deadline = std::time::Instant::now() + PATIENCE;
    // Until descriptors are free again, newcomers are reset.
    let served = || {
        let mut client = connect()?;
        client.write_all(&REQUEST)?;
        client.read_exact(&mut [0; RESPONSE.len()])
    };
    while served().is_err() {
        assert!(std::time::Instant::now() < deadline, "the listener does not come back");
    }
}

#[test]
fn the_kernel_watches_over_both_sides_of_a_connection() {
    let (broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &[]);
    let mut client = proxy.connect();
    let mut served = accept(&broker);
    request(&mut client, &mut served);
    respond(&mut served, &mut client);
    let accepted = (proxy.address, client.local_addr().unwrap());
    let dialled = (served.peer_addr().unwrap(), upstream);
    let deadline = std::time::Instant::now() + PATIENCE;
    // Once all is acknowledged, the timer that runs on a socket is that of keepalive, or none.
    while [accepted, dialled].map(|(local, remote)| timer(local, remote)) != [KEEPALIVE; 2] {
        assert!(std::time::Instant::now() < deadline, "no keepalive: {}", std::fs::read_to_string(SOCKETS).unwrap());
        std::thread::yield_now();
    }
    // The other end of the same connection, which is the test's own, has none.
    assert_ne!(timer(accepted.1, accepted.0), KEEPALIVE);
}

/// Every socket of this machine, as the kernel lists them.
const SOCKETS: &str = "/proc/net/tcp";
const KEEPALIVE: Option<u8> = Some(2);

/// Which timer runs on a socket.
fn timer(local: SocketAddr, remote: SocketAddr) -> Option<u8> {
    let shown = |address: SocketAddr| {
        let SocketAddr::V4(address) = address else { panic!("{address}") };
        format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
    };
    let sockets = std::fs::read_to_string(SOCKETS).unwrap();
    let mut rows = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| (row[1], row[2]) == (&shown(local), &shown(remote)))?;
    row[5].split(':').next()?.parse().ok()
}
