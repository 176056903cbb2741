//! Answering readers: one hyper service without a router.
//!
//! ```text
//! framing → host → target → resolve → negotiate → conditional → range → respond
//!             └──► redirect
//! ```
//!
//! Each step is a file, and each but the last is a function of its arguments. A request whose first blob is in memory is
//! answered without waiting for anything: one look at the table, three look-ups, one write.

mod asset;
mod body;
mod builtin_responses;
mod conditional;
mod framing;
mod health;
mod host;
mod negotiate;
mod range;
mod redirect;
mod repr_digest;
mod request_path;
mod resolve;
mod respond;
mod response_head;
mod static_headers;

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::{Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use verge_daemon::Clock;
use verge_protocol::DomainName;
use verge_protocol::health::HEALTH_PATH;

use self::body::ReplyBody;
use self::builtin_responses as pages;
use self::request_path::Target;
use self::response_head::plan;
use self::static_headers::Stamps;
use crate::cache::Blobs;
use crate::metrics::{CacheResult, Metrics, Traffic};
use crate::status::Status;
use crate::table::{Place, Table};

/// The public listener's service.
#[derive(Clone)]
pub(crate) struct Readers(Arc<Shared>);

struct Shared {
    table: Arc<ArcSwap<Table>>,
    blobs: Blobs,
    clock: Clock,
    base_domains: Vec<DomainName>,
    status: Status,
    stamps: Arc<Stamps>,
    unrouted: Arc<Traffic>,
}

/// An answer: at once, or when its first blob is here.
type Answer = Either<Ready<Response<ReplyBody>>, BoxFuture<'static, Response<ReplyBody>>>;

impl Readers {
    pub(crate) fn new(
        table: Arc<ArcSwap<Table>>,
        blobs: Blobs,
        clock: Clock,
        base_domains: Vec<DomainName>,
        status: Status,
        metrics: &Metrics,
    ) -> Self {
        let stamps = Arc::new(Stamps::new(&status.edge));
        let unrouted = Arc::clone(&metrics.unrouted);
        Self(Arc::new(Shared { table, blobs, clock, base_domains, status, stamps, unrouted }))
    }
}

impl hyper::service::Service<Request<Incoming>> for Readers {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Infallibly;

    fn call(&self, request: Request<Incoming>) -> Infallibly {
        Infallibly(self.0.answer(&request))
    }
}

impl Shared {
    fn answer<B: Body>(&self, request: &Request<B>) -> Answer {
        let (headers, head) = (request.headers(), request.method() == Method::HEAD);
        let edges_own = |page: pages::Page, traffic: &Arc<Traffic>| {
            traffic.answered(page.status(), CacheResult::None);
            Either::Left(ready(page.response(head, &self.stamps)))
        };

        if let Err(refusal) = framing::check(request.method(), headers, request.body().is_end_stream()) {
            return edges_own(pages::refused(refusal, request.version()), &self.unrouted);
        }
        let Ok(host) = host::of(request.uri(), headers, request.version()) else {
            return edges_own(pages::bad_host(), &self.unrouted);
        };
        let path = request.uri().path();
        if path == HEALTH_PATH {
            return edges_own(health::page(&self.status), &self.unrouted);
        }

        let table = self.table.load();
        let label = self.base_domains.iter().find_map(|base| base.label_of(&host.name));
        let place = match label {
            Some(label) => table.label(label),
            None => table.domain(&host.name),
        };
        let channel = match place {
            Place::Served(channel) => channel,
            Place::Coming(traffic) => return edges_own(pages::coming(), traffic.as_ref().unwrap_or(&self.unrouted)),
            Place::Moved(moved) => {
                let location = redirect::location(moved.to(), host.port, request.uri());
                return edges_own(location.map_or_else(pages::bad_path, pages::moved), moved.traffic());
            }
            Place::Empty => return edges_own(pages::unknown_host(headers), &self.unrouted),
        };
        let Ok(target) = Target::read(path) else {
            return edges_own(pages::bad_path(), channel.traffic());
        };
        let destination = || asset::destination(headers);
        match resolve::resolve(channel, &target, || self.clock.now(), destination) {
            Ok(found) => respond::respond(plan(&found, headers, head), channel, &self.blobs, &self.stamps),
            Err(nothing) => {
                let page = pages::not_found(headers, &target, nothing.by_destination);
                edges_own(page.of_release(channel.release()), channel.traffic())
            }
        }
    }
}

/// A future of hyper's shape. It never fails: what goes wrong is an answer too.
pub(crate) struct Infallibly(Answer);

impl Future for Infallibly {
    type Output = Result<Response<ReplyBody>, Infallible>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context).map(Ok)
    }
}
