//! What happens in the middle of a step of one connection's pumps, which are polled by hand: no ticket is lost when the
//! connection ends there, and nothing of a step that is dropped.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use seqgate_protocol::event::{Event, HeldFor};
use seqgate_protocol::sequencing::{ConnectionId, ProducerEpoch, ProducerId, Sequence};
use seqgate_protocol::session::{Admission, Present, Session, Settled};
use seqgate_protocol::wire::head::ApiKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::cluster::ClusterRef;
use super::fifo::{Expected, Owed};
use super::link::Sides;
use super::*;
use crate::config::{Config, HostPort};
use crate::runtime::{Drain, Upstream};
use crate::sandbox::batch::{self, BatchContent};

const CORRELATION_ID: i32 = 1;

/// A connection, and who speaks to it from both sides.
struct Scene {
    link: Link,
    sides: Sides,
    client: TcpStream,
    broker: TcpStream,
}

impl Scene {
    async fn new() -> Self {
        let (client, to_client) = pair().await;
        let (broker, upstream) = pair().await;
        let config = Config::pipe(HostPort::new("127.0.0.1", 0), HostPort::new("127.0.0.1", 1));
        let at = client.local_addr().unwrap();
        let to = Arc::new(Upstream::new(HostPort::new("127.0.0.1", 1)));
        let listener = Arc::new(Listener::new(&config.listeners[0], at, to));
        let (runtime, _queue) = Runtime::new(config, Vec::new());
        let record = Arc::new(ConnectionRecord::new(1, Arc::clone(&listener), at));
        let connection = Connection { id: 1, client: to_client, client_addr: at, upstream, listener, record };
        let (link, sides) = Link::new(connection, Arc::new(runtime));
        link.place.serves_without_sasl.store(true, std::sync::atomic::Ordering::Relaxed);
        Self { link, sides, client, broker }
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (one.unwrap(), other.unwrap().0)
}

/// A request of version 7 for partition 0 of `t`: no client id, no transaction, acks of all.
fn produce(producer: i64, base: i32) -> Vec<u8> {
    let batch = batch::encode(BatchContent {
        producer_id: ProducerId::new(producer),
        epoch: ProducerEpoch::new(0),
        base_sequence: Sequence::new(base).unwrap(),
        timestamp_ms: 0,
        values: &[Bytes::from_static(b"value")],
    });
    let mut frame = vec![0, 0, 0, 7];
    frame.extend(CORRELATION_ID.to_be_bytes());
    frame.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
    frame.extend(i32::try_from(batch.len()).unwrap().to_be_bytes());
    frame.extend(batch);
    framed(frame)
}

fn produced(error: i16) -> Vec<u8> {
    let mut frame = CORRELATION_ID.to_be_bytes().to_vec();
    frame.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
    frame.extend(error.to_be_bytes());
    let (base_offset, append_time, log_start) = (if error == 0 { 10_i64 } else { -1 }, -1_i64, 0_i64);
    [base_offset, append_time, log_start].iter().for_each(|it| frame.extend(it.to_be_bytes()));
    frame.extend([0; 4]);
    framed(frame)
}

fn framed(frame: Vec<u8>) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat()
}

/// How many batches are in flight, as far as is known.
fn in_flight(link: &Link) -> u32 {
    let mut in_flight = 0;
    link.cluster().report(link.runtime.shared.now(), |report| {
        in_flight += u32::from(report.pending);
        true
    });
    in_flight
}

/// Polls once; nothing but that makes it go on.
async fn poll<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_ready())).await
}

/// Polls until it has come to something.
async fn poll_until<F: Future + Unpin>(future: &mut F, reached: impl Fn() -> bool) {
    while !reached() {
        assert!(!poll(future).await, "it has ended");
        yield_now().await;
    }
}

