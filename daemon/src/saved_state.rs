//! What a daemon remembers from one process to the next, in a JSON file.

use std::fmt;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use verge_protocol::Json;

/// Reads the file. One that is not there is a start from nothing, and so is one that cannot be understood: that is handed to
/// `set_aside` first, for somebody to look at. Blocks.
pub fn load<T: DeserializeOwned + Default>(path: &Path, set_aside: impl FnOnce()) -> T {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::error!(file = %path.display(), %error, "the saved state cannot be read: starting over");
            }
            return T::default();
        }
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::error!(file = %path.display(), %error, "the saved state is damaged: set aside, starting over");
        set_aside();
        T::default()
    })
}

/// How many entries that cannot be read are logged one by one.
const LOGGED: usize = 5;

/// A list of which each entry is read by itself, so that one that cannot be read, from another version say, costs only itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossyVec<T> {
    /// What could be read.
    pub entries: Vec<T>,
    /// How many could not. The first few were logged.
    pub lost: usize,
}

/// Reads what can be read of a list, for `#[serde(deserialize_with)]`: where nothing hangs on what is lost.
pub fn readable<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    LossyVec::deserialize(deserializer).map(|each| each.entries)
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

/// A plain list.
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
                let mut each = LossyVec::default();
                while let Some(entry) = list.next_element::<Json>()? {
                    match entry.read() {
                        Ok(entry) => each.entries.push(entry),
                        Err(error) => {
                            each.lost += 1;
                            if each.lost <= LOGGED {
                                tracing::error!(?entry, %error, "an entry of the saved state cannot be read: passed over");
                            }
                        }
                    }
                }
                if each.lost > LOGGED {
                    tracing::error!(lost = each.lost, "more entries of the saved state cannot be read");
                }
                Ok(each)
            }
        }

        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_cannot_be_read_costs_itself_alone() {
        let each: LossyVec<u8> = serde_json::from_str(r#"[1, 300, {"2": []}, 4]"#).unwrap();
        assert_eq!(each, LossyVec { entries: vec![1, 4], lost: 2 });
        assert_eq!(serde_json::to_string(&each).unwrap(), "[1,4]");
        assert_eq!(serde_json::from_str::<LossyVec<u8>>("[]").unwrap(), LossyVec::default());
        assert!(serde_json::from_str::<LossyVec<u8>>("{}").is_err());
        assert!(serde_json::from_str::<LossyVec<u8>>("[1, ]").is_err());
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
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
