//! An idempotent producer for one partition, with the habits of Kafka's Java producer: five batches on their way, all of
//! them sent again after a disconnect, and a new epoch where the broker does not accept the oldest.

mod outbox;
mod session;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use outbox::{Attempt, Outbox, Settled};
use session::Session;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::sandbox::batch::{self, BatchContent};

/// How a sandbox producer is set up.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// The address to talk to; what Metadata says is not followed.
    pub bootstrap: SocketAddr,
    /// The client id in its requests.
    pub client_id: String,
    /// Where its records go.
    pub topic: String,
    /// To which partition of it.
    pub partition: i32,
    /// The records of one batch.
    pub batch_records: usize,
    /// How many batches may be on their way: `max.in.flight.requests.per.connection`.
    pub in_flight_max: usize,
    /// The newest version of Produce to speak.
    pub produce_version_max: i16,
    /// How long an answer may take before the connection is given up.
    pub request_timeout: Duration,
    /// How long to wait before a retry.
    pub retry_backoff: Duration,
    /// How long to go on without an acknowledgement.
    pub delivery_timeout: Duration,
    /// The timestamp of the records.
    pub timestamp_ms: i64,
}

impl ProducerConfig {
    /// Java's defaults, with batches of one record and short waits.
    #[must_use]
    pub fn new(bootstrap: SocketAddr, topic: &str) -> Self {
        Self {
            bootstrap,
            client_id: "seqgate-sandbox".to_owned(),
            topic: topic.to_owned(),
            partition: 0,
            batch_records: 1,
            in_flight_max: 5,
            produce_version_max: i16::MAX,
            request_timeout: Duration::from_secs(5),
            retry_backoff: Duration::from_millis(10),
            delivery_timeout: Duration::from_secs(20),
            timestamp_ms: 0,
        }
    }
}

/// Why records are not delivered.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// For longer than the delivery timeout nothing was acknowledged.
    #[error("no acknowledgement for {} ms, {pending} records pending", waited.as_millis())]
    Undelivered {
        /// The delivery timeout.
        waited: Duration,
        /// The records without an answer.
        pending: usize,
        /// What last went wrong with a connection.
        #[source]
        last: Option<io::Error>,
    },
}

/// What is known of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// No answer yet.
    Pending,
    /// Acknowledged, at this offset if the broker told it.
    Acknowledged(Option<i64>),
    /// Given up after this error.
    Failed(i16),
}

/// What a producer has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerReport {
    /// The records in the order they were handed over.
    pub fates: Vec<Fate>,
    /// How many batches were sent, each counted once.
    pub batches: u64,
    /// How many times a batch was sent again.
    pub retries: u64,
    /// How many times the epoch was raised.
    pub epoch_bumps: u64,
    /// How many connections were lost.
    pub disconnects: u64,
}

impl ProducerReport {
    /// How many records were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.fates.iter().filter(|fate| matches!(fate, Fate::Acknowledged(_))).count()
    }
}

/// An idempotent producer.
pub struct Producer {
    config: ProducerConfig,
    outbox: Outbox,
    session: Option<Session>,
    queued: Vec<Bytes>,
    fates: Vec<Fate>,
    acknowledged: watch::Sender<usize>,
    disconnects: u64,
    last_error: Option<io::Error>,
}

impl Producer {
    /// A producer that dials when it has something to send.
    #[must_use]
    pub fn new(config: ProducerConfig) -> Self {
        assert!(config.batch_records > 0, "a batch has one record at least");
        let outbox = Outbox::new(config.in_flight_max);
        Self {
            config,
            outbox,
            session: None,
            queued: Vec::new(),
            fates: Vec::new(),
            acknowledged: watch::Sender::new(0),
            disconnects: 0,
            last_error: None,
        }
    }

    /// Queues a record.
    pub fn send(&mut self, value: Bytes) {
        self.fates.push(Fate::Pending);
        self.queued.push(value);
        if self.queued.len() == self.config.batch_records {
            self.close_batch();
        }
    }

