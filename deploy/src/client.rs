//! The origin's HTTP API, one method a route. docs/API.md lists the routes; `verge_protocol::api` has the bodies. And what name
//! servers are asked.

mod address;
mod error;
mod events;
mod name_server;
mod token;
mod watch;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use verge_protocol::api::{
    BlobsStored, BuildCreated, CreateRelease, Edge, ErrorBody, IssuedToken, MoveChannel, Site, SitePage, Status,
};
use verge_protocol::{BuildId, ChannelName, EdgeName, NameServerName, Position, SiteName, compression, pack};

pub use self::address::{Address, AddressError};
pub use self::error::ClientError;
pub use self::events::Events;
pub use self::name_server::{NameServer, NameServerError};
pub use self::token::Token;
use self::watch::{Stalled, Watch};

/// How long nothing may move in a request before it is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// The same for a stream of events, in which the origin is at work and may have nothing to say for a while.
const WORKING_SILENCE: Duration = Duration::from_mins(2);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Large bodies are handed over in pieces of this size, so that a slow link shows progress.
const PIECE: usize = 32 * 1024;

const JSON: &str = "application/json";

/// Speaks to one origin with one token. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    origin: Address,
    authorization: HeaderValue,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A token that no header can carry.
    #[error("the token holds characters that no token has")]
    Token,
    /// HTTPS is asked for, and this machine has nothing to check certificates with.
    #[error("failed to load this machine's root certificates")]
    Certificates(#[source] reqwest::Error),
}

/// The status of the origin, all its edges and all its sites.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Status`, and the lists of edges and sites")]
pub struct Overview {
    pub position: Position,
    pub version: String,
    pub edges: Vec<Edge>,
    pub sites: Vec<Site>,
}

impl Client {
    /// Makes a client; nothing is sent yet.
    pub fn new(origin: Address, token: &Token) -> Result<Self, SetupError> {
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", token.reveal())).map_err(|_| SetupError::Token)?;
        authorization.set_sensitive(true);
        Ok(Self { http: http(&origin)?, origin, authorization })
    }

    /// The origin it speaks to.
    pub fn origin(&self) -> &Address {
        &self.origin
    }

