//! InitProducerId v0-5, for producers without transactions: each call hands out a new id with epoch 0.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::{Reply, Request, Shared, reply};

pub(super) fn answer(shared: &Shared, request: &Request) -> Option<Reply> {
    let asked: InitProducerIdRequest = request.decode()?;
    let answer = InitProducerIdResponse::default();
    let answer = if let Some(id) = asked.transactional_id {
        let error = if id.is_empty() {
            ResponseError::InvalidRequest
        } else {
            ResponseError::TransactionalIdAuthorizationFailed
        };
        answer.with_error_code(error.code()).with_producer_id(ProducerId(-1)).with_producer_epoch(-1)
    } else {
        let id = shared.with(|cluster| cluster.fresh_producer_id());
        answer.with_producer_id(ProducerId(id.get())).with_producer_epoch(0)
    };
    Some(reply(request, &answer))
}
