//! A daemon's state across restarts, in a JSON file.

use std::fmt;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use verge_protocol::Json;

/// Loads the file. A missing file gives the default; so does a corrupt one, after `quarantine` was called to keep it for inspection.
/// Blocks.
pub fn load<T: DeserializeOwned + Default>(path: &Path, quarantine: impl FnOnce()) -> T {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::error!(file = %path.display(), %error, "failed to read the saved state: starting without it");
            }
            return T::default();
        }
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::error!(file = %path.display(), %error, "the saved state is corrupt: quarantined, starting without it");
        quarantine();
        T::default()
    })
}

/// How many invalid entries are logged individually.
const LOGGED: usize = 5;

/// A list that is deserialized entry by entry: an invalid entry, for example of another version, is skipped without losing the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossyVec<T> {
    /// The valid entries.
    pub entries: Vec<T>,
    /// The number of invalid entries. The first few were logged.
    pub lost: usize,
}

/// Deserializes the valid entries of a list, for `#[serde(deserialize_with)]` where lost entries do not matter.
pub fn skip_invalid<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    LossyVec::deserialize(deserializer).map(|list| list.entries)
}

impl<T> Default for LossyVec<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for LossyVec<T> {
    fn from(entries: Vec<T>) -> Self {
        Self { entries, lost: 0 }
    }
}

/// Serialized as a plain list.
impl<T: Serialize> Serialize for LossyVec<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for LossyVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for Entries<T> {
            type Value = LossyVec<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<LossyVec<T>, A::Error> {
                let mut lossy = LossyVec::default();
                while let Some(entry) = list.next_element::<Json>()? {
                    match entry.read() {
                        Ok(entry) => lossy.entries.push(entry),
                        Err(error) => {
                            lossy.lost += 1;
                            if lossy.lost <= LOGGED {
                                tracing::error!(?entry, %error, "invalid entry in the saved state: skipped");
                            }
                        }
                    }
                }
                if lossy.lost > LOGGED {
                    tracing::error!(lost = lossy.lost, "invalid entries in the saved state were skipped in total");
                }
                Ok(lossy)
            }
        }

        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_entry_is_skipped_alone() {
        let each: LossyVec<u8> = serde_json::from_str(r#"[1, 300, {"2": []}, 4]"#).unwrap();
        assert_eq!(each, LossyVec { entries: vec![1, 4], lost: 2 });
        assert_eq!(serde_json::to_string(&each).unwrap(), "[1,4]");
        assert_eq!(serde_json::from_str::<LossyVec<u8>>("[]").unwrap(), LossyVec::default());
        assert!(serde_json::from_str::<LossyVec<u8>>("{}").is_err());
        assert!(serde_json::from_str::<LossyVec<u8>>("[1, ]").is_err());
    }

    #[test]
    fn corrupt_file_is_quarantined() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("state.json"), folder.path().join("aside"));
        let read = || load::<Vec<u8>>(&path, || std::fs::rename(&path, &aside).unwrap());
        assert!(read().is_empty());
        std::fs::write(&path, "[1]").unwrap();
        assert_eq!(read(), [1]);
        std::fs::write(&path, "[1").unwrap();
        assert!(read().is_empty());
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), "[1");
        // A folder, say: not there to be read, and not to be moved either.
        std::fs::create_dir(&path).unwrap();
        assert!(load::<Vec<u8>>(&path, || unreachable!()).is_empty());
    }
}
