//! What happens in the year.

use std::time::Duration;

use verge_protocol::Timestamp;
use verge_protocol::api::RekeyRequest;
use verge_test_kit::{Absence, IssuedCertificate, until};
use verge_tests::certificate_fleet::START;

use super::{DAY, HOSTS, HOUR, Year};

/// The day on which the first authority calls all its certificates back.
const CALLED_BACK: u32 = 205;

/// What happens at the beginning of a day.
pub(super) enum Event {
    RestartOrigin,
    StopOrigin,
    StartOrigin,
    RestartEdge(usize),
    Rekey(RekeyRequest),
    /// The first authority goes away, or returns.
    Authority(Absence),
    StopEdge(usize),
    /// An edge is started on the disk that it had.
    StartEdge(usize),
    /// The data directory of the origin is copied.
    BackUpOrigin,
    /// The data directory of the origin is lost, and the copy put in its place.
    LoseOrigin,
    /// The clock of the origin is ahead by so many hours from now on.
    OriginClock(i64),
    /// Likewise that of an edge.
    EdgeClock(usize, i64),
}

/// The events by day.
pub(super) fn of_the_year() -> Vec<(u32, Event)> {
    let www = || RekeyRequest::Domains(["www.example.com".parse().unwrap()].into());
    vec![
        (10, Event::RestartOrigin),
        (15, Event::Rekey(www())),
        (20, Event::Rekey(RekeyRequest::All)),
        (30, Event::Authority(Absence::Unavailable)),
        (45, Event::RestartOrigin),
        (60, Event::Authority(Absence::None)),
        (70, Event::StopEdge(2)),
        (85, Event::RestartOrigin),
        (100, Event::StartEdge(2)),
        (110, Event::BackUpOrigin),
        // A key that has leaked: it must not be served again.
        (114, Event::Rekey(www())),
        (118, Event::LoseOrigin),
        (130, Event::OriginClock(400 * 24)),
        (137, Event::OriginClock(0)),
        (145, Event::OriginClock(-25)),
        (152, Event::OriginClock(0)),
        (160, Event::EdgeClock(0, 24)),
        (165, Event::RestartEdge(1)),
        (170, Event::EdgeClock(0, 0)),
        // It finds all certificates called back at its start, when edges have not subscribed yet.
        (204, Event::StopOrigin),
        (CALLED_BACK, Event::StartOrigin),
        // The clock is put right while the authority that has last told the time is away.
        (220, Event::OriginClock(400 * 24)),
        (222, Event::Authority(Absence::Closed)),
        (224, Event::OriginClock(0)),
        (252, Event::Authority(Absence::None)),
        (260, Event::EdgeClock(0, -25)),
        (270, Event::EdgeClock(0, 0)),
        (280, Event::EdgeClock(1, 400 * 24)),
        (285, Event::RestartEdge(1)),
        (290, Event::EdgeClock(1, 0)),
        (300, Event::RestartOrigin),
        (300, Event::RestartEdge(0)),
    ]
}

/// When the first authority wishes that a certificate is renewed: within a window that moves to and fro from day to day. In some weeks it is far
/// too late, and one day the authority calls all earlier certificates back.
pub(super) fn renewal_window(issued: &IssuedCertificate, now: Timestamp, lifetime: Duration) -> (Timestamp, Timestamp) {
    let day = |number: u32| START.after(DAY * number);
    if issued.not_before < day(CALLED_BACK) && now >= day(CALLED_BACK) {
        return (issued.not_before, issued.not_before.after(HOUR));
    }
    let begin = if now >= day(180) && now < day(200) {
        lifetime * 2
    } else {
        let age = u32::try_from(issued.not_before.age(now).as_secs() / 86_400).unwrap();
        lifetime * 6 / 10 + HOUR * (age % 5)
    };
    let start = issued.not_before.after(begin);
    (start, start.after(lifetime / 20))
}

impl Event {
    pub(super) async fn happen(self, year: &mut Year) {
        let fleet = &mut year.fleet;
        match self {
            Self::RestartOrigin => {
                fleet.stop_origin().await;
                fleet.start_origin().await;
            }
            Self::StopOrigin => fleet.stop_origin().await,
            Self::StartOrigin => fleet.start_origin().await,
            Self::RestartEdge(edge) => {
                fleet.stop_edge(edge).await;
                start_edge(year, edge).await;
            }
            Self::Rekey(request) => {
                let _: Vec<String> = fleet.client().post("/v1/certificates/rekey", &request).await.unwrap();
            }
            Self::Authority(absence) => {
                fleet.authorities[0].set_absence(absence);
                year.is_away = absence != Absence::None;
            }
            Self::StopEdge(edge) => fleet.stop_edge(edge).await,
            Self::StartEdge(edge) => start_edge(year, edge).await,
            Self::BackUpOrigin => {
                fleet.stop_origin().await;
                year.backup = Some(fleet.back_up_origin());
                fleet.start_origin().await;
            }
            Self::LoseOrigin => {
                fleet.stop_origin().await;
                fleet.restore_origin(&year.backup.take().unwrap());
                fleet.start_origin().await;
            }
            Self::OriginClock(ahead) => fleet.set_origin_error(ahead),
            Self::EdgeClock(edge, ahead) => fleet.set_edge_error(edge, ahead),
        }
    }
}

/// Starts an edge. From when on it says that it is ready, it presents nothing that has expired.
async fn start_edge(year: &mut Year, edge: usize) {
    year.fleet.start_edge(edge).await;
    let time = year.describe();
    until(format!("edge {edge} to be ready, {time}"), async || {
        let is_ready = year.fleet.is_ready(edge).await;
        for host in HOSTS {
            if let Err(error) = year.fleet.handshake(edge, host).await {
                assert!(!is_ready, "{host} at edge {edge}, which is ready, {time}: {error}");
            }
        }
        is_ready
    })
    .await;
    year.fleet.admit_edge(edge).await;
}
