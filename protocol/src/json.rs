//! JSON that is passed on as it was written.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Well-formed JSON, not read any further: it takes the bytes of its text and no more, and is written as it came. Two are equal
/// when their texts are.
///
/// In types that `serde` buffers (`flatten`, `untagged`) it cannot stand.
#[derive(Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON of a plain value.
    pub fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads it.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_str())
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Self::of(&value).expect("a value has a text: its keys are texts")
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        value: Option<Json>,
    }

    #[test]
    fn what_is_not_read_is_not_changed() {
        // Neither the order, nor the spaces, nor a number that no float holds.
        let text = r#"{"value":{"z": 0.1000000000000000000000001,"a" :18446744073709551616}}"#;
        let holder: Holder = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&holder).unwrap(), text);
        assert_eq!(holder, serde_json::from_str(text).unwrap());
        for nothing in [r#"{"value":null}"#, "{}"] {
            assert_eq!(serde_json::from_str::<Holder>(nothing).unwrap(), Holder { value: None });
        }
        assert!(serde_json::from_str::<Holder>(r#"{"value":{"a":}}"#).is_err());
    }

    #[test]
    fn it_is_read_when_it_is_wanted() {
        let json = Json::of(&["a", "b"]).unwrap();
        assert_eq!((json.as_str(), json.read::<Vec<&str>>().unwrap()), (r#"["a","b"]"#, vec!["a", "b"]));
        assert_eq!(json, serde_json::json!(["a", "b"]).into());
        assert!(json.read::<u64>().is_err());
    }
}
