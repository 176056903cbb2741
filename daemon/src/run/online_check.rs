//! `check-config --online`: tries what a daemon needs from its machine and its network.

use std::any::Any;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use prometheus_client::metrics::counter::Counter;
use verge_protocol::api::TokenOwner;
use verge_protocol::{KeyPin, Timestamp};

use super::connect_advice::connect_advice;
use crate::clock::Clock;
use crate::error_chain;
use crate::listen::{self, Listen, ListenError};
use crate::origins::{OriginUrl, Origins, OriginsError, foreign_token};
use crate::secret::Secret;

/// A difference between two clocks that is worth a note. Less is the precision of the comparison, or does no harm.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// What a daemon needs besides a valid configuration.
pub struct Needs {
    /// The data directory.
    pub data: PathBuf,
    /// Every port, opened like the daemon does.
    pub ports: Vec<Port>,
    /// The origins to follow, unless it is one.
    pub origins: Option<OriginAccess>,
    /// The results of checks of its own.
    pub findings: Vec<Finding>,
}

/// How a daemon connects to origins.
pub struct OriginAccess {
    /// The origins.
    pub urls: Vec<OriginUrl>,
    /// The pin of their key; `None`: they are verified by name.
    pub pin: Option<KeyPin>,
    /// The token.
    pub token: Secret,
    /// The daemon, by the name that is configured.
    pub owner: TokenOwner,
}

/// A port that was tried.
pub struct Port {
    setting: &'static str,
    address: SocketAddr,
    /// The socket stays open until all ports were tried: two settings may name the same port.
    opened: Result<Box<dyn Any + Send>, ListenError>,
}

impl Port {
    /// The port of a setting, and what opening it returned.
    pub fn new(setting: &'static str, address: SocketAddr, opened: Result<impl Any + Send, ListenError>) -> Self {
        Self { setting, address, opened: opened.map(|socket| Box::new(socket) as Box<dyn Any + Send>) }
    }

    /// Opens a TCP port; `None` if it is a socket that is bound already.
    pub async fn tcp(setting: &'static str, listen: &Listen) -> Option<Self> {
        match listen {
            Listen::Bind(address) => Some(Self::new(setting, *address, listen::tcp(setting, *address).await)),
            Listen::Bound(_) => None,
        }
    }
}

/// The result of a check. `Display` is its line in the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// As needed.
    Ok(String),
    /// Worth knowing, but not an error.
    Note(String),
    /// The daemon would not start, or not do its task.
    Fail(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(text) => write!(formatter, "ok    {text}"),
            Self::Note(text) => write!(formatter, "note  {text}"),
            Self::Fail(text) => write!(formatter, "FAIL  {text}"),
        }
    }
}

/// Checks what a daemon needs. Writes nothing that remains.
pub(super) async fn check(needs: Needs, clock: &Clock) -> Vec<Finding> {
    let (data, is_running) = data_dir(&needs.data);
    let mut findings = vec![data];
    findings.extend(ports(&needs.ports, is_running));
    drop(needs.ports);
    if let Some(access) = needs.origins {
        findings.extend(origins(access, clock).await);
    }
    findings.extend(needs.findings);
    findings
}

/// Whether the data directory can be used, and whether a process uses it. The directory and its lock are not created: they would belong to
/// the user who runs the check.
fn data_dir(path: &Path) -> (Finding, bool) {
    let shown = path.display();
    let lock = File::open(path.join("lock"));
    if lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock))) {
        return (Finding::Note(format!("data {shown}: in use by a running process")), true);
    }
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    // An empty ancestor is the current directory.
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let finding = match tempfile::NamedTempFile::new_in(existing) {
        Ok(_) if existing == path => Finding::Ok(format!("data {shown}: writable, not in use")),
        Ok(_) => Finding::Ok(format!("data {shown}: can be created")),
        Err(error) => Finding::Fail(format!("data {shown}: {} is not writable: {}", existing.display(), error.kind())),
    };
    (finding, false)
}

fn ports(ports: &[Port], is_running: bool) -> Vec<Finding> {
    ports.iter().map(|port| Finding::of_port(port, ports, is_running)).collect()
}