/// The client takes nothing, so what the broker has said waits for it.
#[tokio::test]
async fn a_refusal_that_waits_for_the_client_is_settled_when_the_connection_ends() {
    let Scene { link, sides, client: _takes_nothing, mut broker } = Scene::new().await;
    let present = Present { may_look: true, ..link.present() };
    let admission = link.session().admit(&produce(7, 0), false, &present, &mut |_: Event<'_>| {});
    let Admission::Forward(Some(pending)) = admission else { panic!("{admission:?}") };
    let to_client = link.client().unwrap();
    for _ in 0..100 {
        while to_client.try_write(&[0; 65_536]).is_ok() {}
        yield_now().await;
    }
    let (expected, due) = fifo::queue(64);
    expected.try_send(Expected::Pass { correlation_id: 0, api: ApiKey::FETCH }).unwrap();
    expected.try_send(Expected::Settle(Owed::new(&link, pending, std::time::Instant::now()))).unwrap();
    let before = framed(vec![0; 1_000]);
    tokio::io::AsyncWriteExt::write_all(&mut broker, &[before, produced(45)].concat()).await.unwrap();
    {
        let mut down = pin!(Downlink::new(&link, sides.from_broker, due).run());
        poll_until(&mut down, || link.totals().responses == 2).await;
        assert_eq!(in_flight(&link), 1);
    }
    assert_eq!(in_flight(&link), 0);
}

/// Which of them is seen first is chosen by chance.
#[tokio::test]
async fn a_batch_whose_turn_has_come_goes_before_anything_is_looked_up() {
    for _ in 0..32 {
        let Scene { link, sides, client, broker: _says_nothing } = Scene::new().await;
        // The producer's first batch is at the broker, over another connection.
        let mut other = Session::new(ConnectionId(77), ClusterRef(link.cluster()));
        let present = Present { may_look: true, guards: true, ..link.present() };
        let admission = other.admit(&produce(7, 0), false, &present, &mut |_: Event<'_>| {});
        let Admission::Forward(Some(first)) = admission else { panic!("{admission:?}") };
        let admission = other.admit(&produce(9, 5), false, &present, &mut |_: Event<'_>| {});
        let Admission::Look(look_ups) = admission else { panic!("{admission:?}") };
        let drain = Drain::new();
        let signal = drain.signal();
        let (expected, due) = fifo::queue(64);
        {
            let mut up = pin!(Uplink::new(&link, sides.from_client, &sides.broker, expected, &signal).run());
            client.try_write(&produce(7, 1)).unwrap();
            poll_until(&mut up, || link.runtime.metrics.held.count(HeldFor::FirstBatch) == 1).await;
            let now = link.runtime.shared.now();
            let settled = other.settle(first, &produced(0), now, &mut |_: Event<'_>| {});
            assert!(matches!(settled, Settled::Unchanged) && in_flight(&link) == 0);
            // It is told, and lets the others have their turn.
            poll(&mut up).await;
            let _looked = link.wish(look_ups, Instant::now() + Duration::from_secs(60));
            poll(&mut up).await;
        }
        drop(due);
        assert_eq!(in_flight(&link), 0);
    }
}

/// How many producers are known.
fn known(link: &Link) -> usize {
    let mut known = 0;
    link.cluster().report(link.runtime.shared.now(), |_| {
        known += 1;
        true
    });
    known
}

/// The deadline of an answer that is kept back comes while another look's answer is taken in.
#[tokio::test]
async fn what_a_look_has_found_is_not_lost_when_an_answer_that_is_kept_back_goes() {
    const OTHERS: i64 = 2_500;
    let Scene { link, sides, client: _client, mut broker } = Scene::new().await;
    let present = Present { may_look: true, ..link.present() };
    let admission = link.session().admit(&produce(7, 0), false, &present, &mut |_: Event<'_>| {});
    let Admission::Forward(Some(pending)) = admission else { panic!("{admission:?}") };
    let admission = link.session().admit(&produce(9, 5), false, &present, &mut |_: Event<'_>| {});
    let Admission::Look(mut look_ups) = admission else { panic!("{admission:?}") };
    let mut look = Box::new(look_ups.pop().unwrap());
    let topic = [0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let offset = [&1_u32.to_be_bytes()[..], &[0; 4], &topic, &0_i64.to_be_bytes(), &0_i64.to_be_bytes()].concat();
    look.request(1).unwrap();
    look.feed(&offset);
    assert!(!link.session().end_answer(&mut look, link.runtime.shared.now()));
    look.request(2).unwrap();
    let record = |n: i64| {
        let (producer, base) = if n == OTHERS { (9, 5) } else { (1_000 + n, 0) };
        let mut batch = batch::encode(BatchContent {
            producer_id: ProducerId::new(producer),
            epoch: ProducerEpoch::new(0),
            base_sequence: Sequence::new(base).unwrap(),
            timestamp_ms: 0,
            values: &[Bytes::from_static(b"value")],
        })
        .to_vec();
        batch[..8].copy_from_slice(&n.to_be_bytes());
        batch
    };
    let records: Vec<u8> = (0..=OTHERS).flat_map(record).collect();
    let end = (OTHERS + 1).to_be_bytes();
    let length = u32::try_from(records.len()).unwrap().to_be_bytes();
    let shown =
        [&2_u32.to_be_bytes()[..], &[0; 4], &topic, &end, &end, &[0; 8], &[0xff; 4], &length, &records].concat();
    let (expected, due) = fifo::queue(64);
    let (back, mut answer) = tokio::sync::oneshot::channel();
    expected.try_send(Expected::Settle(Owed::new(&link, pending, std::time::Instant::now()))).unwrap();
    expected.try_send(Expected::Own(Box::new(fifo::Own::new(&link, 2, look, back)))).unwrap();
    let said = [produced(45), framed(shown)].concat();
    let broker = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut broker, &said).await.unwrap();
        broker
    });
    let mut down = pin!(Downlink::new(&link, sides.from_broker, due).run());
    poll_until(&mut down, || known(&link) > 1_000).await;
    assert!(known(&link) < 2_000, "{} in part", known(&link));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    for _ in 0..20 {
        assert!(!poll(&mut down).await, "it goes on");
        yield_now().await;
    }
    let look = answer.try_recv().expect("its answer has been read to the end");
    assert!(look.place().is_some(), "{:?}", look.outcome());
    drop(broker);
}
