//! The private listener: readiness and metrics, for the operator's own network.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// Serves `/healthz` and `/metrics` (`OpenMetrics` text format). Health is 200 and `ok`, 200 and a line `degraded: <reason>` for each
/// reason, or 503 and the reason.
pub fn router<H, F>(registry: Arc<Registry>, health: H) -> Router
where
    H: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Readiness> + Send,
{
    let metrics = move || async move {
        let mut text = String::new();
        match encode(&mut text, &registry) {
            Ok(()) => {
                let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, media_type)], text).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "failed to encode metrics");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    };
    let healthz = move || async move {
        match health().await {
            Readiness::Ready => (StatusCode::OK, "ok\n".to_owned()),
            Readiness::Degraded(reasons) => {
                let lines = reasons.iter().map(|reason| format!("degraded: {reason}\n"));
                (StatusCode::OK, lines.collect::<Vec<_>>().concat())
            }
            Readiness::NotReady(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        }
    };
    Router::new().route("/healthz", get(healthz)).route("/metrics", get(metrics))
}

/// Whether a daemon is ready to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    Ready,
    /// It serves, but something needs an operator; the reasons.
    Degraded(Vec<String>),
    /// It is not, with the reason.
    NotReady(String),
}
