//! Clients of the origin's HTTP API and of name servers. docs/API.md lists the routes; `verge_protocol::api` has the bodies.

mod edge_client;
mod error;
mod events;
mod http;
mod name_server;
mod presented_key;
mod server_url;
mod stall_timeout;
mod token;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use verge_protocol::api::{
    BlobsStored, BuildCreated, CreateRelease, EraseRequest, ErasurePlan, ErrorBody, Host, IssuedJoinSecret,
    IssuedToken, MoveChannel, Progress, PurgeProgress, PurgeRequest, TokenOwner,
};
use verge_protocol::{
    BuildId, ChannelName, Digest, DomainName, EdgeName, KeyPin, Manifest, NameServerName, ReleaseNumber, Seq, SiteName,
    compression, error_chain, pack,
};

pub use self::edge_client::EdgeClient;
pub use self::error::ClientError;
pub use self::events::Events;
pub use self::http::SetupError;
use self::http::{RequestBody, STALL_LIMIT, http};
pub use self::name_server::{NameServer, NameServerError};
pub use self::presented_key::presented_key;
pub use self::server_url::{ServerUrl, ServerUrlError};
use self::stall_timeout::{StallTimeout, Stalled};
pub use self::token::Token;

/// The longest time without data in an event stream, which is silent while the origin works.
const EVENTS_STALL_LIMIT: Duration = Duration::from_mins(2);

/// The maximum size of an answer in bytes: that to a build, which names each blob that is missing, is the largest.
const ANSWER_MAX: usize = 64 << 20;

/// The maximum size of an error in bytes.
const ERROR_MAX: usize = 1 << 20;

/// The longest time from the head of an answer to its end; event streams have none.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(15);

/// The maximum size of a manifest in bytes, compressed and decompressed, as edges have it.
const COMPRESSED_MANIFEST_MAX: usize = 64 << 20;
const MANIFEST_MAX: usize = 256 << 20;

/// A client of one origin, with one token. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    origin: ServerUrl,
    pin: Option<KeyPin>,
    authorization: HeaderValue,
}

/// A page of `GET /v1/sites`, with sites as the caller wants to read them.
#[derive(Deserialize)]
struct SitePage<T> {
    sites: Vec<T>,
    #[serde(default)]
    next: Option<SiteName>,
}

impl Client {
    /// Makes a client that verifies the origin by its name; nothing is sent yet.
    pub fn new(origin: ServerUrl, token: &Token) -> Result<Self, SetupError> {
        Self::with_pin(origin, token, None)
    }