impl Finding {
    fn of_port(port: &Port, all: &[Port], is_running: bool) -> Self {
        let Port { setting, address, opened } = port;
        match opened {
            Ok(_) => Self::Ok(format!("{setting} {address}: can be opened")),
            Err(ListenError::Taken { .. }) => {
                let by_setting =
                    all.iter().find(|other| other.opened.is_ok() && other.address.port() == address.port());
                match by_setting {
                    Some(other) => {
                        Self::Fail(format!("{setting} {address}: in use by `{}` {}", other.setting, other.address))
                    }
                    None if is_running => {
                        Self::Note(format!("{setting} {address}: in use, as expected while the process runs"))
                    }
                    None => Self::Fail(format!("{setting} {address}: in use by another process: change `{setting}`")),
                }
            }
            Err(ListenError::Refused { source, .. }) => match source.kind() {
                ErrorKind::PermissionDenied => Self::Fail(format!(
                    "{setting} {address}: permission denied: a port below 1024 needs root or CAP_NET_BIND_SERVICE"
                )),
                ErrorKind::AddrNotAvailable => {
                    Self::Fail(format!("{setting} {address}: this machine does not have the address"))
                }
                _ => Self::Fail(format!("{setting} {address}: {source}")),
            },
            Err(error @ ListenError::Unusable { .. }) => {
                Self::Fail(format!("{setting} {address}: {}", error_chain(error)))
            }
        }
    }
}

async fn origins(access: OriginAccess, clock: &Clock) -> Vec<Finding> {
    let OriginAccess { urls, pin, token, owner } = access;
    let origins =
        match Origins::new(urls, pin, &token, concat!("verge-check/", env!("CARGO_PKG_VERSION")), Counter::default()) {
            Ok(origins) => origins,
            Err(error @ (OriginsError::Token(_) | OriginsError::Client(_))) => {
                return vec![Finding::Fail(error_chain(&error))];
            }
        };
    let mut findings = Vec::new();
    for url in origins.urls() {
        match origins.token_owner_and_time(url).await {
            Ok((actual, date)) => {
                findings.push(if actual == owner {
                    Finding::Ok(format!("origin {url}: reachable, and the token is that of {owner}"))
                } else {
                    Finding::Fail(format!("origin {url}: {}", foreign_token(&actual, &owner)))
                });
                findings.extend(clock_difference(url, date.as_ref(), clock.now()));
            }
            Err(error) if error.is_unknown_route() => findings.push(Finding::Note(format!(
                "origin {url}: reachable; it is of an older version, which cannot tell the owner of a token"
            ))),
            Err(error) => {
                let advice = connect_advice(&error);
                findings.push(Finding::Fail(format!("origin {url}: {}{advice}", error_chain(&error))));
            }
        }
    }
    findings
}

