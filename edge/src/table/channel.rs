//! A channel as it is served: its release, and the files it inherits from earlier ones.

use std::sync::Arc;

use http::HeaderValue;
use verge_protocol::host::HostLabel;
use verge_protocol::{ReleaseNumber, Timestamp};

use super::resources::Resources;
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
    /// A channel that serves `own`. `inherited` is ordered nearest release first, each with the time at which it expires.
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

    /// The value of the `Verge-Release` header.
    pub(crate) fn release(&self) -> &HeaderValue {
        &self.release
    }

    /// The resources of its own release.
    pub(crate) fn own(&self) -> &Arc<Resources> {
        &self.own
    }

    /// The resources inherited from earlier releases that have not expired at `now`, nearest release first.
    pub(crate) fn inherited(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Resources>> {
        self.inherited.iter().filter(move |(until, _)| now < *until).map(|(_, resources)| resources)
    }

    /// The counters of its site.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}
