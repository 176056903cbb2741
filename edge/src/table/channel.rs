//! A channel as it is served: its release, and what lives on from releases before.

use std::sync::Arc;

use http::HeaderValue;
use verge_protocol::host::HostLabel;
use verge_protocol::{ReleaseNumber, Timestamp};

use super::Resources;
use crate::metrics::Traffic;

/// One channel of one site.
pub(crate) struct Channel {
    label: HostLabel,
    release: HeaderValue,
    own: Arc<Resources>,
    inherited: Vec<(Timestamp, Arc<Resources>)>,
    traffic: Arc<Traffic>,
}

impl Channel {
    /// Puts a channel together. `inherited` is nearest first, each with the time from which on it no longer counts.
    pub(crate) fn new(
        label: HostLabel,
        release: ReleaseNumber,
        own: Arc<Resources>,
        inherited: Vec<(Timestamp, Arc<Resources>)>,
        traffic: Arc<Traffic>,
    ) -> Self {
        let release = HeaderValue::from_str(&release.to_string()).expect("`v` and digits are a header value");
        Self { label, release, own, inherited, traffic }
    }

    pub(crate) fn label(&self) -> &HostLabel {
        &self.label
    }

    /// The release it points at, as readers are told.
    pub(crate) fn release(&self) -> &HeaderValue {
        &self.release
    }

    /// What its own release serves.
    pub(crate) fn own(&self) -> &Arc<Resources> {
        &self.own
    }

    /// What it still serves of other releases at `now`, nearest first.
    pub(crate) fn inherited(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Resources>> {
        self.inherited.iter().filter(move |(until, _)| now < *until).map(|(_, resources)| resources)
    }

    /// Where its requests are counted.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}