    /// Makes a client that verifies the origin by the pin of its key, if there is one.
    pub fn with_pin(origin: ServerUrl, token: &Token, pin: Option<KeyPin>) -> Result<Self, SetupError> {
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| SetupError::Token)?;
        authorization.set_sensitive(true);
        Ok(Self { http: http(&origin, pin)?, origin, pin, authorization })
    }

    /// The URL of the origin.
    pub fn origin(&self) -> &ServerUrl {
        &self.origin
    }

    /// The pin by which the origin is verified.
    pub fn pin(&self) -> Option<KeyPin> {
        self.pin
    }

    /// `GET path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.send(Method::GET, path, None).await?;
        self.read(response).await
    }

    /// `GET /v1/hosts/{host}`: what edges answer with at a host.
    pub async fn host(&self, host: &DomainName) -> Result<Host, ClientError> {
        self.get(&format!("/v1/hosts/{host}")).await
    }

    /// `GET /v1/manifests/{id}`.
    pub async fn manifest(&self, id: Digest) -> Result<Manifest, ClientError> {
        let response = self.send(Method::GET, &format!("/v1/manifests/{id}"), None).await?;
        let compressed = self.read_at_most(response, COMPRESSED_MANIFEST_MAX).await?;
        let bytes =
            compression::decompress(&compressed, MANIFEST_MAX).map_err(|error| self.unexpected(error_chain(&error)))?;
        Manifest::verify(id, &bytes).map_err(|error| self.unexpected(error_chain(&error)))
    }

    /// `PUT path`.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let response = self.send(Method::PUT, path, Some(RequestBody::json(body))).await?;
        self.read(response).await
    }

    /// `POST path`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let response = self.send(Method::POST, path, Some(RequestBody::json(body))).await?;
        self.read(response).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    /// `DELETE /v1/sites/{site}/channels/{channel}` of a channel at the epoch `expected`, for `author`.
    pub async fn delete_channel(
        &self,
        site: &SiteName,
        channel: &ChannelName,
        expected: Seq,
        author: Option<&str>,
    ) -> Result<(), ClientError> {
        let path = format!("/v1/sites/{site}/channels/{channel}?expected={expected}");
        let mut url = Url::parse(&self.origin.join(&path)).expect("a path and a number make a valid URL");
        url.query_pairs_mut().extend_pairs(author.map(|author| ("author", author)));
        let query = url.query().unwrap_or_default();
        self.delete(&format!("/v1/sites/{site}/channels/{channel}?{query}")).await
    }

    /// `DELETE /v1/sites/{site}/releases/{release}`, for `author`.
    pub async fn delete_release(
        &self,
        site: &SiteName,
        release: ReleaseNumber,
        author: Option<&str>,
    ) -> Result<(), ClientError> {
        let path = format!("/v1/sites/{site}/releases/{release}");
        let mut url = Url::parse(&self.origin.join(&path)).expect("a path and a number make a valid URL");
        url.query_pairs_mut().extend_pairs(author.map(|author| ("author", author)));
        let query = url.query().unwrap_or_default();
        self.delete(&format!("{path}?{query}")).await
    }

    /// `GET /v1/sites`, all pages.
    pub async fn sites<T: DeserializeOwned>(&self) -> Result<Vec<T>, ClientError> {
        let mut page: SitePage<T> = self.get("/v1/sites?limit=1000").await?;
        let mut sites = page.sites;
        let mut last = None;
        // Pages go forward: an origin that repeats itself ends the list.
        while let Some(after) = page.next.take_if(|next| last.as_ref() < Some(next)) {
            page = self.get(&format!("/v1/sites?limit=1000&after={after}")).await?;
            sites.append(&mut page.sites);
            last = Some(after);
        }
        Ok(sites)
    }

    /// `PUT /v1/sites/{site}`: creates the site unless it exists; returns whether it is new.
    pub async fn create_site(&self, site: &SiteName) -> Result<bool, ClientError> {
        let response = self.send(Method::PUT, &format!("/v1/sites/{site}"), None).await?;
        let is_new = response.status() == StatusCode::CREATED;
        // Reading the response to its end lets the next request use the same connection.
        self.read_bytes(response).await?;
        Ok(is_new)
    }

    /// `POST /v1/edges/{edge}/token`: issues a token for an edge, which replaces its current one.
    pub async fn issue_edge_token(&self, edge: &EdgeName) -> Result<IssuedToken, ClientError> {
        let response = self.send(Method::POST, &format!("/v1/edges/{edge}/token"), None).await?;
        self.read(response).await
    }

    /// `POST /v1/edges/{edge}/join-code` or `POST /v1/name-servers/{name}/join-code`: makes a join code, which replaces an earlier one.
    pub async fn issue_join_secret(&self, owner: &TokenOwner) -> Result<IssuedJoinSecret, ClientError> {
        let path = match owner {
            TokenOwner::NameServer(name) => format!("/v1/name-servers/{name}/join-code"),
            TokenOwner::Edge(edge) => format!("/v1/edges/{edge}/join-code"),
            // The administrator does not join: the origin answers that there is no such route.
            TokenOwner::Admin => "/v1/join-code".to_owned(),
        };
        let response = self.send(Method::POST, &path, None).await?;
        self.read(response).await
    }

    /// `POST /v1/name-servers/{name}/token`: issues a token for a name server, which replaces its current one.
    pub async fn issue_name_server_token(&self, name: &NameServerName) -> Result<IssuedToken, ClientError> {
        let response = self.send(Method::POST, &format!("/v1/name-servers/{name}/token"), None).await?;
        self.read(response).await
    }

    /// `POST /v1/sites/{site}/builds`: registers a build, which [`compression::compress`] has packed. Repeating it returns what is
    /// still missing.
    pub async fn create_build(
        &self,
        site: &SiteName,
        channel: &ChannelName,
        build: Bytes,
    ) -> Result<BuildCreated, ClientError> {
        let path = format!("/v1/sites/{site}/builds?channel={channel}");
        let body = RequestBody::new(compression::MEDIA_TYPE, futures_util::stream::iter([Ok(build)]));
        let response = self.send(Method::POST, &path, Some(body)).await?;
        self.read(response).await
    }

    /// `POST /v1/sites/{site}/builds/{build}/blobs`: sends a pack, frame by frame.
    pub async fn send_pack(
        &self,
        site: &SiteName,
        build: &BuildId,
        frames: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<BlobsStored, ClientError> {
        let path = format!("/v1/sites/{site}/builds/{build}/blobs");
        let response = self.send(Method::POST, &path, Some(RequestBody::new(pack::MEDIA_TYPE, frames))).await?;
        self.read(response).await
    }

    /// `POST /v1/sites/{site}/releases`: makes a release of a build and moves a channel to it.
    pub async fn create_release(&self, site: &SiteName, body: &CreateRelease) -> Result<Events<Progress>, ClientError> {
        self.post_for_events(&format!("/v1/sites/{site}/releases"), body).await
    }

    /// `POST /v1/sites/{site}/channels/{channel}`: moves a channel to an existing release.
    pub async fn move_channel(
        &self,
        site: &SiteName,
        channel: &ChannelName,
        body: &MoveChannel,
    ) -> Result<Events<Progress>, ClientError> {
        self.post_for_events(&format!("/v1/sites/{site}/channels/{channel}"), body).await
    }

    /// `GET /v1/sites/{site}/channels/{channel}/rollout`: the rollout that is in progress, or which edges serve what the channel
    /// points at.
    pub async fn rollout(&self, site: &SiteName, channel: &ChannelName) -> Result<Events<Progress>, ClientError> {
        let response = self.send(Method::GET, &format!("/v1/sites/{site}/channels/{channel}/rollout"), None).await?;
        Ok(events::read(self.origin.clone(), response, EVENTS_STALL_LIMIT))
    }

    /// `POST /v1/sites/{site}/purges`: purges paths of a site.
    pub async fn purge(&self, site: &SiteName, body: &PurgeRequest) -> Result<Events<PurgeProgress>, ClientError> {
        self.post_for_events(&format!("/v1/sites/{site}/purges"), body).await
    }

    /// `POST /v1/sites/{site}/erasures/plan`: what an erasure would remove.
    pub async fn plan_erasure(&self, site: &SiteName, body: &EraseRequest) -> Result<ErasurePlan, ClientError> {
        self.post(&format!("/v1/sites/{site}/erasures/plan"), body).await
    }

    /// `POST /v1/sites/{site}/erasures`: erases contents of a site.
    pub async fn erase(&self, site: &SiteName, body: &EraseRequest) -> Result<Events<PurgeProgress>, ClientError> {
        self.post_for_events(&format!("/v1/sites/{site}/erasures"), body).await
    }

    async fn post_for_events<T>(&self, path: &str, body: &impl Serialize) -> Result<Events<T>, ClientError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let response = self.send(Method::POST, path, Some(RequestBody::json(body))).await?;
        Ok(events::read(self.origin.clone(), response, EVENTS_STALL_LIMIT))
    }

    /// Sends a request and returns the response if its status is a success.
    async fn send(&self, method: Method, path: &str, body: Option<RequestBody>) -> Result<Response, ClientError> {
        let timeout = StallTimeout::new(STALL_LIMIT);
        let mut request =
            self.http.request(method, self.origin.join(path)).header(AUTHORIZATION, self.authorization.clone());
        request = match body {
            Some(RequestBody { media_type, chunks }) => {
                let timeout = timeout.clone();
                let chunks = chunks.inspect_ok(move |chunk| timeout.record_sent(chunk.len()));
                request.header(CONTENT_TYPE, media_type).body(Body::wrap_stream(chunks))
            }
            None => request.header(ACCEPT, RequestBody::JSON),
        };
        let response = match timeout.run(request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(ClientError::from_transport(&self.origin, &error)),
            Err(Stalled(limit)) => return Err(ClientError::Stalled { limit }),
        };
        if response.status().is_success() { Ok(response) } else { Err(self.read_error(response).await) }
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let bytes = self.read_bytes(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.unexpected(error.to_string()))
    }

    async fn read_bytes(&self, response: Response) -> Result<Vec<u8>, ClientError> {
        self.read_at_most(response, ANSWER_MAX).await
    }

    async fn read_at_most(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, ClientError> {
        let answer = async {
            let mut bytes = Vec::new();
            loop {
                match tokio::time::timeout(STALL_LIMIT, response.chunk()).await {
                    Ok(Ok(Some(chunk))) if bytes.len() + chunk.len() > limit => {
                        return Err(self.unexpected(format!("more than {limit} bytes")));
                    }
                    Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
                    Ok(Ok(None)) => return Ok(bytes),
                    Ok(Err(error)) => return Err(ClientError::from_transport(&self.origin, &error)),
                    Err(_) => return Err(ClientError::Stalled { limit: STALL_LIMIT }),
                }
            }
        };
        let in_time = tokio::time::timeout(ANSWER_TIME_MAX, answer).await;
        in_time.unwrap_or_else(|_| Err(self.unexpected(format!("no end within {} s", ANSWER_TIME_MAX.as_secs()))))
    }

    async fn read_error(&self, response: Response) -> ClientError {
        let status = response.status();
        let bytes = match self.read_at_most(response, ERROR_MAX).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => ClientError::Refused { status: Some(status), body },
            // A proxy answers while the origin is away.
            Err(_) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                ClientError::Gateway { origin: self.origin.to_string(), status }
            }
            Err(_) => self.unexpected(format!("status {status}")),
        }
    }

    fn unexpected(&self, reason: String) -> ClientError {
        ClientError::UnexpectedResponse { origin: self.origin.to_string(), reason }
    }
}
