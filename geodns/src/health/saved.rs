//! Health that outlives the process.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use verge_protocol::{EdgeName, Position};

/// The health of the edges, as saved for the next process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SavedHealth {
    /// The lag threshold: the position that every edge should have reached.
    #[serde(default)]
    pub(crate) lag_threshold: Option<Position>,
    /// The same without what edges cannot get.
    #[serde(default)]
    pub(crate) obtainable_threshold: Option<Position>,
    /// Addresses in any other condition than up.
    #[serde(default)]
    pub(crate) addresses: Vec<SavedAddress>,
}

/// The condition of one address.
#[expect(clippy::struct_excessive_bools, reason = "independent conditions, saved by name")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedAddress {
    /// The edge.
    pub(crate) edge: EdgeName,
    /// The address.
    pub(crate) address: IpAddr,
    /// Whether it was up.
    #[serde(default = "up")]
    pub(crate) up: bool,
    /// Whether it was lagging.
    #[serde(default)]
    pub(crate) lagging: bool,
    /// Whether its edge was cut off from its origins.
    #[serde(default)]
    pub(crate) cut_off: bool,
    /// Whether it was draining.
    #[serde(default)]
    pub(crate) draining: bool,
}

fn up() -> bool {
    true
}

impl SavedAddress {
    /// Whether its condition is another one than that of an address that nothing is known of.
    pub(crate) fn is_notable(&self) -> bool {
        !self.up || self.lagging || self.cut_off || self.draining
    }
}

impl SavedHealth {
    /// Whether the next process would do as well with `older`, so that saving this is not worth a write. While no edge lags, a
    /// rising threshold carries no information: all edges have reached it.
    pub(crate) fn is_covered_by(&self, older: &Self) -> bool {
        let thresholds = |saved: &Self| (saved.lag_threshold, saved.obtainable_threshold);
        self.addresses == older.addresses
            && (thresholds(self) == thresholds(older) || !self.addresses.iter().any(|address| address.lagging))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rising_threshold_is_worth_saving_only_while_an_edge_lags() {
        let with = |threshold: &str, lagging| {
            let (edge, address) = ("fra-1".parse().unwrap(), "2001:db8::1".parse().unwrap());
            let address = SavedAddress { edge, address, up: false, lagging, cut_off: false, draining: true };
            SavedHealth { lag_threshold: threshold.parse().ok(), obtainable_threshold: None, addresses: vec![address] }
        };
        assert!(with("1-3", false).is_covered_by(&with("1-2", false)));
        assert!(with("1-3", true).is_covered_by(&with("1-3", true)));
        for (now, older) in
            [(("1-3", true), ("1-2", true)), (("1-2", true), ("1-2", false)), (("1-2", false), ("1-2", true))]
        {
            assert!(!with(now.0, now.1).is_covered_by(&with(older.0, older.1)), "{now:?} {older:?}");
        }
    }
}
