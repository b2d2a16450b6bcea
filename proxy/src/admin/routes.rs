//! What can be asked of the admin port.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router, middleware};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::guard::{refusal, refuse_foreign_origin, require_token};
use super::status::{ConnectionRow, Status};
use super::token::Token;
use crate::config::Mode;
use crate::runtime::{DrainSignal, ProducerQuery, Runtime};

/// Bytes of a request's body at most.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How old a broker's dial may be for readiness to believe it.
const READY_AGE: Duration = Duration::from_secs(2);
/// How long readiness waits for a broker.
const READY_PATIENCE: Duration = Duration::from_secs(2);
/// Content type that Prometheus takes for OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Holds what handlers share.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    runtime: Arc<Runtime>,
    token: Option<Arc<Token>>,
    drain: DrainSignal,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeBody {
    mode: Mode,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default = "Page::limit_default")]
    limit: usize,
}

impl Page {
    fn limit_default() -> usize {
        1_000
    }
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
            .fallback(async || refusal(StatusCode::NOT_FOUND, "no such path"))
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
    let patience = READY_PATIENCE.min(admin.runtime.config.limits.dial_timeout);
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

async fn status(State(admin): State<Admin>) -> Json<Status> {
    Json(Status::of(&admin.runtime, admin.drain.has_started()))
}

async fn connections(State(admin): State<Admin>, page: Result<Query<Page>, QueryRejection>) -> Response {
    let page = match page {
        Ok(Query(page)) => page,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    let open = admin.runtime.connections.list(page.limit.min(ProducerQuery::LIMIT_MAX));
    Json(open.iter().map(|record| ConnectionRow::of(record)).collect::<Vec<_>>()).into_response()
}

async fn producers(State(admin): State<Admin>, query: Result<Query<ProducerQuery>, QueryRejection>) -> Response {
    let mut query = match query {
        Ok(Query(query)) => query,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    query.limit = query.limit.min(ProducerQuery::LIMIT_MAX);
    Json(admin.runtime.shared.producers(&query)).into_response()
}

async fn change_mode(State(admin): State<Admin>, body: Result<Json<ModeBody>, JsonRejection>) -> Response {
    let mode = match body {
        Ok(Json(body)) => body.mode,
        Err(error) => return refusal(error.status(), &error.body_text()),
    };
    if let Some(missing) = admin.runtime.config.sequencing.missing_for(mode) {
        return refusal(StatusCode::CONFLICT, &missing);
    }
    let before = admin.runtime.mode.set(mode);
    info!(before = before.as_str(), mode = mode.as_str(), "mode changed");
    Json(ModeBody { mode }).into_response()
}
