//! Who may ask what: browsers of other sites never, others with the token.

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;

use super::routes::{Admin, json_line};

/// Refuses requests that a page of another site makes a browser send.
pub(super) async fn refuse_foreign_origin(request: Request, next: Next) -> Response {
    if is_foreign(request.headers()) {
        return refusal(StatusCode::FORBIDDEN, "requests from another origin are refused");
    }
    next.run(request).await
}

/// Asks for the token; without one, only a caller that names this machine by address is served.
pub(super) async fn require_token(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    match admin.token() {
        Some(token) => {
            let presented = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
            if !presented.is_some_and(|presented| token.admits(presented)) {
                let text = match presented {
                    Some(_) => "wrong token, or not \"Authorization: Bearer TOKEN\"",
                    None => "no token: expected \"Authorization: Bearer TOKEN\"",
                };
                let mut response = refusal(StatusCode::UNAUTHORIZED, text);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
                return response;
            }
        }
        // A name of somebody else's that leads here is how a foreign page pretends to be of this origin.
        None if !names_this_machine(headers) => {
            return refusal(StatusCode::FORBIDDEN, "expected a Host header with an address or localhost");
        }
        None => {}
    }
    next.run(request).await
}

/// Returns `text` as a JSON error.
pub(super) fn refusal(status: StatusCode, text: &str) -> Response {
    json_line(status, &json!({ "error": text }))
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host));
    !own || origins.next().is_some()
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    host.is_some_and(|host| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
    })
}
