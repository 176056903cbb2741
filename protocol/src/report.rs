//! An edge's report, the only data that edges send to the origin. Soft state, sent on every change and every few seconds.

use serde::{Deserialize, Serialize};

use crate::canary::ResponseCounts;
use crate::digest::Digest;
use crate::domain::DomainName;
use crate::name::{ChannelName, EdgeName, SiteName};
use crate::position::{History, Position, Seq};
use crate::timestamp::Timestamp;

/// Interval of reports when nothing changes, in seconds.
pub const REPORT_SECONDS: u64 = 5;

/// An edge is live for this many seconds after its last report.
pub const LIVE_SECONDS: u64 = 15;

/// A live edge without progress is waited for this many seconds.
pub const STALL_SECONDS: u64 = 10;

/// An edge that was not heard from for this many seconds is away: readers are not sent to it, and no push fails because of it.
pub const AWAY_SECONDS: u64 = 10 * 60;

/// How many entries each list of a report has at most, so that the report of an edge with many channels is not too large to be taken.
pub const LIST_MAX: usize = 1000;

/// How many purges a report proves at most.
pub const PURGES_MAX: usize = 16;

/// How many problems with its TLS a report names at most.
pub const TLS_PROBLEMS_MAX: usize = 16;

/// The most bytes of a report: with every list full, of the longest entries, it has fewer.
pub const BYTES_MAX: usize = 4 << 20;

/// Whether a text may be a key of the state, of this version or of another: printable ASCII of at most 300 characters.
pub fn is_key(text: &str) -> bool {
    (1..=300).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Body of `POST /v1/edges/report`; the token identifies the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeReport {
    /// The name that the edge is configured with; `None`: an edge of an older version. The origin refuses the report if the token is
    /// that of another edge.
    #[serde(default)]
    pub edge: Option<EdgeName>,
    /// The URL of this particular edge, e.g. `http://203.0.113.7`.
    pub url: Option<String>,
    /// Every row up to this position is applied, or of a channel in `lagging`.
    pub applied: Position,
    /// The digest of all writes up to `applied`, by which an origin that was restored from an older copy knows that the edge has read
    /// others; `None`: an edge of an older version.
    #[serde(default)]
    pub history: Option<History>,
    /// Channels whose latest row is not applied yet. At most [`LIST_MAX`], those of the latest writes.
    #[serde(default)]
    pub lagging: Vec<Lag>,
    /// How many more there are, of writes before those of all that are listed.
    #[serde(default)]
    pub lagging_omitted: u64,
    /// Releases on their way to a channel, one for each rollout in the feed. `None`: an edge of an older version, which prepares
    /// nothing and is not waited for. At most [`LIST_MAX`].
    #[serde(default)]
    pub preparations: Option<Vec<Preparation>>,
    /// What readers got from channels of which a canary runs, since it began: from its release, or from the one
    /// before it. At most [`LIST_MAX`].
    #[serde(default)]
    pub canaries: Vec<CanaryCounts>,
    /// Sites with a purge that is not done yet. At most [`LIST_MAX`].
    #[serde(default)]
    pub purging: Vec<PurgeLag>,
    /// How many more there are. No purge counts as done meanwhile.
    #[serde(default)]
    pub purging_omitted: u64,
    /// What the last purges have found, at most [`PURGES_MAX`], the latest last. `None`: an edge of an older version, which does not
    /// know purges.
    #[serde(default)]
    pub purged: Option<Vec<PurgeProof>>,
    /// How many bytes of packs it has received since it started, of blobs that are not complete yet too: a number that does not change
    /// tells a stalled line from a slow one.
    #[serde(default)]
    pub received_bytes: u64,
    /// The edge's clock when it sent the report.
    #[serde(default)]
    pub time: Option<Timestamp>,
    /// It is shutting down: rollouts do not wait for it.
    #[serde(default)]
    pub draining: bool,
    /// Keys in force of which the origin has neither a row nor a tombstone in its present history: they are from before it was
    /// restored or replaced. At most [`LIST_MAX`], in order.
    #[serde(default)]
    pub orphans: Vec<String>,
    /// Certificates of the feed that it does not present yet. `None`: an edge without TLS, or of an older version. At most [`LIST_MAX`].
    #[serde(default)]
    pub certificates: Option<Vec<CertificateLag>>,
    /// How many more there are, those first of which it just requests the private key. No certificate counts as presented meanwhile.
    #[serde(default)]
    pub certificates_omitted: u64,
    /// What is wrong with the edge's own key, without which it gets no private keys, and with the files of certificates of the operator's own.
    /// At most [`TLS_PROBLEMS_MAX`].
    #[serde(default)]
    pub tls_problems: Vec<String>,
    /// Why what it serves is not saved, so that after a restart it would serve less; `None` if it is.
    #[serde(default)]
    pub not_saving: Option<String>,
    /// The edge's version of Verge.
    pub version: String,
}

/// A channel of which an edge serves an older release, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// The site.
    pub site: SiteName,
    /// Its channel.
    pub channel: ChannelName,
    /// The write that is not applied.
    pub seq: Seq,
    /// The reason, human-readable.
    pub reason: String,
}

