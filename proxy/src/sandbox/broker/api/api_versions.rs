//! ApiVersions v0-4. A version from the future is answered in v0, with error 35 and the versions that are known (KIP-511).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::{Operation, Reply, Request, framed, reply};

pub(super) fn answer(request: &Request) -> Option<Reply> {
    let asked: ApiVersionsRequest = request.decode()?;
    let nameless = asked.client_software_name.is_empty() || asked.client_software_version.is_empty();
    let answer = if request.version >= 3 && nameless {
        ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code())
    } else {
        ApiVersionsResponse::default().with_api_keys(Operation::ALL.into_iter().map(supported).collect())
    };
    Some(reply(request, &answer))
}

pub(super) fn from_the_future(correlation: i32) -> Reply {
    let answer = ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(vec![supported(Operation::ApiVersions)]);
    framed(correlation, false, 0, &answer)
}

fn supported(api: Operation) -> ApiVersion {
    // Brokers still claim Produce v0, which they close the connection on: librdkafka judges them by it (KAFKA-18659).
    let min = if api == Operation::Produce { 0 } else { *api.versions().start() };
    ApiVersion::default().with_api_key(api.key()).with_min_version(min).with_max_version(*api.versions().end())
}
