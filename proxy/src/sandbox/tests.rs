//! The producer against the broker, with the trouble in between that real ones have.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;

use super::broker::{Broker, BrokerConfig};
use super::producer::{Fate, Producer, ProducerConfig, ProducerReport};
use super::relay::{Relay, RelayConfig};

const TOPIC: &str = "events";

async fn broker() -> Broker {
    Broker::start(BrokerConfig::default()).await.expect("listens")
}

async fn relay(upstream: SocketAddr, seed: u64, lost_percent: u8) -> Relay {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Relay::start(RelayConfig { listen, upstream, seed, lost_percent }).await.expect("listens")
}

fn producer(bootstrap: SocketAddr, records: usize) -> Producer {
    let mut producer = Producer::new(ProducerConfig::new(bootstrap, TOPIC));
    (0..records).for_each(|record| producer.send(Bytes::from(format!("record {record}"))));
    producer
}

/// How often each value stands in the log.
fn counted(broker: &Broker) -> BTreeMap<Bytes, usize> {
    let mut counted = BTreeMap::new();
    for record in broker.records(TOPIC, 0) {
        *counted.entry(record.value).or_default() += 1;
    }
    counted
}

/// Every acknowledged offset holds the record it was told for.
fn assert_offsets_are_true(broker: &Broker, report: &ProducerReport) {
    let log = broker.records(TOPIC, 0);
    for (record, fate) in report.fates.iter().enumerate() {
        let Fate::Acknowledged(Some(offset)) = fate else { panic!("record {record}: {fate:?}") };
        let stored = log.iter().find(|stored| stored.offset == *offset).expect("the offset is in the log");
        assert_eq!(stored.value, format!("record {record}"));
    }
}

#[tokio::test]
async fn records_arrive_once_and_in_order() {
    let broker = broker().await;
    for produce_version_max in [3, 8, 9, 12, 13] {
        let topic = format!("v{produce_version_max}");
        let config =
            ProducerConfig { produce_version_max, batch_records: 3, ..ProducerConfig::new(broker.address(), &topic) };
        let mut producer = Producer::new(config);
        let values: Vec<Bytes> = (0..10).map(|record| Bytes::from(format!("record {record}"))).collect();
        values.iter().for_each(|value| producer.send(value.clone()));
        producer.flush().await.expect("delivered");
        let stored: Vec<Bytes> = broker.records(&topic, 0).into_iter().map(|record| record.value).collect();
        assert_eq!(stored, values);
        let offsets: Vec<Fate> = (0..10).map(|offset| Fate::Acknowledged(Some(offset))).collect();
        assert_eq!(producer.report().fates, offsets);
    }
}

#[tokio::test]
async fn lost_acknowledgements_double_nothing() {
    for seed in 0..5 {
        let broker = broker().await;
        let relay = relay(broker.address(), seed, 20).await;
        let mut producer = producer(relay.address(), 60);
        producer.flush().await.expect("delivered");
        let report = producer.report();
        assert!(relay.lost() > 0 && report.retries > 0, "seed {seed}: {report:?}");
        assert_eq!(report.epoch_bumps, 0, "seed {seed}: the broker remembers five batches");
        assert_eq!(counted(&broker).len(), 60, "seed {seed}");
        assert!(counted(&broker).values().all(|count| *count == 1), "seed {seed}");
        assert_offsets_are_true(&broker, &report);
    }
}

/// What befalls five stored batches whose answers are kept back until the broker has been restarted.
async fn restart_under(broker: &mut Broker, relay: &Relay, producer: &mut Producer) {
    relay.hold_answers(true);
    let trouble = async {
        relay.held(5).await;
        broker.restart().await.expect("listens again");
        relay.cut();
    };
    let (flushed, ()) = tokio::join!(producer.flush(), trouble);
    flushed.expect("delivered");
}

#[tokio::test]
async fn a_restart_under_five_unacknowledged_batches_doubles_them_as_with_real_kafka() {
    let mut broker = broker().await;
    let relay = relay(broker.address(), 0, 0).await;
    let mut producer = producer(relay.address(), 12);
    restart_under(&mut broker, &relay, &mut producer).await;
    let report = producer.report();
    assert_eq!((report.acknowledged(), report.epoch_bumps), (12, 1));
    let doubled = counted(&broker).into_values().filter(|count| *count == 2).count();
    assert_eq!(doubled, 5);
    assert_offsets_are_true(&broker, &report);
}

#[tokio::test]
async fn a_restart_under_one_unacknowledged_batch_doubles_nothing() {
    let mut broker = broker().await;
    let relay = relay(broker.address(), 0, 0).await;
    let mut producer = producer(relay.address(), 1);
    relay.hold_answers(true);
    let trouble = async {
        relay.held(1).await;
        broker.restart().await.expect("listens again");
        relay.cut();
    };
    let (flushed, ()) = tokio::join!(producer.flush(), trouble);
    flushed.expect("delivered");
    assert_eq!(broker.records(TOPIC, 0).len(), 1);
    assert_eq!(broker.counters().duplicates, 1);
}

#[tokio::test]
async fn skipped_sequences_are_refused_and_sent_again_in_a_new_epoch() {
    let broker = broker().await;
    let mut producer = producer(broker.address(), 3);
    producer.flush().await.expect("delivered");
    producer.skip_sequences(4);
    producer.send(Bytes::from_static(b"record 3"));
    producer.flush().await.expect("delivered");
    assert_eq!(broker.counters().out_of_order, 1);
    assert_eq!(producer.report().epoch_bumps, 1);
    assert_eq!(broker.records(TOPIC, 0).iter().map(|record| record.epoch).collect::<Vec<_>>(), [0, 0, 0, 1]);
    assert_offsets_are_true(&broker, &producer.report());
}

#[tokio::test]
async fn an_expired_producer_doubles_what_it_sends_again() {
    let broker = broker().await;
    let relay = relay(broker.address(), 0, 0).await;
    let mut producer = producer(relay.address(), 2);
    relay.hold_answers(true);
    let trouble = async {
        relay.held(2).await;
        broker.expire_producers(1_000, 1_000);
        relay.cut();
    };
    let (flushed, ()) = tokio::join!(producer.flush(), trouble);
    flushed.expect("delivered");
    assert!(counted(&broker).values().all(|count| *count == 2));
}

#[tokio::test]
async fn answers_that_the_broker_holds_come_when_it_lets_them() {
    let broker = broker().await;
    let mut producer = producer(broker.address(), 1);
    broker.hold_answers(true);
    let (flushed, ()) = tokio::join!(producer.flush(), async {
        while broker.counters().batches_appended == 0 {
            tokio::task::yield_now().await;
        }
        broker.hold_answers(false);
    });
    flushed.expect("delivered");
    assert_eq!(producer.report().retries, 0);
}

#[tokio::test]
async fn a_broker_that_is_gone_is_told_apart_from_a_slow_one() {
    let mut broker = broker().await;
    broker.stop().await;
    let config = ProducerConfig {
        delivery_timeout: std::time::Duration::from_millis(50),
        ..ProducerConfig::new(broker.address(), TOPIC)
    };
    let mut producer = Producer::new(config);
    producer.send(Bytes::from_static(b"record 0"));
    let error = producer.flush().await.expect_err("nobody listens");
    assert_eq!(error.to_string(), "no acknowledgement for 50 ms, 1 records pending");
}
