//! Tests of a response of which the client takes nothing, on a connection on which it takes others.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::super::{HttpLimits, serve_connections};
use super::*;
use crate::Tasks;
use crate::clock::Clock;
use crate::tls::test_support::{certificate, client};
use crate::tls::{Certificates, Tickets, TlsAcceptor};

const HOST: &str = "a.example";

/// What the client takes of a response that it does not read.
const WINDOW: u32 = 20_000;

/// So many bytes at once.
struct Sevens {
    length: usize,
    _alive: Option<Arc<()>>,
}

impl Body for Sevens {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = std::mem::take(&mut self.length);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(vec![7; length].into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.length == 0
    }
}

/// A connection to a server whose responses have as many bytes as the path says; and what those of more than one byte share.
async fn connect(tasks: &Tasks) -> (SendRequest<String>, Arc<()>) {
    let own = certificate(&[HOST]);
    let certificates = Arc::new(Certificates::default());
    certificates.replace([Arc::clone(&own)]);
    let acceptor = TlsAcceptor::new(certificates, Arc::new(Tickets::new(Clock::system())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = HttpLimits { write_timeout: Duration::from_millis(200), write_rate: 1 << 16, ..HttpLimits::default() };
    let alive = Arc::new(());
    let of_server = Arc::clone(&alive);
    serve_connections("test", listener, Some(acceptor), &limits, tasks, move |_| {
        let alive = Arc::clone(&of_server);
        service_fn(move |request: Request<Incoming>| {
            let length = request.uri().path()[1..].parse().unwrap();
            let alive = (length > 1).then(|| Arc::clone(&alive));
            async move { Ok::<_, Infallible>(Response::new(Sevens { length, _alive: alive })) }
        })
    });
    let connector = TlsConnector::from(Arc::new(client(&[&own], &[&TLS13], &["h2"])));
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(WINDOW);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    drop(tasks.spawn("client", async { drop(connection.await) }));
    (sender, alive)
}

async fn request(sender: &mut SendRequest<String>, length: usize) -> hyper::Result<Response<Incoming>> {
    let request = Request::get(format!("https://{HOST}/{length}")).body(String::new()).unwrap();
    sender.send_request(request).await
}

/// Requests a byte.
async fn take_byte(sender: &mut SendRequest<String>) -> hyper::Result<Bytes> {
    Ok(request(sender, 1).await?.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn stream_whose_client_takes_nothing_is_reset_and_the_others_of_its_connection_go_on() {
    let tasks = Tasks::default();
    let (mut sender, alive) = connect(&tasks).await;
    assert_eq!(&take_byte(&mut sender).await.unwrap()[..], [7]);
    let others = Arc::strong_count(&alive);
    let left = request(&mut sender, 300_000).await.unwrap();
    assert_eq!(Arc::strong_count(&alive), others + 1);
    while Arc::strong_count(&alive) > others {
        take_byte(&mut sender).await.unwrap();
    }
    left.into_body().collect().await.unwrap_err();
    take_byte(&mut sender).await.unwrap();
    drop(sender);
    tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// hyper has all of such a response, and no means to reset its stream.
#[tokio::test]
async fn connection_whose_client_leaves_the_end_of_a_response_is_closed() {
    let tasks = Tasks::default();
    let (mut sender, _) = connect(&tasks).await;
    let _left = request(&mut sender, WINDOW as usize + 5000).await.unwrap();
    while take_byte(&mut sender).await.is_ok() {}
    tasks.shutdown(Duration::from_secs(5)).await.unwrap();
}