/// How far an edge is with what it needs to serve a release that a channel does not point at yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// The site.
    pub site: SiteName,
    /// The channel.
    pub channel: ChannelName,
    /// The manifest of the release.
    pub manifest: Digest,
    /// Bytes of its blobs that are verified and on disk.
    pub done: u64,
    /// Bytes of all its blobs; 0 until the manifest has arrived.
    pub total: u64,
    /// Whether the manifest and all blobs are on disk, as far as the disk has room for them.
    pub prepared: bool,
    /// Why it does not progress, for a person to read.
    #[serde(default)]
    pub problem: Option<String>,
}

/// What readers got from one release of a channel during a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryCounts {
    /// The site.
    pub site: SiteName,
    /// The channel.
    pub channel: ChannelName,
    /// The manifest of the release that the edge serves.
    pub manifest: Digest,
    /// The responses.
    #[serde(flatten)]
    pub counts: ResponseCounts,
}

/// A purge of a site that an edge has not done yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeLag {
    /// The site.
    pub site: SiteName,
    /// Every purge of an earlier write is done: the write that made the oldest purge that is not, or one before it if that purge stands for
    /// others.
    pub seq: Seq,
    /// Whether it is being carried out and has not failed since the last that was done: an edge that is live is not given up then.
    #[serde(default)]
    pub running: bool,
    /// The reason, human-readable.
    pub reason: String,
}

/// A certificate that an edge does not present as of its latest write. It presents the one before it, if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateLag {
    /// The domain in the key of the row.
    pub domain: DomainName,
    /// The write.
    pub seq: Seq,
    /// The reason, human-readable.
    pub reason: String,
}

impl CertificateLag {
    /// The reason while nothing is wrong: the edge is asking for the key of a certificate that was just issued.
    pub const REQUESTING_KEY: &str = "requesting its private key";
}

/// What an edge has found of the paths of a purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeProof {
    /// The site.
    pub site: SiteName,
    /// The write that made the purge.
    pub seq: Seq,
    /// The number of files that it serves at these paths, over all channels and releases.
    pub files: u64,
    /// The bytes of these files that it read from disk and hashed, encodings included.
    pub bytes: u64,
    /// How many blobs on disk did not match their digest.
    pub bad: u64,
    /// How many of them were replaced; the others are not served, and fetched when the origin has them.
    pub replaced: u64,
    /// What it serves at the path, if the purge is of one path.
    #[serde(default)]
    pub serves: Option<ServedPath>,
}

/// What an edge serves at a path of the channel `live` of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedPath {
    /// The status: 200, 404, or 410 for what was erased. A site's single-page fallback is not a file at the path: 404.
    pub status: u16,
    /// The digest of the file, which is its `ETag`.
    #[serde(default)]
    pub digest: Option<Digest>,
}

/// The longest text in a report, in bytes.
const TEXT_MAX: usize = 300;

/// The text without control characters, cut to [`TEXT_MAX`].
fn plain(text: &str) -> String {
    let has_room = |(at, character): &(usize, char)| at + character.len_utf8() <= TEXT_MAX;
    let printable = text.char_indices().take_while(has_room).map(|(_, character)| character);
    printable.filter(|character| !character.is_control()).collect()
}

/// Cuts a list to [`LIST_MAX`] entries, and returns how many are left out.
fn cut<T>(list: &mut Vec<T>) -> u64 {
    let omitted = list.len().saturating_sub(LIST_MAX);
    list.truncate(LIST_MAX);
    list.shrink_to_fit();
    omitted as u64
}

