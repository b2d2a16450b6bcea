//! A produce request of one partition, in order, costs no allocation: not when it is read, not when it is decided
//! on, not when it is settled. None costs more than its bytes are worth.

#[path = "../benches/support/mod.rs"]
mod support;

use allocation_counter::measure;
use seqgate_protocol::sequencing::{ConnectionId, TopicId};
use seqgate_protocol::session::{Admission, Ledger, Policy, Present, Session, Settled, Streamed};

use support::frames::{RECORDS, Request, Response, TOPIC_ID, batch};
use support::single::{NOW, Single, admit, present};

/// Requests before the measured ones: the window has grown to its full size by then.
const WARM_UP: i32 = 100;
const MEASURED: i32 = 1_000;

/// A connection that sends one request after the other and has each answered.
struct Client {
    session: Session<Single>,
    request: Request,
    response: Response,
    sent: i32,
}

impl Client {
    fn new(version: i16) -> Self {
        let session = Session::new(ConnectionId(0), Single::default());
        Self { session, request: Request::one(version), response: Response::new(version, &[0]), sent: 0 }
    }

    fn send(&mut self, count: i32) {
        for _ in 0..count {
            self.request.set_batches(7, self.sent * RECORDS);
            self.request.set_correlation_id(self.sent);
            self.response.set(self.sent, i64::from(self.sent * RECORDS));
            self.sent += 1;
            let pending = admit(&mut self.session, &self.request.frame);
            let settled = self.session.settle(pending, &self.response.frame, NOW, &mut |_| {});
            assert!(matches!(settled, Settled::Unchanged));
        }
    }
}

#[test]
fn a_request_in_order_costs_no_allocation() {
    for version in [9, 13] {
        let mut client = Client::new(version);
        client.send(WARM_UP);
        let allocated = measure(|| client.send(MEASURED));
        assert_eq!((allocated.count_total, allocated.bytes_total), (0, 0), "v{version}");
    }
}

#[test]
fn five_requests_in_flight_cost_no_allocation() {
    const IN_FLIGHT: i32 = 5;
    let mut client = Client::new(9);
    client.send(WARM_UP);
    let flight = |client: &mut Client| {
        let pending: [_; IN_FLIGHT as usize] = std::array::from_fn(|_| {
            client.request.set_batches(7, client.sent * RECORDS);
            client.request.set_correlation_id(client.sent);
            client.sent += 1;
            admit(&mut client.session, &client.request.frame)
        });
        for pending in pending {
            client.response.set(pending.correlation_id(), i64::from(pending.correlation_id() * RECORDS));
            let settled = client.session.settle(pending, &client.response.frame, NOW, &mut |_| {});
            assert!(matches!(settled, Settled::Unchanged));
        }
    };
    flight(&mut client);
    let allocated = measure(|| (0..MEASURED / IN_FLIGHT).for_each(|_| flight(&mut client)));
    assert_eq!((allocated.count_total, allocated.bytes_total), (0, 0));
}

/// One long name may stand ahead of very many partitions: nothing of it is copied, or read, for each of them.
#[test]
fn a_long_name_is_not_copied_for_every_partition() {
    const NAME_BYTES: i16 = 32_000;
    const PARTITIONS: i32 = 50_000;
    let mut frame = vec![0; 4];
    frame.extend([0, 0, 0, 3, 0, 0, 0, 9, 0xff, 0xff]);
    frame.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0x75, 0x30, 0, 0, 0, 1]);
    frame.extend(NAME_BYTES.to_be_bytes());
    frame.resize(frame.len() + NAME_BYTES as usize, b'x');
    frame.extend(PARTITIONS.to_be_bytes());
    for partition in 0..PARTITIONS {
        frame.extend(partition.to_be_bytes());
        frame.extend((-1_i32).to_be_bytes());
    }
    let size = i32::try_from(frame.len() - 4).expect("a frame");
    frame[..4].copy_from_slice(&size.to_be_bytes());
    let mut session = Session::new(ConnectionId(0), Single::default());
    let allocated = measure(|| {
        let admission = session.admit(&frame, false, &present(), &mut |_| {});
        let Admission::Stream(mut streamed) = admission else { panic!("{admission:?}") };
        assert!(session.stream(&mut streamed, &frame, &present(), &mut |_| {}));
        let pending = session.end_stream(*streamed, &present()).expect("an answer will come");
        session.abandon(pending, NOW);
    });
    assert!(allocated.bytes_total < 10 << 20, "{} bytes for a frame of {size}", allocated.bytes_total);
}

