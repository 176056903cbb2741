//! The private listener: readiness and metrics, for the operator's own network.

mod hosts;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use verge_protocol::DomainName;

use self::hosts::{Hosts, OtherHost};

/// Serves `/healthz` and `/metrics` (`OpenMetrics` text format). Health is 200 and `ok`, 200 and a line `degraded: <reason>` for each
/// reason, or 503 and the reason; at hosts that are not [those of the listener](at_hosts), without reasons.
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
    let healthz = move |other_host: Option<Extension<OtherHost>>| async move {
        match health().await {
            Readiness::Ready => (StatusCode::OK, "ok\n".to_owned()),
            Readiness::Degraded(_) if other_host.is_some() => (StatusCode::OK, "degraded\n".to_owned()),
            Readiness::NotReady(_) if other_host.is_some() => {
                (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned())
            }
            Readiness::Degraded(reasons) => {
                let lines = reasons.iter().map(|reason| format!("degraded: {reason}\n"));
                (StatusCode::OK, lines.collect::<Vec<_>>().concat())
            }
            Readiness::NotReady(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        }
    };
    Router::new().route("/healthz", get(healthz)).route("/metrics", get(metrics))
}

/// Has all routes answer at addresses, `localhost` and names below it, the name of the machine and `names` only, so that no web page reads
/// them by DNS rebinding. Health is told at other hosts too, without reasons.
pub fn at_hosts(router: Router, names: &[DomainName]) -> Router {
    let hosts = Hosts::new(names, hosts::machine());
    router.layer(from_fn(move |request: Request, next: Next| hosts.clone().check(request, next)))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::Tasks;
    use crate::http_server::{self, HttpLimits};

    #[tokio::test]
    async fn request_for_another_host_is_answered_421() {
        let tasks = Tasks::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Readiness::Degraded(vec!["no space left".to_owned()]);
        let routes = router(Arc::default(), move || std::future::ready(health.clone()));
        let service = TowerToHyperService::new(at_hosts(routes, &["metrics.internal".parse().unwrap()]));
        http_server::serve("test", listener, &HttpLimits::default(), &tasks, service);
        for (request, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:7501", "200"),
            ("GET /healthz HTTP/1.1\r\nHost: metrics.internal", "200"),
            ("GET /healthz HTTP/1.0", "200"),
            ("GET /metrics HTTP/1.1\r\nHost: evil.example", "421"),
            ("GET /healthz HTTP/1.1\r\nHost: evil.example:7501", "200"),
            ("GET http://evil.example/metrics HTTP/1.1\r\nHost: 127.0.0.1", "421"),
        ] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(format!("{request}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.split(' ').nth(1), Some(status), "{request}: {answer}");
            assert_eq!(answer.contains("`private_hosts`"), status == "421", "{answer}");
            let tells_reasons = request.contains("/healthz") && !request.contains("evil");
            assert_eq!(answer.contains("no space left"), tells_reasons, "{answer}");
            assert_eq!(answer.contains("degraded"), request.contains("/healthz"), "{answer}");
        }
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}