/// A note if the clocks of this machine and the origin differ.
fn clock_difference(origin: &OriginUrl, date: Option<&HeaderValue>, now: Timestamp) -> Option<Finding> {
    let time = httpdate::parse_http_date(date?.to_str().ok()?).ok()?;
    let time = Timestamp::default().after(time.duration_since(SystemTime::UNIX_EPOCH).ok()?);
    let (difference, direction) = if time > now { (now.age(time), "behind") } else { (time.age(now), "ahead of") };
    (difference > CLOCK_TOLERANCE).then(|| {
        let seconds = difference.as_secs();
        Finding::Note(format!("clock: {seconds} s {direction} that of {origin}: synchronize both, for example by NTP"))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::DataDir;

    const TOKEN: &str = "vrg_00000000000000000000000000000000000000009692e67b";

    fn needs(data: &Path) -> Needs {
        Needs { data: data.to_owned(), ports: Vec::new(), origins: None, findings: Vec::new() }
    }

    async fn lines(needs: Needs) -> Vec<String> {
        check(needs, &Clock::system()).await.iter().map(ToString::to_string).collect()
    }

    async fn port(setting: &'static str, address: SocketAddr) -> Port {
        Port::tcp(setting, &address.into()).await.unwrap()
    }

    #[tokio::test]
    async fn data_directory_is_tried_without_being_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let shown = path.display();
        assert_eq!(lines(needs(&path)).await, [format!("ok    data {shown}: can be created")]);
        assert!(!folder.path().join("a").exists());
        let data = DataDir::open(&path).unwrap();
        assert_eq!(lines(needs(&path)).await, [format!("note  data {shown}: in use by a running process")]);
        drop(data);
        assert_eq!(lines(needs(&path)).await, [format!("ok    data {shown}: writable, not in use")]);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "the lock");
        let file = path.join("lock");
        let wrong = lines(needs(&file)).await;
        assert!(
            wrong[0].starts_with("FAIL  data ") && wrong[0].ends_with("is not writable: not a directory"),
            "{wrong:?}"
        );
    }

    #[tokio::test]
    async fn port_in_use_is_attributed_to_a_setting_a_running_process_or_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let in_use = async |is_running: bool| {
            let _data = is_running.then(|| DataDir::open(folder.path()).unwrap());
            lines(Needs { ports: vec![port("listen", address).await], ..needs(folder.path()) }).await.pop().unwrap()
        };
        assert_eq!(in_use(false).await, format!("FAIL  listen {address}: in use by another process: change `listen`"));
        assert_eq!(in_use(true).await, format!("note  listen {address}: in use, as expected while the process runs"));
        drop(taken);
        let ports = vec![port("listen", address).await, port("private_listen", address).await];
        assert_eq!(
            lines(Needs { ports, ..needs(folder.path()) }).await[1..],
            [
                format!("ok    listen {address}: can be opened"),
                format!("FAIL  private_listen {address}: in use by `listen` {address}"),
            ]
        );
        let elsewhere = vec![port("listen", "192.0.2.1:80".parse().unwrap()).await];
        assert_eq!(
            lines(Needs { ports: elsewhere, ..needs(folder.path()) }).await[1],
            "FAIL  listen 192.0.2.1:80: this machine does not have the address"
        );
    }

    /// The lines about an origin that answers `GET /v1/token` like this, with its URL replaced.
    async fn origin(status: StatusCode, body: serde_json::Value) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/token", get(async move || (status, Json(body))));
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        at(&url).await
    }

    async fn at(url: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let owner = TokenOwner::Edge("fra-1".parse().unwrap());
        let access = OriginAccess { urls: vec![url.parse().unwrap()], pin: None, token: Secret::new(TOKEN), owner };
        let lines = lines(Needs { origins: Some(access), ..needs(folder.path()) }).await;
        lines[1..].iter().map(|line| line.replace(url, "URL")).collect()
    }

    #[tokio::test]
    async fn origin_and_token_are_tried() {
        let refused = |code: &str, message: &str| json!({ "code": code, "message": message });
        for (status, body, line) in [
            (
                StatusCode::OK,
                json!({ "kind": "edge", "name": "fra-1" }),
                "ok    origin URL: reachable, and the token is that of edge fra-1",
            ),
            (
                StatusCode::OK,
                json!({ "kind": "edge", "name": "fra-2" }),
                "FAIL  origin URL: the token belongs to edge fra-2, but this is edge fra-1: issue one with \
                 `verge edges token fra-1` and write it to `token_file`",
            ),
            (
                StatusCode::OK,
                json!("hello"),
                "FAIL  origin URL: unexpected answer from URL: is it the URL of an origin?",
            ),
            (
                StatusCode::UNAUTHORIZED,
                refused("invalid_token", "unknown token"),
                "FAIL  origin URL: URL answered 401 Unauthorized: unknown token; issue a new token with \
                 `verge edges token` or `verge dns token` and put it into `token_file`",
            ),
            (
                StatusCode::NOT_FOUND,
                refused("unknown_route", "there is no route /v1/token"),
                "note  origin URL: reachable; it is of an older version, which cannot tell the owner of a token",
            ),
            (StatusCode::NOT_FOUND, json!({}), "FAIL  origin URL: URL answered 404 Not Found"),
        ] {
            assert_eq!(origin(status, body).await, [line]);
        }
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let unreachable = at(&format!("http://{unused}")).await;
        assert!(unreachable[0].starts_with("FAIL  origin URL: failed to reach URL: "), "{unreachable:?}");
        assert!(unreachable[0].contains("Connection refused"), "{unreachable:?}");
        assert!(unreachable[0].ends_with("; check that the origin is running, and its port"), "{unreachable:?}");
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", plain.local_addr().unwrap());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(plain, Router::new()).await.unwrap() });
        let not_tls = at(&url).await;
        assert!(not_tls[0].starts_with("FAIL  origin URL: failed to reach URL: "), "{not_tls:?}");
        assert!(not_tls[0].contains("; the port does not speak TLS: "), "{not_tls:?}");
    }

    #[test]
    fn clock_difference_of_more_than_30_seconds_is_noted() {
        let origin: OriginUrl = "https://cdn.acme.net".parse().unwrap();
        let date = HeaderValue::from_static("Thu, 01 Jan 1970 00:10:00 GMT");
        let noted = |seconds: u64| {
            clock_difference(&origin, Some(&date), Timestamp(seconds * 1000)).map(|finding| finding.to_string())
        };
        assert_eq!((noted(570), noted(600), noted(630)), (None, None, None));
        let advice = "that of https://cdn.acme.net: synchronize both, for example by NTP";
        assert_eq!(noted(569).unwrap(), format!("note  clock: 31 s behind {advice}"));
        assert_eq!(noted(700).unwrap(), format!("note  clock: 100 s ahead of {advice}"));
        assert_eq!(clock_difference(&origin, None, Timestamp(0)), None);
    }
}