/// What is counted is what happens: the answer to a duplicate is a frame of its own.
#[test]
fn an_answer_made_here_is_counted() {
    let mut client = Client::new(9);
    client.send(WARM_UP);
    let allocated = measure(|| {
        let admission = client.session.admit(&client.request.frame, false, &present(), &mut |_| {});
        assert!(matches!(admission, Admission::Answer(_)));
    });
    assert!(allocated.count_total > 0);
}

/// What a request of several partitions leaves until its answer has gone.
struct Wide {
    version: i16,
    session: Session<Single>,
    request: Request,
}

impl Wide {
    const PARTITIONS: i32 = 40;

    /// The first `acknowledged` partitions have had their batch already.
    fn new(version: i16, acknowledged: i32) -> Self {
        let ledger = Single::default();
        ledger.directory(|directory| _ = directory.learn(&[b'x'; 249], TopicId(TOPIC_ID)));
        let mut session = Session::new(ConnectionId(0), ledger);
        if acknowledged > 0 {
            let pending = admit(&mut session, &Self::over(version, acknowledged).frame);
            let response = Response::new(version, &(0..acknowledged).collect::<Vec<_>>());
            let settled = session.settle(pending, &response.frame, NOW, &mut |_| {});
            assert!(matches!(settled, Settled::Unchanged));
        }
        Self { version, session, request: Self::over(version, Self::PARTITIONS) }
    }

    fn over(version: i16, partitions: i32) -> Request {
        Request::new(version, 0, &vec![batch(1, 10, 7, 0); partitions as usize])
    }

    fn admit(&mut self) -> Admission {
        self.session.admit(&self.request.frame, false, &present(), &mut |_| {})
    }

    /// It passes in pieces.
    fn stream(&mut self) -> Streamed {
        let size = u32::try_from(self.request.frame.len() - 4).expect("a frame");
        let mut streamed = self.session.begin_stream(&self.request.frame, size, &mut |_| {}).expect("a request");
        let piece = &self.request.frame[..self.request.frame.len() - 20];
        assert!(self.session.stream(&mut streamed, piece, &present(), &mut |_| {}));
        streamed
    }
}

/// `memory_max` is held by what is said of each of these: with the value itself, which some do not count.
#[test]
fn what_is_kept_until_an_answer_has_gone_takes_what_it_is_said_to_take() {
    for version in [9, 13] {
        let pending = Wide::new(version, 0).admit();
        let Admission::Forward(Some(pending)) = pending else { panic!("{pending:?}") };
        is_about(pending.bytes() - size_of_val(&pending), freed_by(pending));

        let local = Wide::new(version, Wide::PARTITIONS).admit();
        let Admission::Answer(local) = local else { panic!("{local:?}") };
        is_about(local.bytes() - size_of_val(&local), freed_by(local));

        let stripped = Wide::new(version, Wide::PARTITIONS / 2).admit();
        let Admission::Strip { pending, frame: _ } = stripped else { panic!("{stripped:?}") };
        is_about(pending.bytes() - size_of_val(&pending), freed_by(pending));

        let streamed = Wide::new(version, 0).stream();
        is_about(streamed.bytes(), freed_by(streamed));

        for acknowledged in [0, Wide::PARTITIONS / 2] {
            let mut wide = Wide::new(version, acknowledged);
            let asks = Present { policy: Policy { look_up: true, ..present().policy }, ..present() };
            let admission = wide.session.admit(&wide.request.frame, false, &asks, &mut |_| {});
            let (Admission::Forward(Some(pending)) | Admission::Strip { pending, .. }) = admission else {
                panic!("{admission:?}")
            };
            let mut response = Response::new(wide.version, &(acknowledged..Wide::PARTITIONS).collect::<Vec<_>>());
            (0..(Wide::PARTITIONS - acknowledged) as usize).for_each(|at| response.set_partition(at, 45, -1));
            let settled = wide.session.settle(pending, &response.frame, NOW, &mut |_| {});
            let Settled::Look(unresolved, looks) = settled else { panic!("{settled:?}") };
            is_about(unresolved.bytes(), freed_by((unresolved, looks)));
        }
    }
}

/// Bytes on the heap that go with a value.
fn freed_by<T>(value: T) -> usize {
    usize::try_from(-measure(|| drop(value)).bytes_current).expect("it frees something")
}

#[track_caller]
fn is_about(said: usize, taken: usize) {
    assert!(said.abs_diff(taken) <= taken / 8, "{said} of {taken} bytes");
}
