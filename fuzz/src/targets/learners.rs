//! The answers that something is learnt from.

use bytes::Bytes as Shared;
use kafka_protocol::messages::{
    DeleteTopicsResponse, DescribeClusterResponse, InitProducerIdResponse, MetadataResponse, ResponseHeader,
    SaslAuthenticateResponse, SaslHandshakeResponse,
};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, TopicId};
use seqgate_protocol::wire::head::{ApiKey, response_header_is_flexible};
use seqgate_protocol::wire::learn::{Fact, Learner};

use super::Bytes;
use super::guarded::Guarded;

/// What can be learnt from an answer, as text.
type Facts = Vec<String>;

/// Answers teach the same in one piece and in many, and what an independent decoder reads in them.
pub fn learners(data: &[u8]) {
    const APIS: [ApiKey; 6] = [
        ApiKey::METADATA,
        ApiKey::DESCRIBE_CLUSTER,
        ApiKey::INIT_PRODUCER_ID,
        ApiKey::DELETE_TOPICS,
        ApiKey::SASL_HANDSHAKE,
        ApiKey::SASL_AUTHENTICATE,
    ];
    let mut input = Bytes(data);
    let api = APIS[input.below(6)];
    let (version, step) = (i16::from(input.u8() % 16), usize::from(input.u8() % 16) + 1);
    let frame = input.0;
    let learn = |step: usize| {
        let mut learner = Learner::new(api, version)?;
        let mut facts = Vec::new();
        for piece in frame.chunks(step) {
            learner.feed(piece, &mut |fact: Fact<'_>| facts.push(format!("{fact:?}")));
        }
        assert!(!(learner.failed() && learner.finished()));
        Some((facts, learner.finished(), learner.failed()))
    };
    let whole = learn(frame.len().max(1));
    assert_eq!(whole, learn(step), "in pieces of {step}");
    // An independent decoder does not know the oldest DeleteTopics.
    let Some((facts, finished, _)) = whole.filter(|_| api != ApiKey::DELETE_TOPICS || version > 0) else { return };
    if !finished {
        let theirs = their_facts(api, version, Guarded::new(frame));
        assert!(theirs.is_err(), "read by an independent decoder only: {theirs:?}");
        return;
    }
    // All entries that it claims to have are there: now nothing needs guarding.
    match their_facts(api, version, Shared::copy_from_slice(frame)) {
        Ok(theirs) => assert_eq!(theirs, facts),
        Err(error) => {
            let is_known = error.contains("is negative (-1)") || error.contains("utf-8");
            assert!(is_known, "neither a null nor a text refused by an independent decoder: {error}");
        }
    }
}

/// What an independent decoder reads in an answer, if it takes all of it.
fn their_facts(api: ApiKey, version: i16, mut bytes: impl ByteBuf) -> Result<Facts, String> {
    let text = |error| format!("{error:?}");
    let header = i16::from(response_header_is_flexible(api, version));
    ResponseHeader::decode(&mut bytes, header).map_err(text)?;
    let facts = match api {
        ApiKey::METADATA => MetadataResponse::decode(&mut bytes, version).map(metadata),
        ApiKey::DESCRIBE_CLUSTER => DescribeClusterResponse::decode(&mut bytes, version).map(describe_cluster),
        ApiKey::INIT_PRODUCER_ID => InitProducerIdResponse::decode(&mut bytes, version).map(init_producer_id),
        ApiKey::DELETE_TOPICS => DeleteTopicsResponse::decode(&mut bytes, version).map(delete_topics),
        ApiKey::SASL_HANDSHAKE => SaslHandshakeResponse::decode(&mut bytes, version)
            .map(|response| vec![show(Fact::SaslHandshake { error: response.error_code })]),
        _ => SaslAuthenticateResponse::decode(&mut bytes, version).map(|response| {
            let session_lifetime_ms = response.session_lifetime_ms;
            vec![show(Fact::SaslAuthenticate { error: response.error_code, session_lifetime_ms })]
        }),
    };
    let facts = facts.map_err(text)?;
    if bytes.has_remaining() { Err(format!("{} bytes left", bytes.remaining())) } else { Ok(facts) }
}

fn show(fact: Fact<'_>) -> String {
    format!("{fact:?}")
}

fn cluster(id: &str) -> Option<String> {
    (!id.is_empty()).then(|| show(Fact::ClusterId(id.as_bytes())))
}

fn broker(node_id: i32, host: &str, port: i32) -> String {
    show(Fact::Broker { node_id, host: host.as_bytes(), port })
}

fn topic_id(bytes: &[u8; 16]) -> Option<TopicId> {
    Some(TopicId(*bytes)).filter(|id| *id != TopicId::ZERO)
}

fn metadata(response: MetadataResponse) -> Facts {
    let brokers = response.brokers.iter().map(|b| broker(b.node_id.0, &b.host, b.port));
    let topics = response.topics.iter().map(|topic| {
        let name = topic.name.as_ref().map(|name| name.as_bytes());
        show(Fact::Topic { error: topic.error_code, name, id: topic_id(topic.topic_id.as_bytes()) })
    });
    brokers.chain(response.cluster_id.as_deref().and_then(cluster)).chain(topics).collect()
}

fn describe_cluster(response: DescribeClusterResponse) -> Facts {
    let brokers = response.brokers.iter().map(|b| broker(b.broker_id.0, &b.host, b.port));
    cluster(&response.cluster_id).into_iter().chain(brokers).collect()
}

fn init_producer_id(response: InitProducerIdResponse) -> Facts {
    vec![show(Fact::Producer {
        error: response.error_code,
        producer_id: ProducerId::new(response.producer_id.0),
        epoch: ProducerEpoch::new(response.producer_epoch),
    })]
}

fn delete_topics(response: DeleteTopicsResponse) -> Facts {
    let topics = response.responses.iter().map(|topic| {
        let name = topic.name.as_ref().map(|name| name.as_bytes());
        show(Fact::DeletedTopic { error: topic.error_code, name, id: topic_id(topic.topic_id.as_bytes()) })
    });
    topics.collect()
}
