//! What every scene stands on: broker, proxy, the two relays and the producer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;

use super::report::{SceneReport, judge};
use super::{Progress, RunningProxy, SceneConfig, StartProxy, Via};
use crate::sandbox::broker::{Broker, BrokerConfig};
use crate::sandbox::producer::{Producer, ProducerConfig};
use crate::sandbox::reader;
use crate::sandbox::relay::{Relay, RelayConfig};

/// About so many batches make a scene, however many records it has.
const BATCHES: usize = 100;

/// For longer no scene lasts.
pub(super) const SCENE_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Stage<P> {
    via: Via,
    topic: String,
    partition: i32,
    /// The sandbox's broker, unless a real one is used.
    pub(super) broker: Option<Broker>,
    broker_address: SocketAddr,
    counting: Relay,
    proxy: Option<P>,
    /// Between the producer and whatever comes next.
    pub(super) trouble: Relay,
    pub(super) producer: Producer,
    values: Vec<Bytes>,
    batches: usize,
}

impl<P: RunningProxy> Stage<P> {
    /// Sets everything up; `lost_percent` of the acknowledgements will get lost.
    pub(super) async fn set<S: StartProxy<Proxy = P>>(
        config: &SceneConfig,
        via: Via,
        start_proxy: &S,
        lost_percent: u8,
    ) -> anyhow::Result<Self> {
        let (broker, broker_address) = broker(config.bootstrap).await?;
        let counting = relay(broker_address, config.seed, 0).await?;
        let proxy = match via {
            Via::Direct => None,
            Via::Seqgate => Some(start_proxy.start(counting.address()).await.context("starting the proxy")?),
        };
        let next = proxy.as_ref().map_or(counting.address(), RunningProxy::address);
        let trouble = relay(next, config.seed, lost_percent).await?;
        let batch_records = config.records.div_ceil(BATCHES).max(1);
        let producer = ProducerConfig {
            partition: config.partition,
            batch_records,
            timestamp_ms: config.timestamp_ms,
            ..ProducerConfig::new(trouble.address(), &config.topic)
        };
        Ok(Self {
            via,
            topic: config.topic.clone(),
            partition: config.partition,
            broker,
            broker_address,
            counting,
            proxy,
            trouble,
            producer: Producer::new(producer),
            values: (0..config.records).map(|record| Bytes::from(format!("record {record}"))).collect(),
            batches: config.records.div_ceil(batch_records),
        })
    }

    /// How many batches the records make.
    pub(super) fn batches(&self) -> usize {
        self.batches
    }

    /// Hands the records to the producer.
    pub(super) fn queue(&mut self, records: std::ops::Range<usize>) {
        self.values[records].iter().for_each(|value| self.producer.send(value.clone()));
    }

    /// Sends until all is settled, telling `progress` on the way.
    pub(super) async fn flush(producer: &mut Producer, progress: Progress<'_>) -> anyhow::Result<()> {
        let acknowledged = producer.acknowledged();
        let mut changes = acknowledged.clone();
        let told = async {
            while changes.changed().await.is_ok() {
                progress(*changes.borrow_and_update());
            }
            // The producer outlives this: its end is the other branch's to see.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            flushed = producer.flush() => flushed?,
            () = told => {}
        }
        // What came last may not have been told, as the end is looked at first or last by chance.
        progress(*acknowledged.borrow());
        Ok(())
    }

    /// Reads the log back, ends everything and reports.
    pub(super) async fn strike(self, gaps_made: u64) -> anyhow::Result<SceneReport> {
        let read =
            reader::values(self.broker_address, &self.topic, self.partition).await.context("reading the topic back")?;
        let judged = judge(&self.values, &read);
        let produced = self.producer.report();
        let counters = self.proxy.as_ref().map(RunningProxy::counters).unwrap_or_default();
        // A batch behind a gap is refused, and so it comes once more without being a duplicate.
        let new = produced.batches + gaps_made;
        let report = SceneReport {
            via: self.via,
            sent: self.values.len(),
            acknowledged: produced.acknowledged(),
            retried: produced.retries,
            answered_by_proxy: counters.answered,
            duplicates_at_broker: self.counting.produce_requests().saturating_sub(new),
            gaps_made,
            gaps_flagged: counters.gaps,
            in_log: judged.in_log,
            doubled: judged.doubled,
            lost: judged.lost,
        };
        self.end().await;
        Ok(report)
    }

    async fn end(self) {
        self.trouble.stop().await;
        if let Some(proxy) = self.proxy {
            proxy.stop().await;
        }
        self.counting.stop().await;
        if let Some(mut broker) = self.broker {
            broker.stop().await;
        }
    }
}

/// The broker at `address`, or one of the sandbox's.
async fn broker(address: Option<SocketAddr>) -> anyhow::Result<(Option<Broker>, SocketAddr)> {
    if let Some(address) = address {
        return Ok((None, address));
    }
    let broker = Broker::start(BrokerConfig::default()).await.context("starting the sandbox's broker")?;
    let address = broker.address();
    Ok((Some(broker), address))
}

async fn relay(upstream: SocketAddr, seed: u64, lost_percent: u8) -> anyhow::Result<Relay> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Relay::start(RelayConfig { listen, upstream, seed, lost_percent }).await.context("starting a relay")
}