    /// `GET path`: a site, all sites, releases, domains, nodes or the status, as the caller wants to read it.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.send(Method::GET, path, None).await?;
        self.read(response).await
    }

    /// The status of the origin, all its edges and all its sites.
    pub async fn overview(&self) -> Result<Overview, ClientError> {
        let Status { position, version } = self.get("/v1/status").await?;
        let edges = self.get("/v1/edges").await?;
        Ok(Overview { position, version, edges, sites: self.sites().await? })
    }

    /// All sites, page by page.
    pub async fn sites(&self) -> Result<Vec<Site>, ClientError> {
        let mut sites = Vec::new();
        let mut path = "/v1/sites?limit=1000".to_owned();
        loop {
            let page: SitePage = self.get(&path).await?;
            sites.extend(page.sites);
            let Some(next) = page.next else { return Ok(sites) };
            path = format!("/v1/sites?limit=1000&after={next}");
        }
    }

    /// `PUT path`: an edge and how it is forced, a fence, or a domain; the answer as the caller wants to read it.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let response = self.send(Method::PUT, path, Some(json(body))).await?;
        self.read(response).await
    }

    /// `DELETE path`: an edge, a node or a domain.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    /// `PUT /v1/sites/{site}`: makes sure that the site exists.
    pub async fn create_site(&self, site: &SiteName) -> Result<(), ClientError> {
        self.send(Method::PUT, &format!("/v1/sites/{site}"), None).await.map(drop)
    }

    /// `POST /v1/edges/{edge}/token`: a new token for an edge; an earlier one stops working.
    pub async fn issue_edge_token(&self, edge: &EdgeName) -> Result<IssuedToken, ClientError> {
        let response = self.send(Method::POST, &format!("/v1/edges/{edge}/token"), None).await?;
        self.read(response).await
    }

    /// `POST /v1/name-servers/{node}/token`: a new token for a node; an earlier one stops working.
    pub async fn issue_name_server_token(&self, node: &NameServerName) -> Result<IssuedToken, ClientError> {
        let response = self.send(Method::POST, &format!("/v1/name-servers/{node}/token"), None).await?;
        self.read(response).await
    }

    /// `POST /v1/sites/{site}/builds`: names a build, packed by [`compression::compress`]. The same build may be named again,
    /// to learn what is still missing.
    pub async fn create_build(
        &self,
        site: &SiteName,
        channel: &ChannelName,
        build: Bytes,
    ) -> Result<BuildCreated, ClientError> {
        let path = format!("/v1/sites/{site}/builds?channel={channel}");
        let pieces = futures_util::stream::iter([Ok(build)]);
        let response = self.send(Method::POST, &path, Some((compression::MEDIA_TYPE, pieces.boxed()))).await?;
        self.read(response).await
    }

    /// `POST /v1/sites/{site}/builds/{build}/blobs`: sends a pack as it is made.
    pub async fn send_pack(
        &self,
        site: &SiteName,
        build: &BuildId,
        frames: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<BlobsStored, ClientError> {
        let path = format!("/v1/sites/{site}/builds/{build}/blobs");
        let response = self.send(Method::POST, &path, Some((pack::MEDIA_TYPE, frames.boxed()))).await?;
        self.read(response).await
    }

    /// `POST /v1/sites/{site}/releases`: makes a release of a build and moves a channel to it.
    pub async fn publish(&self, site: &SiteName, publish: &CreateRelease) -> Result<Events, ClientError> {
        self.events(&format!("/v1/sites/{site}/releases"), publish).await
    }

    /// `POST /v1/sites/{site}/channels/{channel}`: moves a channel to a release that exists.
    pub async fn move_channel(
        &self,
        site: &SiteName,
        channel: &ChannelName,
        to: &MoveChannel,
    ) -> Result<Events, ClientError> {
        self.events(&format!("/v1/sites/{site}/channels/{channel}"), to).await
    }

    async fn events(&self, path: &str, asked: &impl Serialize) -> Result<Events, ClientError> {
        let response = self.send(Method::POST, path, Some(json(asked))).await?;
        Ok(events::read(self.origin.clone(), response, WORKING_SILENCE))
    }

    /// Sends a request and waits for a head that says yes.
    async fn send(&self, method: Method, path: &str, body: Option<Typed>) -> Result<Response, ClientError> {
        let watch = Watch::new(SILENCE);
        let mut request =
            self.http.request(method, self.origin.join(path)).header(AUTHORIZATION, self.authorization.clone());
        request = match body {
            Some((media_type, body)) => {
                let watch = watch.clone();
                let pieces =
                    body.map_ok(|bytes| futures_util::stream::iter(split(bytes).map(Ok::<_, io::Error>))).try_flatten();
                let watched = pieces.inspect_ok(move |piece| watch.sent(piece.len()));
                request.header(CONTENT_TYPE, media_type).body(Body::wrap_stream(watched))
            }
            None => request.header(ACCEPT, JSON),
        };
        let response = match watch.guard(request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(ClientError::broken(&self.origin, &error)),
            Err(Stalled(silence)) => return Err(ClientError::Stalled { silence }),
        };
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let bytes = self.read_bytes(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.foreign(error.to_string()))
    }

    async fn read_bytes(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        loop {
            match tokio::time::timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(piece))) => bytes.extend_from_slice(&piece),
                Ok(Ok(None)) => return Ok(bytes),
                Ok(Err(error)) => return Err(ClientError::broken(&self.origin, &error)),
                Err(_) => return Err(ClientError::Stalled { silence: SILENCE }),
            }
        }
    }

    async fn refusal(&self, response: Response) -> ClientError {
        let status = response.status();
        let bytes = match self.read_bytes(response).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => ClientError::Refused { status: Some(status), body },
            // Something between here and the origin speaks for it while it is away.
            Err(_) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                ClientError::Gateway { origin: self.origin.to_string(), status }
            }
            Err(_) => self.foreign(format!("it answers {status}")),
        }
    }

    fn foreign(&self, reason: String) -> ClientError {
        ClientError::Foreign { origin: self.origin.to_string(), reason }
    }
}

/// What speaks HTTP to `address`.
fn http(address: &Address) -> Result<reqwest::Client, SetupError> {
    let mut http = reqwest::Client::builder()
        .user_agent(concat!("verge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // Neither origin nor name server redirects; whoever does is not to get the token.
        .redirect(reqwest::redirect::Policy::none());
    if address.is_loopback() {
        http = http.no_proxy();
    }
    if let Some(name) = address.local_name() {
        // Port 0 leaves the URL's own.
        let here = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
        http = http.resolve_to_addrs(name, &here);
    }
    if address.is_plain() {
        // Loads none: a slim container may have no certificates, and needs none for this.
        http = http.tls_certs_only([]);
    }
    http.build().map_err(SetupError::Certificates)
}

type Typed = (&'static str, futures_util::stream::BoxStream<'static, io::Result<Bytes>>);

fn json(body: &impl Serialize) -> Typed {
    let json = serde_json::to_vec(body).expect("plain data becomes JSON");
    (JSON, futures_util::stream::iter([Ok(Bytes::from(json))]).boxed())
}

fn split(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(PIECE))))
}
