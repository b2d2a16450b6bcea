//! A broker of the user's: whether it can be used, and the topics that it is given.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use crate::config::HostPort;
use crate::net::dial::dial;
use crate::net::metadata;
use crate::net::resolve::resolve;
use crate::sandbox::topic::{self, Led};

/// How long the broker may take to accept a first connection, and to answer on it.
const REACH_PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take to make a topic and to lead it.
const TOPIC_PATIENCE: Duration = Duration::from_secs(10);

/// A broker that answers.
#[derive(Debug)]
pub(super) struct Bootstrap {
    address: SocketAddr,
    /// Whether it sends its clients to the very address that was typed: then what it says of others leads to them, and
    /// not into a proxy.
    advertises_itself: bool,
    topics: Vec<String>,
}

impl Bootstrap {
    /// Dials the broker and asks it who is there.
    pub(super) async fn reach(typed: &HostPort) -> anyhow::Result<Self> {
        // What is typed as an address stands in the error of its dial.
        let place = if typed.ip().is_some() { String::new() } else { format!("{typed}: ") };
        let mut stream = match dial(typed, REACH_PATIENCE).await {
            Ok(stream) => stream,
            Err(error) => anyhow::bail!("--bootstrap {place}{error}; is the broker running there?"),
        };
        let address = stream.peer_addr()?;
        let advertised = metadata::advertised(&mut stream, REACH_PATIENCE).await;
        let advertised = advertised.with_context(|| {
            format!("--bootstrap {typed}: not a plaintext Kafka listener? (TLS and SASL are not spoken here)")
        })?;
        let advertises_itself = advertises(&advertised, address).await;
        Ok(Self { address, advertises_itself, topics: Vec::new() })
    }

    /// Has the broker make a topic, and waits until a leader takes its batches.
    pub(super) async fn make(&mut self, topic: &str) -> anyhow::Result<Led> {
        let led = topic::make(self.address, topic, self.advertises_itself, TOPIC_PATIENCE).await?;
        self.topics.push(topic.to_owned());
        Ok(led)
    }

    /// Says which topics can be deleted.
    pub(super) fn left_behind(&self) -> String {
        if self.topics.is_empty() {
            return String::new();
        }
        format!("\nTopics that are left behind and can be deleted:\n  {}\n", self.topics.join("\n  "))
    }
}

async fn advertises(advertised: &[HostPort], address: SocketAddr) -> bool {
    for broker in advertised.iter().filter(|broker| broker.port == address.port()) {
        if resolve(broker, REACH_PATIENCE).await.is_ok_and(|addresses| addresses.contains(&address)) {
            return true;
        }
    }
    false
}