impl EdgeReport {
    /// The report within its bounds: with lists of at most [`LIST_MAX`] entries, and texts that are short and fit to be logged, stored and
    /// shown. Edges send reports so, and the origin makes sure: an edge's machine may have been taken over.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if self.lagging.len() > LIST_MAX {
            self.lagging.sort_by_key(|lag| std::cmp::Reverse(lag.seq));
        }
        self.lagging_omitted = self.lagging_omitted.saturating_add(cut(&mut self.lagging));
        self.purging_omitted = self.purging_omitted.saturating_add(cut(&mut self.purging));
        self.preparations.as_mut().map(cut);
        if let Some(certificates) = self.certificates.as_mut().filter(|certificates| certificates.len() > LIST_MAX) {
            certificates.sort_by_key(|lag| lag.reason == CertificateLag::REQUESTING_KEY);
        }
        let omitted = self.certificates.as_mut().map_or(0, cut);
        self.certificates_omitted = self.certificates_omitted.saturating_add(omitted);
        cut(&mut self.canaries);
        if let Some(purged) = &mut self.purged {
            purged.drain(..purged.len().saturating_sub(PURGES_MAX));
            purged.shrink_to_fit();
        }
        self.tls_problems.truncate(TLS_PROBLEMS_MAX);
        self.orphans.retain(|key| is_key(key));
        cut(&mut self.orphans);

        let lagging = self.lagging.iter_mut().map(|lag| &mut lag.reason);
        let preparing = self.preparations.iter_mut().flatten().filter_map(|one| one.problem.as_mut());
        let purging = self.purging.iter_mut().map(|lag| &mut lag.reason);
        let certificates = self.certificates.iter_mut().flatten().map(|lag| &mut lag.reason);
        let others = [Some(&mut self.version), self.url.as_mut(), self.not_saving.as_mut()].into_iter().flatten();
        let tls = self.tls_problems.iter_mut();
        for text in lagging.chain(preparing).chain(purging).chain(certificates).chain(tls).chain(others) {
            *text = plain(text);
        }
        self
    }

    /// The report of an edge that serves everything up to `applied` and has nothing else to say.
    pub fn new(applied: Position, version: impl Into<String>) -> Self {
        Self {
            edge: None,
            url: None,
            applied,
            history: None,
            lagging: Vec::new(),
            lagging_omitted: 0,
            preparations: Some(Vec::new()),
            received_bytes: 0,
            canaries: Vec::new(),
            purging: Vec::new(),
            purging_omitted: 0,
            purged: Some(Vec::new()),
            time: None,
            draining: false,
            orphans: Vec::new(),
            certificates: None,
            certificates_omitted: 0,
            tls_problems: Vec::new(),
            not_saving: None,
            version: version.into(),
        }
    }

    /// How far the edge is with a release of the channel; `None` if it has not heard of it yet.
    pub fn preparation(&self, site: &SiteName, channel: &ChannelName, manifest: Digest) -> Option<&Preparation> {
        let mut preparations = self.preparations.iter().flatten();
        preparations.find(|one| one.site == *site && one.channel == *channel && one.manifest == manifest)
    }

    /// Whether the edge has done the purge that was made by the write `at`, and has saved what it serves since.
    pub fn has_purged(&self, at: Position, site: &SiteName) -> bool {
        self.purged.is_some()
            && self.not_saving.is_none()
            && self.applied.includes(at)
            && self.purging_omitted == 0
            && !self.purging.iter().any(|lag| lag.site == *site && lag.seq <= at.seq)
    }

    /// Whether the edge presents the certificate of the domain as of the write `at`, or a newer one, and keeps it across restarts.
    pub fn has_certificate(&self, at: Position, domain: &DomainName) -> bool {
        let lags = |lag: &CertificateLag| lag.domain == *domain && lag.seq <= at.seq;
        let Some(lagging) = &self.certificates else { return false };
        self.applied.includes(at) && self.certificates_omitted == 0 && !lagging.iter().any(lags)
    }

    /// Why the edge does not present the certificate of the domain as of the write `at`, for a person to read; `None` if it does, or has no TLS.
    pub fn certificate_lag(&self, at: Position, domain: &DomainName) -> Option<&str> {
        let lagging = self.certificates.as_ref()?;
        if self.has_certificate(at, domain) {
            return None;
        }
        let lag = lagging.iter().find(|lag| lag.domain == *domain && lag.seq <= at.seq);
        Some(match lag {
            Some(lag) => &lag.reason,
            None if self.applied.includes(at) => "it lacks more certificates than it lists",
            None => "it has not received the certificate yet",
        })
    }

    /// What the edge has found in the purge of the site that was made by the write `seq`; `None` if it started again since.
    pub fn purge_proof(&self, seq: Seq, site: &SiteName) -> Option<&PurgeProof> {
        self.purged.iter().flatten().rev().find(|proof| proof.site == *site && proof.seq == seq)
    }

    /// Whether the edge serves the channel as of the write `at`, or newer, and has saved what it serves.
    pub fn confirms(&self, at: Position, site: &SiteName, channel: &ChannelName) -> bool {
        let has_saved = self.not_saving.is_none();
        // Those that are left out lag with writes before all that are listed.
        let first_listed = self.lagging.iter().map(|lag| lag.seq).min();
        let is_covered = self.lagging_omitted == 0 || first_listed.is_some_and(|first| at.seq > first);
        has_saved
            && self.applied.includes(at)
            && is_covered
            && !self.lagging.iter().any(|lag| lag.site == *site && lag.channel == *channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_that_an_edge_does_not_present_has_a_reason() {
        let (www, at): (DomainName, Position) = ("www.example".parse().unwrap(), "1-7".parse().unwrap());
        let lag = |seq| CertificateLag { domain: www.clone(), seq: Seq(seq), reason: "no key".to_owned() };
        for (applied, certificates, omitted, reason) in [
            ("1-7", None, 0, None),
            ("1-7", Some(vec![]), 0, None),
            ("1-9", Some(vec![lag(8)]), 0, None),
            ("1-7", Some(vec![lag(7)]), 0, Some("no key")),
            ("1-6", Some(vec![]), 0, Some("it has not received the certificate yet")),
            ("1-7", Some(vec![]), 1, Some("it lacks more certificates than it lists")),
        ] {
            let report = EdgeReport::new(applied.parse().unwrap(), "0");
            let report = EdgeReport { certificates, certificates_omitted: omitted, ..report };
            assert_eq!(report.certificate_lag(at, &www), reason, "{applied}");
        }
    }

    #[test]
    fn report_of_an_older_edge_has_no_problems_with_tls_and_many_are_cut() {
        let mut report = EdgeReport::new("1-7".parse().unwrap(), "0");
        report.tls_problems = vec!["a\nb".repeat(1000); 1000];
        let mut json = serde_json::to_value(&report).unwrap();
        let bounded = report.bounded().tls_problems;
        assert_eq!((bounded.len(), bounded[0].contains('\n')), (TLS_PROBLEMS_MAX, false));
        json.as_object_mut().unwrap().remove("tls_problems");
        assert!(serde_json::from_value::<EdgeReport>(json).unwrap().tls_problems.is_empty());
    }

    #[test]
    fn texts_of_a_report_are_plain_and_short() {
        let mut report = EdgeReport::new("1-7".parse().unwrap(), "0\u{1b}[2J\n");
        report.not_saving = Some("é".repeat(1000));
        let report = report.bounded();
        assert_eq!((report.version.as_str(), report.not_saving.unwrap().len()), ("0[2J", TEXT_MAX));
    }

    fn lag(number: u64, reason: &str) -> Lag {
        let site = format!("site-with-a-name-of-forty-letters-{number:06}").parse().unwrap();
        Lag { site, channel: "channel-of-21-letters".parse().unwrap(), seq: Seq(number), reason: reason.to_owned() }
    }

    #[test]
    fn report_of_more_than_it_lists_has_the_latest_lags_and_no_more_than_the_most_bytes() {
        let reason = "\"".repeat(1000);
        let numbers = 1..=20_000;
        let mut report = EdgeReport::new(Position { seq: Seq(u64::MAX), ..Position::default() }, "0");
        report.lagging = numbers.clone().map(|number| lag(number, &reason)).collect();
        for Lag { site, channel, seq, reason } in report.lagging.clone() {
            let manifest = Digest::of(b"manifest");
            let counts = ResponseCounts { responses: u64::MAX, ..ResponseCounts::default() };
            let problem = Some(reason.clone());
            report.canaries.push(CanaryCounts { site: site.clone(), channel: channel.clone(), manifest, counts });
            report.preparations.as_mut().unwrap().push(Preparation {
                site: site.clone(),
                channel,
                manifest,
                done: u64::MAX,
                total: u64::MAX,
                prepared: false,
                problem,
            });
            report.purged.as_mut().unwrap().push(PurgeProof {
                site: site.clone(),
                seq,
                files: u64::MAX,
                bytes: u64::MAX,
                bad: u64::MAX,
                replaced: u64::MAX,
                serves: Some(ServedPath { status: 200, digest: Some(manifest) }),
            });
            report.orphans.push("\"".repeat(TEXT_MAX));
            report.purging.push(PurgeLag { site, seq, running: false, reason });
        }
        let bounded = report.bounded();
        assert!(serde_json::to_vec(&bounded).unwrap().len() <= BYTES_MAX);
        let lists = [bounded.lagging.len(), bounded.purging.len(), bounded.canaries.len(), bounded.orphans.len()];
        assert_eq!(lists, [LIST_MAX; 4]);
        let purged = bounded.purged.as_deref().unwrap_or_default();
        assert_eq!((purged.len(), purged.last().map(|proof| proof.seq)), (PURGES_MAX, Some(Seq(20_000))));
        assert_eq!(bounded.preparations.as_ref().map(Vec::len), Some(LIST_MAX));
        assert_eq!((bounded.lagging_omitted, bounded.purging_omitted), (19_000, 19_000));
        assert_eq!(bounded.lagging.iter().map(|lag| lag.seq).min(), Some(Seq(19_001)));
        assert_eq!(bounded.clone().bounded(), bounded);
    }

    #[test]
    fn lag_that_is_not_listed_confirms_nothing_but_later_writes() {
        let at = |seq| Position { generation: crate::Generation(1), seq: Seq(seq) };
        let report = EdgeReport {
            lagging: (1..=1001).map(|number| lag(number, "")).collect(),
            ..EdgeReport::new(at(2000), "0")
        };
        let confirms = |report: &EdgeReport, number| {
            let Lag { site, channel, .. } = lag(number, "");
            report.confirms(at(number), &site, &channel)
        };
        let bounded = report.bounded();
        assert!(!bounded.lagging.contains(&lag(1, "")), "left out");
        assert!((1..=1001).all(|number| !confirms(&bounded, number)));
        assert!(confirms(&bounded, 1002) && !confirms(&bounded, 2001));
        let hidden = EdgeReport { lagging: Vec::new(), ..bounded };
        assert!(!confirms(&hidden, 1002));
    }

    #[test]
    fn edge_that_leaves_purges_out_has_done_none() {
        let mut report = EdgeReport::new("1-7".parse().unwrap(), "0");
        let site: SiteName = "demo".parse().unwrap();
        assert!(report.has_purged(report.applied, &site));
        report.purging_omitted = 1;
        assert!(!report.has_purged(report.applied, &site));
    }

    #[test]
    fn edge_has_purged_once_it_has_applied_the_purge_and_lists_none_so_old() {
        let site: SiteName = "demo".parse().unwrap();
        let at = |text: &str| text.parse::<Position>().unwrap();
        let mut report = EdgeReport::new(at("1-7"), "0");
        assert!(report.has_purged(at("1-7"), &site) && !report.has_purged(at("1-8"), &site));
        report.purging.push(PurgeLag { site: site.clone(), seq: Seq(6), running: true, reason: String::new() });
        assert!(!report.has_purged(at("1-7"), &site) && report.has_purged(at("1-5"), &site));
        assert!(report.has_purged(at("1-7"), &"news".parse().unwrap()));
    }

    #[test]
    fn edge_that_does_not_save_what_it_serves_confirms_no_purge() {
        let (site, at) = ("demo".parse().unwrap(), "1-7".parse().unwrap());
        let report = EdgeReport { not_saving: Some("disk full".to_owned()), ..EdgeReport::new(at, "0") };
        assert!(!report.has_purged(at, &site));
    }

    #[test]
    fn report_of_an_older_edge_confirms_no_purge() {
        let text = r#"{"url":null,"applied":"1-7","version":"0"}"#;
        let report: EdgeReport = serde_json::from_str(text).unwrap();
        assert!(!report.has_purged("1-7".parse().unwrap(), &"demo".parse().unwrap()));
    }
}
