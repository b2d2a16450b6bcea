use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition};
use kafka_protocol::messages::{ApiKey, ListOffsetsResponse};
use kafka_protocol::protocol::Encodable;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::sandbox::acceptor::Acceptor;
use crate::sandbox::broker::{Broker, BrokerConfig};
use crate::sandbox::frame;

/// Nothing waits for it but what must not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers that a broker gives one after the other, the last of each kind for ever.
#[derive(Clone, Debug)]
struct Script {
    /// Error codes of the topic.
    metadata: VecDeque<i16>,
    /// Error codes of its partitions.
    list_offsets: VecDeque<Vec<i16>>,
    /// Where Metadata says that the leader is.
    leader: SocketAddr,
}

#[derive(Debug)]
struct Scripted {
    acceptor: Acceptor,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    async fn start(metadata: &[i16], list_offsets: &[&[i16]]) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let list_offsets = list_offsets.iter().map(|codes| codes.to_vec()).collect();
        let script = Script { metadata: metadata.iter().copied().collect(), list_offsets, leader: any };
        let script = Arc::new(Mutex::new(script));
        let shared = Arc::clone(&script);
        let serve = move |stream, _| serve(stream, Arc::clone(&shared));
        let acceptor = Acceptor::bind(any, serve).await.expect("a free port");
        script.lock().unwrap().leader = acceptor.address();
        Self { acceptor, script }
    }

    async fn make(&self, follow: bool) -> Result<Led, TopicError> {
        make(self.acceptor.address(), "t", follow, PATIENCE).await
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut buffer = BytesMut::new();
    while let Ok(Some(mut request)) = frame::read(&mut stream, &mut buffer).await {
        request.advance(frame::PREFIX_LEN);
        let (api, _version, correlation) = (request.get_i16(), request.get_i16(), request.get_i32());
        let mut answer = BytesMut::new();
        answer.put_i32(correlation);
        script.lock().unwrap().answer(api, &mut answer);
        let length = i32::try_from(answer.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await.ok();
    }
}

impl Script {
    fn answer(&mut self, api: i16, to: &mut BytesMut) {
        if api == ApiKey::Metadata as i16 {
            self.metadata().encode(to, METADATA).unwrap();
        } else {
            assert_eq!(api, ApiKey::ListOffsets as i16);
            self.list_offsets().encode(to, LIST_OFFSETS).unwrap();
        }
    }

    fn metadata(&mut self) -> MetadataResponse {
        let host = StrBytes::from_string(self.leader.ip().to_string());
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(7))
            .with_host(host)
            .with_port(i32::from(self.leader.port()));
        let partition =
            |index| MetadataResponsePartition::default().with_partition_index(index).with_leader_id(BrokerId(7));
        let topic = MetadataResponseTopic::default()
            .with_name(Some(name("t")))
            .with_error_code(next(&mut self.metadata))
            .with_partitions((0..2).map(partition).collect());
        MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic])
    }

    fn list_offsets(&mut self) -> ListOffsetsResponse {
        let codes = next(&mut self.list_offsets);
        let one =
            |(index, code)| ListOffsetsPartitionResponse::default().with_partition_index(index).with_error_code(code);
        let topic = ListOffsetsTopicResponse::default()
            .with_name(name("t"))
            .with_partitions((0..).zip(codes).map(one).collect());
        ListOffsetsResponse::default().with_topics(vec![topic])
    }
}

/// Takes the first one while there are others.
fn next<T: Clone>(answers: &mut VecDeque<T>) -> T {
    if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
}

#[tokio::test]
async fn a_topic_is_ready_when_a_leader_answers_for_a_partition() {
    let broker = Scripted::start(&[3, 5, 0], &[&[3, 3], &[6, 6], &[6, 0]]).await;
    let led = broker.make(false).await.expect("led");
    assert_eq!(led, Led { broker: broker.acceptor.address(), partition: 1 });
    let script = broker.script.lock().unwrap();
    assert_eq!((script.metadata.len(), script.list_offsets.len()), (1, 1), "{script:?}");
}

#[tokio::test]
async fn the_leader_is_asked_where_metadata_says_if_that_is_to_be_followed() {
    let (bootstrap, leader) = (Scripted::start(&[0], &[&[6]]).await, Scripted::start(&[3], &[&[0]]).await);
    bootstrap.script.lock().unwrap().leader = leader.acceptor.address();
    assert_eq!(bootstrap.make(true).await.expect("led").broker, leader.acceptor.address());
}

#[tokio::test]
async fn an_error_that_stays_is_told_at_once() {
    let broker = Scripted::start(&[29], &[&[0]]).await;
    let error = broker.make(false).await.unwrap_err().to_string();
    assert_eq!(error, "topic t: Metadata refused with error 29 (TopicAuthorizationFailed)");
}

#[tokio::test]
async fn what_may_pass_says_what_would_be_right_if_it_stays() {
    let makes_none =
        Broker::start(BrokerConfig { auto_create_topics: false, ..BrokerConfig::default() }).await.unwrap();
    let leads_none = Scripted::start(&[0], &[&[6]]).await;
    for (broker, told, advice) in [
        (
            makes_none.address(),
            "Metadata refused with error 3 (UnknownTopicOrPartition); ",
            "auto.create.topics.enable = true",
        ),
        (leads_none.acceptor.address(), "ListOffsets refused with error 6 (NotLeaderOrFollower); ", "its own address"),
    ] {
        let error = ask(broker, "t", false, PATIENCE).await.unwrap_err();
        let said = error.to_string();
        assert!(error.may_pass() && said.contains(told) && said.ends_with(advice), "{said}");
    }
}
