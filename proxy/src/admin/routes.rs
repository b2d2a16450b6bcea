//! What can be asked of the admin port.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Router, middleware};
use serde::Serialize;
use tracing::info;

use super::guard::{refusal, refuse_foreign_origin, require_token};
use super::query::{self, Pairs, WrongBody};
use super::status::{ConnectionRow, Status};
use super::token::Token;
use crate::config::Mode;
use crate::runtime::{DrainSignal, Runtime, Upstream};

/// Bytes of a request's body at most.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How old a broker's dial may be for readiness to believe it.
const READY_AGE: Duration = Duration::from_secs(2);
/// What there is to ask, for whoever asks for something else.
const PATHS: &str = "/livez, /readyz, /metrics, /api/v1/status, /api/v1/connections, /api/v1/producers, /api/v1/mode";
/// Content type that Prometheus takes for OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Holds what handlers share.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    runtime: Arc<Runtime>,
    token: Option<Arc<Token>>,
    drain: DrainSignal,
}

/// Shows the mode in force.
#[derive(Debug, Serialize)]
struct ModeBody {
    mode: Mode,
}

impl Admin {
    pub(super) fn new(runtime: Arc<Runtime>, token: Option<Arc<Token>>, drain: DrainSignal) -> Self {
        Self { runtime, token, drain }
    }

    pub(super) fn token(&self) -> Option<&Token> {
        self.token.as_deref()
    }

    /// Returns every route; those of `/api` behind the token.
    pub(super) fn router(self) -> Router {
        let guarded = Router::new()
            .route("/api/v1/status", get(status))
            .route("/api/v1/connections", get(connections))
            .route("/api/v1/producers", get(producers))
            .route("/api/v1/mode", put(change_mode))
            .method_not_allowed_fallback(wrong_method)
            .fallback(no_such_path)
            .layer(middleware::from_fn_with_state(self.clone(), require_token));
        Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .method_not_allowed_fallback(wrong_method)
            .merge(guarded)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn(refuse_foreign_origin))
            .with_state(self)
    }
}

async fn no_such_path() -> Response {
    refusal(StatusCode::NOT_FOUND, &format!("no such path, expected one of {PATHS}"))
}

async fn wrong_method() -> Response {
    refusal(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not take that method; the Allow header names those it takes",
    )
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if admin.drain.has_started() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    let patience = Upstream::PROBE_PATIENCE.min(admin.runtime.config.limits.dial_timeout);
    let mut unreachable = String::new();
    for upstream in admin.runtime.upstreams() {
        if !upstream.probe(READY_AGE, patience).await {
            unreachable.push_str(&format!("unreachable {}\n", upstream.address));
        }
    }
    if unreachable.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, unreachable).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    admin.runtime.shared.publish(&admin.runtime.metrics);
    match admin.runtime.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &format!("metrics: {error}")),
    }
}

async fn status(State(admin): State<Admin>) -> Response {
    json_line(StatusCode::OK, &Status::of(&admin.runtime, admin.drain.has_started()))
}

async fn connections(State(admin): State<Admin>, Query(pairs): Query<Pairs>) -> Response {
    let limit = match query::connections(&pairs) {
        Ok(limit) => limit,
        Err(wrong) => return refusal(StatusCode::BAD_REQUEST, &wrong),
    };
    let open = admin.runtime.connections.list(limit);
    json_line(StatusCode::OK, &open.iter().map(|record| ConnectionRow::of(record)).collect::<Vec<_>>())
}

async fn producers(State(admin): State<Admin>, Query(pairs): Query<Pairs>) -> Response {
    match query::producers(&pairs) {
        Ok(query) => json_line(StatusCode::OK, &admin.runtime.shared.producers(&query)),
        Err(wrong) => refusal(StatusCode::BAD_REQUEST, &wrong),
    }
}

async fn change_mode(State(admin): State<Admin>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let Ok(body) = body else {
        let text = format!("the body does not arrive whole, or has more than {BODY_BYTES_MAX} bytes");
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, &text);
    };
    let mode = match query::mode(&headers, &body) {
        Ok(mode) => mode,
        Err(wrong) => return refusal(status_of(&wrong), &wrong.to_string()),
    };
    if let Some(missing) = admin.runtime.config.sequencing.missing_for(mode) {
        return refusal(StatusCode::CONFLICT, &missing);
    }
    let before = admin.runtime.mode.set(mode);
    info!(before = before.as_str(), mode = mode.as_str(), "mode changed");
    json_line(StatusCode::OK, &ModeBody { mode })
}

const fn status_of(wrong: &WrongBody) -> StatusCode {
    match wrong {
        WrongBody::Kind => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        WrongBody::Text => StatusCode::BAD_REQUEST,
        WrongBody::Content(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// Returns `body` as JSON on a line of its own: a prompt that follows stands on the next one.
pub(super) fn json_line(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
