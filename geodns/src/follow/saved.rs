//! What a name server remembers from one process to the next.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use verge_protocol::state::Row;
use verge_protocol::{EdgeName, Position};

/// The file in the data folder.
pub(super) const FILE: &str = "state.json";
/// Where one goes that cannot be understood.
const ASIDE: &str = "state.json.damaged";

/// The file. Fields from another version are passed over, so that a name server can be downgraded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    #[serde(flatten)]
    pub(super) rows: SavedRows,
    #[serde(default)]
    pub(super) health: Remembered,
}

/// What is remembered of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct SavedRows {
    /// Every row up to here is in `rows` or `refused`; `None`: start with a snapshot.
    #[serde(default)]
    pub(super) position: Option<Position>,
    /// The last row of each key that could be read, and those of kinds that are not known.
    #[serde(default)]
    pub(super) rows: Vec<Row>,
    /// Later rows of some of these keys, which could not be read.
    #[serde(default)]
    pub(super) refused: Vec<Row>,
}

/// What is remembered of how the edges are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// The position that every edge should have reached.
    #[serde(default)]
    pub(crate) bar: Option<Position>,
    /// Addresses that are anything else than up.
    #[serde(default)]
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

/// Reads the file in `folder`. One that is not there, or cannot be understood, is a start from nothing. Blocks.
pub(super) fn load(folder: &Path) -> Saved {
    let path = folder.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::error!(file = %path.display(), %error, "the saved state cannot be read: starting over");
            }
            return Saved::default();
        }
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        let aside = folder.join(ASIDE);
        tracing::error!(
            file = %path.display(), %error, aside = %aside.display(),
            "the saved state is damaged: set aside, starting over"
        );
        if let Err(error) = std::fs::rename(&path, &aside) {
            tracing::error!(file = %path.display(), %error, "the damaged state cannot be set aside");
        }
        Saved::default()
    })
}

#[cfg(test)]
mod tests {
    use verge_protocol::Seq;

    use super::*;

    fn saved() -> Saved {
        let row = |key: &str| Row { key: key.to_owned(), seq: Seq(3), value: Some(1.into()) };
        let address = RememberedAddress {
            edge: "fra-1".parse().unwrap(),
            address: "2001:db8::1".parse().unwrap(),
            up: false,
            lagging: false,
            draining: true,
        };
        Saved {
            rows: SavedRows {
                position: "1-3".parse().ok(),
                rows: vec![row("moon/full")],
                refused: vec![row("edge/a")],
            },
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
