//! The access log: a line for each request of a reader, written once its response has ended.
//!
//! ```text
//! request ──► OpenEntry ──► response ──► its end ──► line ──► queue ──► writer ──► file
//! ```
//!
//! Readers wait for nothing: a line is formatted where its response ends, and added to a queue of bounded size ([`queue`]); one thread writes it
//! ([`writer`]). What a line is, is a pure function ([`line`]).

mod line;
mod output;
mod queue;
mod request_fields;
mod writer;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Request, StatusCode, Version};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use verge_daemon::Clock;
use verge_daemon::http_server::{ObservedBy, ResponseEnd, ResponseObserver, TrustedProxies};
use verge_protocol::{ChannelName, Timestamp};

use self::line::Line;
use self::output::Output;
use self::queue::Queue;
use self::request_fields::RequestFields;
use crate::config::{AccessLogConfig, AccessLogFormat};

pub(crate) use self::writer::Writer;

/// Lines that wait to be written, in bytes: what a busy edge logs in the seconds for which a disk may stand still.
const QUEUE_BYTES: usize = 4 << 20;

/// The access log of an edge. Clones share it.
#[derive(Clone)]
pub(crate) struct AccessLog(Arc<Shared>);

struct Shared {
    queue: Arc<Queue>,
    format: AccessLogFormat,
    trusted_proxies: TrustedProxies,
    clock: Clock,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl AccessLog {
    /// Opens the log, with the counter of lines that are dropped. What `trusted_proxies` say of the addresses of their clients is believed.
    pub(crate) fn open(
        config: &AccessLogConfig,
        trusted_proxies: TrustedProxies,
        clock: Clock,
        dropped: Counter,
    ) -> io::Result<(Self, Writer)> {
        let queue = Arc::new(Queue::new(QUEUE_BYTES, dropped));
        let writer = Writer::start(Arc::clone(&queue), Output::open(&config.destination)?)?;
        Ok((Self(Arc::new(Shared { queue, format: config.format, trusted_proxies, clock })), writer))
    }

    /// The entry of a request that begins, on a connection from `peer`, over TLS of this version.
    pub(crate) fn begin<B>(&self, request: &Request<B>, peer: IpAddr, tls: Option<&'static str>) -> OpenEntry {
        OpenEntry(Some(Box::new(Entry {
            log: self.clone(),
            time: self.0.clock.now(),
            begun: Instant::now(),
            remote: self.0.trusted_proxies.client(peer, request.headers()),
            tls,
            version: request.version(),
            fields: RequestFields::of(request),
            site: None,
            channel: None,
            release: None,
            status: None,
            cache: NO_CACHE,
        })))
    }
}

/// The cache result of a response that is not a file's.
const NO_CACHE: &str = "none";

/// What is known of a request.
struct Entry {
    log: AccessLog,
    time: Timestamp,
    begun: Instant,
    remote: IpAddr,
    tls: Option<&'static str>,
    version: Version,
    fields: RequestFields,
    site: Option<String>,
    channel: Option<ChannelName>,
    release: Option<HeaderValue>,
    status: Option<StatusCode>,
    cache: &'static str,
}

impl Entry {
    fn write(&self, end: ResponseEnd) {
        let fields = &self.fields;
        let line = Line {
            time: self.time,
            remote: self.remote,
            host: fields.host.as_deref(),
            method: fields.method.as_str().as_bytes(),
            target: &fields.target,
            protocol: self.version,
            status: self.status.map(|status| status.as_u16()),
            sent_bytes: end.sent_bytes,
            duration: self.begun.elapsed(),
            is_complete: end.is_complete,
            site: self.site.as_deref(),
            channel: self.channel.as_ref().map(ChannelName::as_str),
            release: self.release.as_ref().and_then(|release| release.to_str().ok()),
            cache: self.cache,
            tls: self.tls,
            referer: fields.referer.as_deref(),
            user_agent: fields.user_agent.as_deref(),
        };
        let log = &self.log.0;
        log.queue.push(&line.text(log.format));
    }
}

impl ResponseObserver for Entry {
    fn ended(&self, end: ResponseEnd) {
        self.write(end);
    }
}

/// The entry of a request without a response. If it is dropped, the client has left.
pub(crate) struct OpenEntry(Option<Box<Entry>>);

impl OpenEntry {
    /// Notes the site and channel of the host.
    pub(crate) fn set_host(&mut self, site: &str, channel: Option<&ChannelName>) {
        if let Some(entry) = &mut self.0 {
            entry.site = Some(site.to_owned());
            entry.channel = channel.cloned();
        }
    }

    /// Notes the response. The observer that is returned writes the line when the response has ended.
    pub(crate) fn answered(
        mut self,
        status: StatusCode,
        release: Option<&HeaderValue>,
        cache: &'static str,
    ) -> Option<ObservedBy> {
        let mut entry = self.0.take()?;
        entry.status = Some(status);
        entry.release = release.cloned();
        entry.cache = cache;
        Some(ObservedBy(Arc::new(*entry)))
    }
}

impl Drop for OpenEntry {
    fn drop(&mut self) {
        if let Some(entry) = self.0.take() {
            entry.write(ResponseEnd { sent_bytes: 0, is_complete: false });
        }
    }
}