    /// Leaves out sequences before what is sent next: a gap that no correct producer makes. Call it when all that was
    /// queued has been flushed once, as sequences are given when a batch is first sent.
    pub fn skip_sequences(&mut self, count: u32) {
        self.outbox.skip_sequences(count);
    }

    /// Sends until every record has been acknowledged or has failed.
    pub async fn flush(&mut self) -> Result<(), ProducerError> {
        self.close_batch();
        let mut deadline = Instant::now() + self.config.delivery_timeout;
        while !self.outbox.is_empty() {
            let Ok(stepped) = timeout_at(deadline, self.step()).await else {
                self.lose_connection(None);
                return Err(self.undelivered());
            };
            match stepped {
                Ok(true) => deadline = Instant::now() + self.config.delivery_timeout,
                Ok(false) => sleep(self.config.retry_backoff).await,
                Err(error) => {
                    self.lose_connection(Some(error));
                    sleep(self.config.retry_backoff).await;
                }
            }
        }
        Ok(())
    }

    /// How many records have been acknowledged, as it changes.
    #[must_use]
    pub fn acknowledged(&self) -> watch::Receiver<usize> {
        self.acknowledged.subscribe()
    }

    /// What has been done so far.
    #[must_use]
    pub fn report(&self) -> ProducerReport {
        ProducerReport {
            fates: self.fates.clone(),
            batches: self.outbox.batches(),
            retries: self.outbox.retries(),
            epoch_bumps: self.outbox.epoch_bumps(),
            disconnects: self.disconnects,
        }
    }

    fn close_batch(&mut self) {
        if !self.queued.is_empty() {
            let values = std::mem::take(&mut self.queued);
            self.outbox.push(self.fates.len() - values.len(), values);
        }
    }

    /// Sends what may be sent and takes one answer. Returns whether to go on at once.
    async fn step(&mut self) -> io::Result<bool> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(timeout(self.config.request_timeout, Session::open(&self.config)).await??),
        };
        if self.outbox.wants_identity() && session.is_idle() {
            let (id, epoch) = timeout(self.config.request_timeout, session.init_producer_id()).await??;
            self.outbox.identify(id, epoch);
        }
        while let Some(attempt) = self.outbox.next_attempt() {
            let deadline = Instant::now() + self.config.request_timeout;
            session.send(attempt.ticket, encoded(&attempt, self.config.timestamp_ms), deadline).await?;
        }
        let answer = session.receive().await?;
        let settled = self.outbox.settle(answer.ticket, answer.code, answer.offset);
        Ok(self.note(settled))
    }

    fn note(&mut self, settled: Settled) -> bool {
        match settled {
            Settled::Acknowledged { first_record, records, offset } => {
                for (at, fate) in (0..).zip(&mut self.fates[first_record..first_record + records]) {
                    *fate = Fate::Acknowledged(offset.map(|base| base + at));
                }
                self.acknowledged.send_modify(|acknowledged| *acknowledged += records);
                true
            }
            Settled::Failed { first_record, records, code } => {
                self.fates[first_record..first_record + records].fill(Fate::Failed(code));
                true
            }
            Settled::NewEpoch => true,
            Settled::Retry => false,
        }
    }

    fn lose_connection(&mut self, error: Option<io::Error>) {
        if let Some(error) = error {
            tracing::debug!(%error, "connection lost");
            self.last_error = Some(error);
        }
        self.disconnects += u64::from(self.session.take().is_some());
        self.outbox.disconnected();
    }

    fn undelivered(&mut self) -> ProducerError {
        let pending = self.fates.iter().filter(|fate| **fate == Fate::Pending).count();
        ProducerError::Undelivered { waited: self.config.delivery_timeout, pending, last: self.last_error.take() }
    }
}

fn encoded(attempt: &Attempt, timestamp_ms: i64) -> Bytes {
    batch::encode(BatchContent {
        producer_id: attempt.producer_id,
        epoch: attempt.epoch,
        base_sequence: attempt.base_sequence,
        timestamp_ms,
        values: &attempt.values,
    })
}
