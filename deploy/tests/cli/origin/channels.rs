//! Sites, releases and channels.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use verge_protocol::api::{
    self, Channel, CreateRelease, Edge, MoveChannel, Progress, Provenance, Release, SitePage, Status,
};
use verge_protocol::{
    Build, ChannelName, Digest, EdgeName, IdempotencyKey, ReleaseNumber, Rules, Seq, SiteName, Timestamp,
};

use super::state::{Early, Memory, Shared, Site, refuse};

/// Sites in a page: few, so that tests see several pages.
const PAGE: usize = 2;

pub(super) async fn publish(
    State(shared): State<Shared>,
    Path(site): Path<SiteName>,
    Json(request): Json<CreateRelease>,
) -> Response {
    let mut memory = shared.lock().unwrap();
    if let Some((release, epoch)) = memory.first_outcome(request.idempotency_key.as_ref()) {
        return stream(&mut memory, &site, release, epoch);
    }
    let build = memory.builds[request.build.as_str()].clone();
    if std::mem::take(&mut memory.faults.loses_blobs) {
        memory.sites.get_mut(&site).unwrap().blobs.clear();
    }
    if std::mem::take(&mut memory.faults.overtaken) {
        let winner = Provenance { author: Some("Bob".into()), message: Some("mine".into()), commit: None };
        memory.release(&site, &request.channel, build.clone(), winner);
    }
    if std::mem::take(&mut memory.faults.overtaken_without_rules) {
        let winner = Build { rules: Rules::default(), ..build.clone() };
        memory.release(&site, &request.channel, winner, request.provenance.clone());
    }
    let known = &memory.sites[&site];
    if !known.missing(&build).is_empty() {
        return refuse(StatusCode::CONFLICT, "missing_blobs", "blobs are missing");
    }
    if known.current(&request.channel).map(|current| current.epoch) != request.expected {
        return refuse(StatusCode::CONFLICT, "conflict", "the channel has moved");
    }
    if std::mem::take(&mut memory.faults.abandons) {
        return abandoned(&memory);
    }
    memory.expires_seconds.push(request.expires_seconds);
    memory.canaries.push(request.canary);
    if let Some(seconds) = request.expires_seconds {
        let lifetimes = &mut memory.sites.get_mut(&site).unwrap().lifetimes;
        lifetimes.insert(request.channel.clone(), seconds);
        lifetimes.retain(|_, seconds| *seconds > 0);
    }
    let (release, epoch) = memory.release(&site, &request.channel, build, request.provenance);
    memory.outcomes.extend(request.idempotency_key.map(|key| (key, (release, epoch))));
    stream(&mut memory, &site, release, epoch)
}

pub(super) async fn move_to(
    State(shared): State<Shared>,
    Path((site, channel)): Path<(SiteName, ChannelName)>,
    Json(to): Json<MoveChannel>,
) -> Response {
    let mut memory = shared.lock().unwrap();
    if let Some((release, epoch)) = memory.first_outcome(to.idempotency_key.as_ref()) {
        return stream(&mut memory, &site, release, epoch);
    }
    if std::mem::take(&mut memory.faults.overtaken) {
        memory.epoch += 1;
        let epoch = Seq(memory.epoch);
        memory.sites.get_mut(&site).unwrap().channels.insert(channel.clone(), (to.release, epoch));
    }
    if memory.sites[&site].current(&channel).map(|current| current.epoch) != to.expected {
        return refuse(StatusCode::CONFLICT, "conflict", "the channel has moved");
    }
    memory.epoch += 1;
    let epoch = Seq(memory.epoch);
    memory.sites.get_mut(&site).unwrap().channels.insert(channel, (to.release, epoch));
    memory.outcomes.extend(to.idempotency_key.map(|key| (key, (to.release, epoch))));
    stream(&mut memory, &site, to.release, epoch)
}

#[derive(Deserialize)]
pub(super) struct Expected {
    expected: Seq,
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    Path((site, channel)): Path<(SiteName, ChannelName)>,
    Query(Expected { expected }): Query<Expected>,
) -> Response {
    let mut memory = shared.lock().unwrap();
    if std::mem::take(&mut memory.faults.overtaken) {
        return refuse(StatusCode::CONFLICT, "conflict", "the channel has moved");
    }
    let site = memory.sites.get_mut(&site).unwrap();
    assert_eq!(site.current(&channel).unwrap().epoch, expected);
    site.channels.remove(&channel);
    StatusCode::NO_CONTENT.into_response()
}

impl Memory {
    /// What an earlier request with the same key has led to.
    fn first_outcome(&mut self, key: Option<&IdempotencyKey>) -> Option<(ReleaseNumber, Seq)> {
        self.keys.push(key.cloned());
        self.outcomes.get(key?).copied().filter(|_| !self.faults.is_old)
    }
}

/// `GET …/rollout`: the rollout of the current release.
pub(super) async fn rollout(
    State(shared): State<Shared>,
    Path((site, channel)): Path<(SiteName, ChannelName)>,
) -> Response {
    let mut memory = shared.lock().unwrap();
    let current = memory.sites[&site].channels.get(&channel).copied();
    match current.filter(|_| !memory.faults.is_old) {
        Some((release, epoch)) => match memory.faults.replaced_by {
            Some(other) => stream(&mut memory, &site, other, Seq(epoch.0 + 1)),
            None => stream(&mut memory, &site, release, epoch),
        },
        None => refuse(StatusCode::NOT_FOUND, "unknown_route", "there is no such route"),
    }
}

