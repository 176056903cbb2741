//! The progress of a release on its way to a channel.

use serde::{Deserialize, Serialize};

use super::ErrorBody;
use crate::canary::ResponseCounts;
use crate::digest::Digest;
use crate::name::EdgeName;
use crate::position::Seq;
use crate::release::ReleaseNumber;
use crate::timestamp::Timestamp;

/// An event of a push or of a move. They come in the order of the variants; the last one is `Finished` or `Failed`. A stream without
/// either was cut: the same request, with the same idempotency key, continues it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Progress {
    /// Files are being encoded.
    Encoding {
        /// The number of files encoded.
        done: u64,
        /// The number of files to encode.
        total: u64,
    },
    /// The release exists, durably. The channel is unchanged; edges fetch what they lack of the release.
    Preparing {
        /// The release.
        release: ReleaseNumber,
        /// The edges that are waited for.
        edges: Vec<EdgeName>,
    },
    /// An edge fetches what it lacks of the release.
    Fetching {
        /// The edge.
        edge: EdgeName,
        /// Bytes of the release that it has stored.
        done: u64,
        /// Bytes of the release, encodings included; 0 until the edge knows.
        total: u64,
        /// Why it does not progress.
        #[serde(default)]
        problem: Option<String>,
    },
    /// One more edge has stored and verified all that it needs to serve the release.
    Prepared {
        /// The edge.
        edge: EdgeName,
        /// The number of edges that are prepared.
        done: u64,
        /// The number of edges that are waited for.
        total: u64,
    },
    /// A few edges serve the release already. If what they report is bad, they go back, and the push fails.
    Canary {
        /// The canary edges.
        edges: Vec<EdgeName>,
        /// Milliseconds since all of them serve it.
        elapsed_ms: u64,
        /// Milliseconds that the canary lasts.
        duration_ms: u64,
        /// What readers got from the release.
        canary: ResponseCounts,
        /// What readers got meanwhile from the release before it.
        baseline: ResponseCounts,
    },
    /// The channel points at the release, durably; edges switch.
    Released {
        /// The release.
        release: ReleaseNumber,
        /// Its manifest.
        manifest: Digest,
        /// The channel's new epoch.
        epoch: Seq,
        /// The URL at which the channel is served.
        url: String,
        /// Doubtful but accepted input, for a person to read: for example, a fingerprinted path whose bytes have changed.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// One more edge serves the release.
    Confirmed {
        /// The edge.
        edge: EdgeName,
        /// The number of edges that serve it.
        done: u64,
        /// The number of edges that are waited for.
        total: u64,
        /// Milliseconds from the switch to its report.
        #[serde(default)]
        elapsed_ms: u64,
    },
    /// The rollout has ended.
    Finished {
        /// Edges that serve it.
        confirmed: Vec<EdgeName>,
        /// Edges of the fleet that do not, or are not known to, and why.
        lagging: Vec<LaggingEdge>,
        /// Milliseconds from the switch to the last confirmation.
        #[serde(default)]
        elapsed_ms: u64,
    },
    /// The push or move failed. Unless `Released` came before, the channel is unchanged.
    Failed(ErrorBody),
    /// An event of a newer origin, to be ignored.
    #[serde(other)]
    Unknown,
}

/// An edge of the fleet that has not confirmed a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaggingEdge {
    /// The edge.
    pub edge: EdgeName,
    /// Why, for a person to read.
    pub reason: String,
    /// Whether it has been away for so long that readers are not sent to it any more: it fails no push.
    #[serde(default)]
    pub away: bool,
    /// When it last reported; `None`: not since the origin started.
    #[serde(default)]
    pub last_seen: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_serializes_to_one_flat_object_per_line() {
        let edge: EdgeName = "fra-1".parse().unwrap();
        let lines: Vec<String> = [
            Progress::Encoding { done: 1, total: 2 },
            Progress::Preparing { release: ReleaseNumber(2), edges: vec![edge.clone()] },
            Progress::Fetching { edge: edge.clone(), done: 100, total: 400, problem: None },
            Progress::Prepared { edge: edge.clone(), done: 1, total: 1 },
            Progress::Confirmed { edge: edge.clone(), done: 1, total: 3, elapsed_ms: 12 },
            Progress::Finished {
                confirmed: vec![edge.clone()],
                lagging: vec![LaggingEdge { edge, reason: "slow".into(), away: false, last_seen: Some(Timestamp(5)) }],
                elapsed_ms: 12,
            },
            Progress::Failed(ErrorBody { code: "missing_blobs".into(), message: "…".into(), hint: None }),
        ]
        .iter()
        .map(|progress| serde_json::to_string(progress).unwrap())
        .collect();
        insta::assert_snapshot!(lines.join("\n"));
        let newer: Progress = serde_json::from_str(r#"{"event":"warming","done":1}"#).unwrap();
        assert_eq!(newer, Progress::Unknown);
    }

    #[test]
    fn events_of_an_older_origin_are_read() {
        let confirmed = serde_json::from_str(r#"{"event":"confirmed","edge":"a","done":1,"total":1}"#).unwrap();
        assert!(matches!(confirmed, Progress::Confirmed { elapsed_ms: 0, .. }));
        let finished = r#"{"event":"finished","confirmed":[],"lagging":[{"edge":"a","reason":"slow"}]}"#;
        let Progress::Finished { lagging, .. } = serde_json::from_str(finished).unwrap() else { panic!() };
        assert!(!lagging[0].away);
    }
}
