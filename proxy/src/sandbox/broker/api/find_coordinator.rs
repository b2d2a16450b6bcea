//! FindCoordinator v0-6: there is none, for groups or for transactions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::{Reply, Request, reply};

/// From this version on one request asks for many.
const BATCHED_SINCE: i16 = 4;

pub(super) fn answer(request: &Request) -> Option<Reply> {
    let asked: FindCoordinatorRequest = request.decode()?;
    let code = ResponseError::CoordinatorNotAvailable.code();
    let answer = FindCoordinatorResponse::default();
    let answer = if request.version < BATCHED_SINCE {
        answer.with_error_code(code).with_node_id(BrokerId(-1)).with_port(-1)
    } else {
        let none =
            |key| Coordinator::default().with_key(key).with_error_code(code).with_node_id(BrokerId(-1)).with_port(-1);
        answer.with_coordinators(asked.coordinator_keys.into_iter().map(none).collect())
    };
    Some(reply(request, &answer))
}