fn abandoned(memory: &Memory) -> Response {
    let mut events = memory.preparation.clone();
    events.push(Progress::Failed(api::ErrorBody {
        code: "rollout_abandoned".to_owned(),
        message: "1 of 3 edges prepared v1: the channel is unchanged".to_owned(),
        hint: Some("see `verge status` for the edges".to_owned()),
    }));
    ndjson(&events, "")
}

fn stream(memory: &mut Memory, site: &SiteName, release: ReleaseNumber, epoch: Seq) -> Response {
    let edge = |name: &str| name.parse::<EdgeName>().unwrap();
    let confirmed: Vec<EdgeName> = ["fra-1", "nyc-1", "sgp-1"].map(edge).to_vec();
    let released = Progress::Released {
        release,
        manifest: Digest::of(release.to_string().as_bytes()),
        epoch,
        url: format!("http://{site}.localhost:8080/"),
        warnings: vec![],
    };
    let ends_early = memory.faults.ends_early.pop_front();
    let mut events = vec![Progress::Encoding { done: 2, total: 2 }];
    events.extend(memory.preparation.iter().cloned());
    let mut garbled = "";
    match ends_early {
        Some(Early::AtTheGateway) => return (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>").into_response(),
        Some(Early::BeforeReleased) => {}
        Some(Early::Garbled) => garbled = "<html>oops</html>\n",
        Some(Early::FailedAfterReleased) => {
            let message = "the disk is\u{1b}[2J full".to_owned();
            let failed = Progress::Failed(api::ErrorBody { code: "storage".to_owned(), message, hint: None });
            events.extend([released, failed]);
        }
        Some(Early::AfterReleased) | None => events.push(released),
    }
    if ends_early.is_none() {
        let total =
            confirmed.len() as u64 + memory.faults.lagging.iter().filter(|lagging| !lagging.away).count() as u64;
        let elapsed_ms = memory.elapsed_ms;
        events.extend((1..).zip(&confirmed).map(|(done, edge)| Progress::Confirmed {
            edge: edge.clone(),
            done,
            total,
            elapsed_ms,
        }));
        events.push(Progress::Finished { confirmed, lagging: memory.faults.lagging.clone(), elapsed_ms });
    }
    ndjson(&events, garbled)
}

fn ndjson(events: &[Progress], garbled: &str) -> Response {
    let mut lines: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n\n").collect();
    lines.push_str(garbled);
    Response::builder().header("content-type", "application/x-ndjson").body(Body::from(lines)).unwrap()
}

pub(super) async fn releases(State(shared): State<Shared>, Path(site): Path<SiteName>) -> Response {
    let memory = shared.lock().unwrap();
    let Some(known) = memory.sites.get(&site) else {
        return refuse(StatusCode::NOT_FOUND, "unknown_site", "there is no such site");
    };
    let releases = (1..).map(ReleaseNumber).zip(&known.releases).map(|(number, (build, provenance))| Release {
        number,
        manifest: Digest::of(number.to_string().as_bytes()),
        files: build.files.len() as u64,
        bytes: build.bytes(),
        created: Timestamp(0),
        provenance: provenance.clone(),
        url: Some(format!("http://{number}--{site}.localhost:8080/")),
        channels: known.channels.iter().filter(|(_, (at, _))| *at == number).map(|(name, _)| name.clone()).collect(),
    });
    let mut releases: Vec<Release> = releases.collect();
    releases.reverse();
    Json(releases).into_response()
}

pub(super) async fn site(State(shared): State<Shared>, Path(site): Path<SiteName>) -> Response {
    match shared.lock().unwrap().sites.get(&site) {
        Some(known) => Json(describe(&site, known, true)).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "unknown_site", "there is no such site"),
    }
}

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<SiteName>,
}

pub(super) async fn sites(State(shared): State<Shared>, Query(After { after }): Query<After>) -> Json<SitePage> {
    let memory = shared.lock().unwrap();
    let rest = memory.sites.iter().filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after));
    let mut sites: Vec<api::Site> = rest.map(|(name, site)| describe(name, site, false)).collect();
    let has_more = sites.len() > PAGE;
    sites.truncate(PAGE);
    let next = sites.last().filter(|_| has_more).map(|site| site.name.clone());
    Json(SitePage { sites, next })
}

pub(super) async fn status() -> Json<Status> {
    Json(Status {
        position: "1-9".parse().unwrap(),
        version: "0.1.0".into(),
        problems: vec![],
        purges: vec![],
        pin: None,
    })
}

pub(super) async fn edges(State(shared): State<Shared>) -> Json<Vec<Edge>> {
    Json(shared.lock().unwrap().edges.clone())
}

fn describe(name: &SiteName, site: &Site, with_previous: bool) -> api::Site {
    let url = format!("http://{name}.localhost:8080/");
    let channels = site.channels.iter().map(|(channel, (release, epoch))| Channel {
        name: channel.clone(),
        release: *release,
        previous: Some(ReleaseNumber(release.0 - 1)).filter(|previous| with_previous && previous.0 > 0),
        epoch: *epoch,
        moved: Timestamp(0),
        expires: site.lifetimes.get(channel).map(|seconds| Timestamp(seconds * 1000)),
        url: url.clone(),
    });
    api::Site {
        name: name.clone(),
        created: Timestamp(0),
        channels: channels.collect(),
        url,
        regions: [].into(),
        https: verge_protocol::https::SiteHttps::default(),
    }
}
