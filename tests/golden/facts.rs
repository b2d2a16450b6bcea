//! What brokers tell beside produce answers, as frames that are learnt from.

use bytes::BytesMut;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponseTopic};
use kafka_protocol::messages::{
    DeleteTopicsResponse, InitProducerIdResponse, MetadataResponse, ProducerId, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use seqgate_protocol::session::{Learnt, Present, Session};
use seqgate_protocol::wire::head::ApiKey;
use seqgate_protocol::wire::learn::Learner;

use crate::connection::event_text;
use crate::frames::id_text;
use crate::memory::Handle;
use crate::words::{number, pairs};

/// A response without its length, with its api and version.
struct Told {
    api: ApiKey,
    version: i16,
    bytes: BytesMut,
}

/// Makes the answer that `kind` and `words` describe; `None` for those that nothing is learnt from.
fn told(kind: &str, words: &str) -> Result<Option<Told>, String> {
    Ok(match kind {
        "metadata" => Some(encoded(ApiKey::METADATA, 12, &metadata(words)?)),
        "init" => {
            let (id, epoch) = words.split_once('/').ok_or("a producer and its epoch")?;
            let body = InitProducerIdResponse::default()
                .with_producer_id(ProducerId(number(id)?))
                .with_producer_epoch(number(epoch)?);
            Some(encoded(ApiKey::INIT_PRODUCER_ID, 4, &body))
        }
        "delete" => {
            let mut result = DeletableTopicResult::default();
            match words.strip_prefix('#') {
                Some(id) => result.topic_id = id_text(number(id)?).parse().unwrap(),
                None => result.name = Some(TopicName(StrBytes::from_string(words.into()))),
            }
            Some(encoded(ApiKey::DELETE_TOPICS, 6, &DeleteTopicsResponse::default().with_responses(vec![result])))
        }
        "fetch" | "whatever" => None,
        other => return Err(format!("{other} is not understood")),
    })
}

/// `cluster=x`, and topics with their ids, as in `t=1`; `refused` is what those are told who have not authenticated.
fn metadata(words: &str) -> Result<MetadataResponse, String> {
    let mut body = MetadataResponse::default();
    if words == "refused" {
        return Ok(body);
    }
    body.brokers.push(MetadataResponseBroker::default());
    for (key, value) in pairs(words) {
        if key == "cluster" {
            body.cluster_id = Some(StrBytes::from_string(value.into()));
            continue;
        }
        body.topics.push(
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(StrBytes::from_string(key.into()))))
                .with_topic_id(id_text(number(value)?).parse().unwrap()),
        );
    }
    Ok(body)
}

fn encoded<M: Encodable + HeaderVersion>(api: ApiKey, version: i16, body: &M) -> Told {
    let mut bytes = BytesMut::new();
    ResponseHeader::default().encode(&mut bytes, M::header_version(version)).expect("header encodes");
    body.encode(&mut bytes, version).expect("response encodes");
    Told { api, version, bytes }
}

/// Feeds the answer to the session; returns the cluster's id, if that is among what it says.
pub(crate) fn learn(
    session: &mut Session<Handle>,
    kind: &str,
    words: &str,
    present: &Present,
    lines: &mut Vec<String>,
) -> Result<Option<String>, String> {
    let Some(told) = told(kind, words)? else { return Ok(None) };
    let mut learner = Learner::new(told.api, told.version).ok_or("nothing is learnt from it")?;
    let mut cluster = None;
    for piece in told.bytes.chunks(7) {
        learner.feed(piece, &mut |fact| {
            let learnt = session.learn(fact, told.version, present, &mut |event| lines.push(event_text(&event)));
            if let Learnt::ClusterId(id) = learnt {
                cluster = Some(String::from_utf8_lossy(id).into_owned());
            }
        });
    }
    assert!(learner.finished(), "the answer was not read to its end");
    Ok(cluster)
}
