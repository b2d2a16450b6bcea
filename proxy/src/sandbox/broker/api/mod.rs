//! From a request's frame to its answer.

mod api_versions;
mod fetch;
mod find_coordinator;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod produce;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::{Encodable, StrBytes};
use seqgate_protocol::sequencing::TopicId;

use super::cluster::Cluster;
use super::request::{self, Operation, Read, Request};
use super::shared::Shared;

/// The one node of the cluster.
const NODE_ID: i32 = 1;

/// The epoch of the one leader there ever is.
const LEADER_EPOCH: i32 = 0;

/// What goes back to the client.
pub(super) enum Reply {
    /// This frame.
    Frame(Bytes),
    /// Nothing, and the next request is read.
    Silence,
    /// Nothing, and the connection is closed.
    Close,
    /// Nothing, and no request is read any more.
    Never,
}

/// Answers the request in `frame`.
pub(super) async fn answer(shared: &Shared, frame: &Bytes) -> Reply {
    match request::read(frame) {
        Read::Request(request) => dispatch(shared, &request).await.unwrap_or(Reply::Close),
        Read::UnknownApiVersions { correlation } => api_versions::from_the_future(correlation),
        Read::Refused => Reply::Close,
    }
}

/// `None` for what the decoder refuses.
async fn dispatch(shared: &Shared, request: &Request) -> Option<Reply> {
    match request.operation {
        Operation::Produce => produce::answer(shared, request).await,
        Operation::Fetch => fetch::answer(shared, request).await,
        Operation::ListOffsets => list_offsets::answer(shared, request),
        Operation::Metadata => metadata::answer(shared, request),
        Operation::FindCoordinator => find_coordinator::answer(request),
        Operation::ApiVersions => api_versions::answer(request),
        Operation::InitProducerId => init_producer_id::answer(shared, request),
    }
}

/// Frames an answer in the request's version. ApiVersions keeps the oldest header, so that any client can read it.
fn reply(request: &Request, answer: &impl Encodable) -> Reply {
    let flexible = request.operation.is_flexible(request.version) && request.operation != Operation::ApiVersions;
    framed(request.correlation, flexible, request.version, answer)
}

fn framed(correlation: i32, flexible: bool, version: i16, answer: &impl Encodable) -> Reply {
    let mut body = BytesMut::new();
    body.put_i32(correlation);
    if flexible {
        body.put_u8(0);
    }
    if let Err(error) = answer.encode(&mut body, version) {
        tracing::error!(%error, version, "answer does not encode");
        return Reply::Close;
    }
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_i32(i32::try_from(body.len()).expect("answers are smaller than 2 GiB"));
    frame.put(body);
    Reply::Frame(frame.freeze())
}

/// The name of a topic that newer versions name by id; `None` when the id is unknown.
fn resolve(cluster: &Cluster, by_id: bool, name: &TopicName, id: TopicId) -> Option<String> {
    if by_id { cluster.name_of(id).map(str::to_owned) } else { Some(name.to_string()) }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

#[cfg(test)]
mod tests;
