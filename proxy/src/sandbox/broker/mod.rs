//! A Kafka-like broker of one node: real sockets, Kafka's rules for idempotent producers, logs in memory.
//!
//! Left out: transactions, groups, replication, quotas, security, compression and disks.

mod api;
mod cluster;
mod counters;
pub mod log;
mod partition;
pub mod producers;
mod request;
mod server;
mod shape;
mod shared;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
pub use counters::BrokerCounters;
use shared::Shared;

use crate::sandbox::acceptor::Acceptor;
use crate::sandbox::batch;

/// How a sandbox broker is set up.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Where to listen; port 0 takes a free one, and keeps it over restarts.
    pub listen: SocketAddr,
    /// What Metadata tells clients to dial; the listener's address when `None`.
    pub advertised: Option<SocketAddr>,
    /// The cluster's id.
    pub cluster_id: String,
    /// How many partitions a new topic has.
    pub partitions: i32,
    /// Whether Metadata makes the topics it is asked for.
    pub auto_create_topics: bool,
    /// The first producer id handed out.
    pub first_producer_id: i64,
    /// The largest batch: `max.message.bytes`.
    pub batch_bytes_max: usize,
    /// What one partition's log keeps.
    pub log_bytes_max: usize,
    /// How many topics there may be.
    pub topics_max: usize,
    /// How many producers a partition remembers.
    pub producers_max: usize,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertised: None,
            cluster_id: "seqgate-sandbox".to_owned(),
            partitions: 1,
            auto_create_topics: true,
            first_producer_id: 1_000,
            batch_bytes_max: 1_048_588,
            log_bytes_max: 64 * 1024 * 1024,
            topics_max: 1_000,
            producers_max: 100_000,
        }
    }
}

/// A record in a partition's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRecord {
    /// Its offset.
    pub offset: i64,
    /// The producer id of its batch.
    pub producer_id: i64,
    /// The epoch of its batch.
    pub epoch: i16,
    /// Its value.
    pub value: Bytes,
}

/// A running broker, or a stopped one that can be started again with its logs.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<Acceptor>,
}

impl Broker {
    /// Starts a broker with empty logs.
    pub async fn start(config: BrokerConfig) -> io::Result<Self> {
        let listen = config.listen;
        let mut broker = Self { shared: Arc::new(Shared::new(config)), address: listen, acceptor: None };
        broker.listen().await?;
        Ok(broker)
    }

    /// Stops if need be, then serves again at the same address: the logs are whole, and of each producer its last batch
    /// is remembered, as after a clean restart of a real broker.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop().await;
        self.shared.with(|cluster| cluster.each_partition().for_each(|partition| partition.producers.restart()));
        self.listen().await
    }

    /// Closes the listener and resets every connection.
    pub async fn stop(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.stop().await;
        }
    }

    /// Where it listens, or did before it was stopped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done since it was first started.
    #[must_use]
    pub fn counters(&self) -> BrokerCounters {
        self.shared.counters.read()
    }

    /// Lets answers to Produce wait, or go on; batches are appended all the same.
    pub fn hold_answers(&self, hold: bool) {
        self.shared.held.send_replace(hold);
    }

    /// Sets what Metadata tells clients to dial from now on; the listener's address when `None`.
    pub fn advertise(&self, address: Option<SocketAddr>) {
        self.shared.advertised.send_replace(address);
    }

    /// Makes a topic; `false` when the name cannot be one or there are too many. One that exists stays as it is.
    pub fn create_topic(&self, name: &str) -> bool {
        self.shared.with(|cluster| cluster.create(name, &self.shared.config).is_ok())
    }

    /// Deletes a topic and its records; `false` when there is none.
    pub fn delete_topic(&self, name: &str) -> bool {
        self.shared.with(|cluster| cluster.delete(name))
    }

    /// Forgets the records before `offset`; what is remembered of producers stays.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        self.shared.with(|cluster| {
            if let Some(partition) = cluster.partition(topic, partition) {
                partition.log.delete_before(offset);
            }
        });
    }

    /// Forgets producers whose newest record is `expiration_ms` older than `now_ms`, as brokers do every ten minutes.
    pub fn expire_producers(&self, now_ms: i64, expiration_ms: i64) {
        self.shared.with(|cluster| {
            cluster.each_partition().for_each(|partition| partition.producers.expire(now_ms, expiration_ms));
        });
    }

    /// The records in a partition's log that are not compressed, in order; empty for a partition that does not exist.
    #[must_use]
    pub fn records(&self, topic: &str, partition: i32) -> Vec<LoggedRecord> {
        self.shared.with(|cluster| {
            let partition = cluster.partition(topic, partition);
            partition.map_or_else(Vec::new, |partition| partition.log.batches().flat_map(logged).collect())
        })
    }

    async fn listen(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let serve = move |stream, stopping| server::serve(stream, Arc::clone(&shared), stopping);
        let acceptor = Acceptor::bind(self.address, serve).await?;
        self.address = acceptor.address();
        self.acceptor = Some(acceptor);
        self.shared.listening.send_replace(self.address);
        Ok(())
    }
}

fn logged(stored: &log::StoredBatch) -> impl Iterator<Item = LoggedRecord> + use<> {
    let header = stored.header;
    let values = batch::values(&stored.bytes).unwrap_or_default();
    (header.base_offset..).zip(values).map(move |(offset, value)| LoggedRecord {
        offset,
        producer_id: header.producer_id,
        epoch: header.epoch,
        value,
    })
}
