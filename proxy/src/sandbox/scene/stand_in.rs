//! Stand-ins for the proxy in tests: one request at a time, forwarded, and remembered if `remembers` is set.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ProduceRequest, RequestHeader};
use kafka_protocol::protocol::Decodable;
use seqgate_protocol::sequencing::{BatchId, Sequence};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{ProxyCounters, RunningProxy, StartProxy};
use crate::sandbox::acceptor::{Acceptor, Stopping};
use crate::sandbox::batch::BatchHeader;
use crate::sandbox::{client, frame};

/// Starts stand-ins.
pub(crate) struct StandIn {
    /// Whether it answers what was acknowledged before.
    pub(crate) remembers: bool,
}

/// A running stand-in.
pub(crate) struct Running {
    acceptor: Acceptor,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    answers: HashMap<BatchId, Bytes>,
    newest: Option<BatchId>,
    counters: ProxyCounters,
}

impl StartProxy for StandIn {
    type Proxy = Running;

    async fn start(&self, upstream: SocketAddr) -> anyhow::Result<Running> {
        let memory = Arc::new(Mutex::new(Memory::default()));
        let (shared, remembers) = (Arc::clone(&memory), self.remembers);
        let serve = move |client, stopping| serve(client, upstream, remembers, Arc::clone(&shared), stopping);
        let acceptor = Acceptor::bind("127.0.0.1:0".parse().expect("an address"), serve).await?;
        Ok(Running { acceptor, memory })
    }
}

impl RunningProxy for Running {
    fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    fn counters(&self) -> ProxyCounters {
        self.memory.lock().expect("no panic inside").counters
    }

    async fn stop(self) {
        self.acceptor.stop().await;
    }
}

async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    remembers: bool,
    memory: Arc<Mutex<Memory>>,
    mut stopping: Stopping,
) {
    tokio::select! {
        () = stopping.wait() => {}
        _ = pump(&mut client, upstream, remembers, &memory) => {}
    }
    let _ = client.set_zero_linger();
}

async fn pump(client: &mut TcpStream, upstream: SocketAddr, remembers: bool, memory: &Mutex<Memory>) -> io::Result<()> {
    let mut broker = TcpStream::connect(upstream).await?;
    let (mut requests, mut answers) = (BytesMut::new(), BytesMut::new());
    while let Some(request) = frame::read(client, &mut requests).await? {
        let batch = batch_of(&request).filter(|_| remembers);
        let known = batch.and_then(|batch| memory.lock().expect("no panic inside").look_up(batch));
        let answer = if let Some(known) = known {
            let correlation = &request[8..12];
            Bytes::from([&known[..4], correlation, &known[8..]].concat())
        } else {
            broker.write_all(&request).await?;
            let answer = frame::read(&mut broker, &mut answers).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if let Some(batch) = batch {
                memory.lock().expect("no panic inside").learn(batch, &answer);
            }
            answer
        };
        client.write_all(&answer).await?;
    }
    Ok(())
}

impl Memory {
    fn look_up(&mut self, batch: BatchId) -> Option<Bytes> {
        let known = self.answers.get(&batch).cloned();
        self.counters.answered += u64::from(known.is_some());
        let expected = match self.newest {
            Some(newest) if newest.epoch == batch.epoch => newest.range.end(),
            Some(_) | None => Sequence::ZERO,
        };
        self.counters.gaps += u64::from(known.is_none() && batch.range.first.is_after(expected));
        known
    }

    fn learn(&mut self, batch: BatchId, answer: &Bytes) {
        let decoded = client::decode::<ProduceRequest>(13, answer.slice(8..)).expect("the broker's answer");
        if decoded.responses[0].partition_responses[0].error_code == 0 {
            self.answers.insert(batch, answer.clone());
            self.newest = Some(batch);
        }
    }
}

fn batch_of(request: &Bytes) -> Option<BatchId> {
    let mut at = request.slice(4..);
    if at[..4] != [0, 0, 0, 13] {
        return None;
    }
    let _header = RequestHeader::decode(&mut at, 2).expect("the producer's header");
    let mut request = ProduceRequest::decode(&mut at, 13).expect("the producer's request");
    let records = request.topic_data.pop()?.partition_data.pop()?.records?;
    debug_assert!(records.has_remaining());
    BatchHeader::read(&records)?.id()
}
