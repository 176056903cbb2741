//! A baseline for `bench/run edge` and `bench/run tls`: the HTTP and TLS stack of the daemons with a minimal service, which answers each path
//! with a file in memory, and with header fields like those of an edge. It measures what that stack costs for a request before any look-up.
//! `cargo run --release -p verge-daemon --example http_floor -- PORT DIRECTORY [CHAIN KEY]`
#![expect(clippy::unwrap_used, reason = "a tool for measurements")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use ipnet::IpNet;
use verge_daemon::http_server::{HttpLimits, TrustedProxies, serve_connections};
use verge_daemon::tls::{Certificate, Certificates, Tickets, TlsAcceptor};
use verge_daemon::{Clock, Tasks, listen};

/// The files of a directory, but for those of directories in it, by the path of a request.
fn files(directory: &str) -> HashMap<String, Bytes> {
    let read = |entry: std::fs::DirEntry| {
        let path = format!("/{}", entry.file_name().to_str().unwrap());
        (path, std::fs::read(entry.path()).unwrap().into())
    };
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.path().is_file()).map(read).collect()
}

/// What an edge says of a file.
fn fields() -> HeaderMap {
    let fields = [
        (header::CACHE_CONTROL, "public, max-age=0, must-revalidate"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ETAG, "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""),
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ACCEPT_RANGES, "bytes"),
        (HeaderName::from_static("verge-release"), "v1"),
        (HeaderName::from_static("verge-edge"), "floor"),
        (HeaderName::from_static("cache-status"), "floor; hit; detail=memory"),
    ];
    fields.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

/// For one client that measures.
fn unlimited() -> HttpLimits {
    HttpLimits {
        connections: 20_000,
        trusted_proxies: TrustedProxies::new([IpNet::from(IpAddr::from(Ipv4Addr::LOCALHOST))]),
        requests: u32::MAX,
        header_timeout: Duration::from_mins(10),
        ..HttpLimits::default()
    }
}

fn acceptor(chain: &str, key: &str) -> TlsAcceptor {
    let certificate = Certificate::from_pem(&std::fs::read(chain).unwrap(), &std::fs::read(key).unwrap()).unwrap();
    let certificates = Arc::new(Certificates::default());
    certificates.replace([Arc::new(certificate)]);
    let tickets = Tickets::new(Clock::system());
    tickets.set_secret(&[7; 32]);
    TlsAcceptor::new(certificates, Arc::new(tickets))
}

async fn run(port: u16, directory: &str, acceptor: Option<TlsAcceptor>) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = listen::tcp("floor", address).await.unwrap();
    let files = Arc::new((files(directory), fields()));
    let (limits, tasks) = (unlimited(), Tasks::default());
    serve_connections("floor", listener, acceptor, &limits, &tasks, move |_| {
        let files = Arc::clone(&files);
        service_fn(move |request: Request<Incoming>| {
            let (files, fields) = &*files;
            let file = files.get(request.uri().path());
            let mut response = Response::new(Full::new(file.cloned().unwrap_or_default()));
            if file.is_none() {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            *response.headers_mut() = fields.clone();
            async { Ok::<_, Infallible>(response) }
        })
    });
    tokio::signal::ctrl_c().await.unwrap();
    let _ = tasks.shutdown(Duration::ZERO).await;
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, directory, acceptor) = match &arguments[..] {
        [port, directory] => (port, directory, None),
        [port, directory, chain, key] => (port, directory, Some(acceptor(chain, key))),
        _ => panic!("expected PORT DIRECTORY [CHAIN KEY]"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(run(port.parse().unwrap(), directory, acceptor));
}
