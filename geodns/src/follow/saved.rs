//! What a name server remembers from one process to the next.

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use verge_daemon::saved_state::{self, LossyVec};
use verge_protocol::state::Row;
use verge_protocol::{EdgeName, Position};

use super::channel::Channel;

/// The file in the data folder.
pub(super) const FILE: &str = "state.json";
/// Where one goes that cannot be understood.
const ASIDE: &str = "state.json.damaged";

/// The file. Fields and entries from another version are passed over, so that a name server can be downgraded. It is written from
/// what is borrowed, and read to what is owned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Saved<Channels = LossyVec<Channel>, Rows = LossyVec<Row>, Health = Remembered> {
    /// Every row up to here is in what follows; `None`: some may be missing, so start with a snapshot.
    #[serde(default)]
    pub(super) position: Option<Position>,
    /// The channels that are there: nothing else is known of them.
    #[serde(default)]
    pub(super) channels: Channels,
    /// The last row of each other key that could be read, and those of kinds that are not known.
    #[serde(default)]
    pub(super) rows: Rows,
    /// Later rows of some keys, of channels too, which could not be read.
    #[serde(default)]
    pub(super) refused: Rows,
    /// How the edges were.
    #[serde(default)]
    pub(super) health: Health,
}

/// What is remembered of how the edges are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// The position that every edge should have reached.
    #[serde(default)]
    pub(crate) bar: Option<Position>,
    /// Addresses that are anything else than up.
    #[serde(default, deserialize_with = "saved_state::skip_invalid")]
    pub(crate) addresses: Vec<RememberedAddress>,
}

/// What is remembered of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RememberedAddress {
    /// Whose.
    pub(crate) edge: EdgeName,
    /// The address.
    pub(crate) address: IpAddr,
    /// Whether it was up.
    #[serde(default = "up")]
    pub(crate) up: bool,
    /// Whether it was behind the other edges.
    #[serde(default)]
    pub(crate) lagging: bool,
    /// Whether it said that it was about to end.
    #[serde(default)]
    pub(crate) draining: bool,
}

fn up() -> bool {
    true
}

impl Remembered {
    /// Whether the next process would go about as well with `older`. While nobody is behind, a bar that rises tells nothing: all
    /// have reached it.
    pub(super) fn is_as_good_as(&self, older: &Self) -> bool {
        self.addresses == older.addresses
            && (self.bar == older.bar || !self.addresses.iter().any(|address| address.lagging))
    }
}

/// Reads the file in `folder`. One that is not there, or cannot be understood, is a start from nothing. Blocks.
pub(super) fn load(folder: &Path) -> Saved {
    let path = folder.join(FILE);
    saved_state::load(&path, || {
        if let Err(error) = std::fs::rename(&path, folder.join(ASIDE)) {
            tracing::error!(file = %path.display(), %error, "the damaged state cannot be set aside");
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use verge_protocol::Seq;

    use super::*;

    fn saved() -> Saved {
        let row = |key: &str| Row { key: key.to_owned(), seq: Seq(3), value: Some(json!(1).into()) };
        let address = RememberedAddress {
            edge: "fra-1".parse().unwrap(),
            address: "2001:db8::1".parse().unwrap(),
            up: false,
            lagging: false,
            draining: true,
        };
        Saved {
            position: "1-3".parse().ok(),
            channels: ["demo/live", "demo/pr-12"].map(|channel| channel.parse().unwrap()).to_vec().into(),
            rows: vec![row("moon/full")].into(),
            refused: vec![row("edge/a")].into(),
            health: Remembered { bar: "1-2".parse().ok(), addresses: vec![address] },
        }
    }

    #[test]
    fn the_file_as_it_is() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&saved()).unwrap());
    }

    #[test]
    fn another_versions_fields_are_passed_over() {
        let mut json = serde_json::to_value(saved()).unwrap();
        json["tides"] = true.into();
        json["health"]["addresses"][0]["tides"] = true.into();
        assert_eq!(serde_json::from_value::<Saved>(json).unwrap(), saved());
        assert_eq!(serde_json::from_str::<Saved>("{}").unwrap(), Saved::default());
    }

    #[test]
    fn another_versions_entries_are_passed_over() {
        let mut json = serde_json::to_value(saved()).unwrap();
        for list in ["/channels", "/rows", "/refused", "/health/addresses"] {
            json.pointer_mut(list).unwrap().as_array_mut().unwrap().push(json!({ "tides": 1 }));
        }
        let read: Saved = serde_json::from_value(json).unwrap();
        let (Saved { channels, rows, refused, .. }, expected) = (&read, saved());
        assert_eq!((channels.lost, rows.lost, refused.lost), (1, 1, 1));
        assert_eq!((&channels.entries, &rows.entries), (&expected.channels.entries, &expected.rows.entries));
        assert_eq!((&refused.entries, &read.health), (&expected.refused.entries, &expected.health));
    }

    #[test]
    fn a_bar_is_of_use_while_somebody_is_behind() {
        let with = |bar: &str, lagging| {
            let health = saved().health;
            let addresses = health.addresses.into_iter().map(|address| RememberedAddress { lagging, ..address });
            Remembered { bar: bar.parse().ok(), addresses: addresses.collect() }
        };
        assert!(with("1-3", false).is_as_good_as(&with("1-2", false)));
        assert!(with("1-3", true).is_as_good_as(&with("1-3", true)));
        for (now, older) in
            [(("1-3", true), ("1-2", true)), (("1-2", true), ("1-2", false)), (("1-2", false), ("1-2", true))]
        {
            assert!(!with(now.0, now.1).is_as_good_as(&with(older.0, older.1)), "{now:?} {older:?}");
        }
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), Saved::default());
        let file = folder.path().join(FILE);
        std::fs::write(&file, serde_json::to_vec(&saved()).unwrap()).unwrap();
        assert_eq!(load(folder.path()), saved());
        std::fs::write(&file, b"{\"rows\":").unwrap();
        assert_eq!(load(folder.path()), Saved::default());
        assert_eq!(std::fs::read(folder.path().join(ASIDE)).unwrap(), b"{\"rows\":");
        assert!(!file.exists());
    }
}
