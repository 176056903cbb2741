//! The origins, as an edge asks them. They are tried in order; what they answer is verified before anybody sees it.

mod feed;
mod fetch;

use std::error::Error;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use reqwest::{Client, RequestBuilder, Response};
use verge_daemon::Secret;
use verge_protocol::api::BlobsWanted;
use verge_protocol::compression::DecompressError;
use verge_protocol::manifest::ManifestError;
use verge_protocol::pack::PackError;
use verge_protocol::report::Report;
use verge_protocol::{Digest, Position};

pub(crate) use self::feed::Feed;
pub(crate) use self::fetch::Pack;
use crate::config::OriginUrl;
use crate::metrics::Metrics;

/// For a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the next piece of an answer to come, not for all of it: a slow link is no fault.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);

type Attempt<'a, T> = BoxFuture<'a, Result<T, UpstreamError>>;

/// Asks the origins. Clones share connections.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client,
    origins: Vec<OriginUrl>,
    token: Secret,
    metrics: Metrics,
}

/// Why an origin did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// It could not be reached, or went away.
    #[error("the origin cannot be reached")]
    Transport(#[from] reqwest::Error),
    /// It answered with something else than a success.
    #[error("the origin answers {0}")]
    Status(StatusCode),
    /// It sent something that is no pack, or was cut short.
    #[error("the origin's pack cannot be read")]
    Pack(#[from] PackError),
    /// It sent another blob, or says that it does not hold this one.
    #[error("the origin does not give blob {0}")]
    Missing(Digest),
    /// It sent more than anything sensible has.
    #[error("the origin's answer is longer than {0} bytes")]
    TooLong(usize),
    /// What it sent does not unpack.
    #[error("the origin's manifest does not unpack")]
    Compression(#[from] DecompressError),
    /// What it sent is another manifest, or none.
    #[error("the origin's manifest is not the one asked for")]
    Manifest(#[from] ManifestError),
}

impl UpstreamError {
    /// Whether it is about reaching the origin rather than about what it answers.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Pack(PackError::Truncated) => true,
            Self::Status(status) => {
                matches!(
                    *status,
                    StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY
                )
            }
            _ => false,
        }
    }
}

/// An error with its sources, as one line for the log.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
}

impl Upstream {
    /// A client of `origins`. No connection is made yet.
    pub(crate) fn new(origins: Vec<OriginUrl>, token: Secret, metrics: Metrics) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("verge-edge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // Whom an edge follows is said in its configuration, not in its environment.
            .no_proxy()
            .build()?;
        Ok(Self { client, origins, token, metrics })
    }

    /// Opens the change feed, at the first origin that opens it, from the one at `start` on, and around.
    pub(crate) async fn changes(&self, since: Option<Position>, start: usize) -> Result<Feed, UpstreamError> {
        self.first_from(start, |place, origin| {
            let mut url = origin.route("v1/changes");
            if let Some(since) = since {
                url.query_pairs_mut().append_pair("since", &since.to_string());
            }
            async move { Ok(Feed::new(origin.to_string(), place, self.send(self.client.get(url)).await?)) }.boxed()
        })
        .await
    }

    /// Tells the first origin that listens what this edge serves.
    pub(crate) async fn report(&self, report: &Report) -> Result<(), UpstreamError> {
        self.first(|origin| {
            let request = self.client.post(origin.route("v1/edges/report")).json(report);
            async move { self.send(request).await.map(drop) }.boxed()
        })
        .await
    }

    /// Asks the first origin that answers for blobs; those that are kept are the caller's to count.
    pub(crate) async fn pack(&self, digests: &[Digest]) -> Result<Pack, UpstreamError> {
        self.first(|origin| self.pack_from(origin, digests).boxed()).await
    }

    async fn pack_from(&self, origin: &OriginUrl, digests: &[Digest]) -> Result<Pack, UpstreamError> {
        self.metrics.upstream_blobs.inc_by(digests.len() as u64);
        let wanted = BlobsWanted { digests: digests.to_vec() };
        let request = self.client.post(origin.route("v1/blobs")).json(&wanted);
        Ok(Pack::new(self.send(request).await?))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, UpstreamError> {
        let response = request.bearer_auth(self.token.expose()).send().await.map_err(reqwest::Error::without_url)?;
        if response.status().is_success() { Ok(response) } else { Err(UpstreamError::Status(response.status())) }
    }

    /// Tries each origin in order until one succeeds; the error is the last one's.
    ///
    /// A boxed future, because the compiler does not yet see that an `AsyncFn`'s is `Send`.
    async fn first<'a, T>(&'a self, attempt: impl Fn(&'a OriginUrl) -> Attempt<'a, T>) -> Result<T, UpstreamError> {
        self.first_from(0, |_, origin| attempt(origin)).await
    }

    /// The same, from the origin at `start` on, and around; tells each attempt the place of its origin.
    async fn first_from<'a, T>(
        &'a self,
        start: usize,
        attempt: impl Fn(usize, &'a OriginUrl) -> Attempt<'a, T>,
    ) -> Result<T, UpstreamError> {
        let count = self.origins.len();
        let mut places = (start..start + count).map(|turn| turn % count);
        let last = places.next_back().expect("a configuration names at least one origin");
        for place in places {
            let origin = &self.origins[place];
            match self.counted(attempt(place, origin)).await {
                Ok(value) => return Ok(value),
                Err(error) => tracing::warn!(%origin, error = %chain(&error), "an origin failed: trying the next"),
            }
        }
        self.counted(attempt(last, &self.origins[last])).await
    }

    async fn counted<T>(&self, attempt: Attempt<'_, T>) -> Result<T, UpstreamError> {
        let outcome = attempt.await;
        if outcome.is_err() {
            self.metrics.upstream_failures.inc();
        }
        outcome
    }
}
