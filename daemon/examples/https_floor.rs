//! A baseline for `bench/run tls`: the HTTP and TLS stack of the daemons with a minimal service, which answers each path with a file in
//! memory. It measures what that stack costs for a request before any look-up.
//! `cargo run --release -p verge-daemon --example https_floor -- PORT CHAIN KEY DIRECTORY`
#![expect(clippy::unwrap_used, reason = "a tool for measurements")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use verge_daemon::http_server::{HttpLimits, serve_connections};
use verge_daemon::tls::{Certificate, Certificates, Tickets, TlsAcceptor};
use verge_daemon::{Clock, Tasks};

/// The files of a directory, by the path of a request.
fn files(directory: &str) -> HashMap<String, Bytes> {
    let read = |entry: std::fs::DirEntry| {
        let path = format!("/{}", entry.file_name().to_str().unwrap());
        (path, std::fs::read(entry.path()).unwrap().into())
    };
    std::fs::read_dir(directory).unwrap().map(|entry| read(entry.unwrap())).collect()
}

/// For one client that measures.
fn unlimited() -> HttpLimits {
    HttpLimits { connections: 20_000, connections_per_address: 20_000, requests: u32::MAX, ..HttpLimits::default() }
}

async fn run(port: u16, chain: &str, key: &str, directory: &str) {
    let certificate = Certificate::from_pem(&std::fs::read(chain).unwrap(), &std::fs::read(key).unwrap()).unwrap();
    let certificates = Arc::new(Certificates::default());
    certificates.replace([Arc::new(certificate)]);
    let tickets = Tickets::new(Clock::system());
    tickets.set_secret(&[7; 32]);
    let acceptor = TlsAcceptor::new(certificates, Arc::new(tickets));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let files = Arc::new(files(directory));
    let (limits, tasks) = (unlimited(), Tasks::default());
    serve_connections("floor", listener, Some(acceptor), &limits, &tasks, move |_| {
        let files = Arc::clone(&files);
        service_fn(move |request: Request<Incoming>| {
            let file = files.get(request.uri().path()).cloned();
            let mut response = Response::new(Full::new(file.clone().unwrap_or_default()));
            if file.is_none() {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            async { Ok::<_, Infallible>(response) }
        })
    });
    tokio::signal::ctrl_c().await.unwrap();
    let _ = tasks.shutdown(Duration::ZERO).await;
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, chain, key, directory] = &arguments[..] else { panic!("expected PORT CHAIN KEY DIRECTORY") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(run(port.parse().unwrap(), chain, key, directory));
}
