//! JSON values that are stored and forwarded byte for byte.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Well-formed JSON that is kept as text: it occupies the bytes of its text and is serialized unchanged. Two values are equal
/// if their texts are.
///
/// Cannot be used in types that `serde` buffers (`flatten`, `untagged`).
#[derive(Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Serializes a value.
    pub fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Deserializes it.
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
    fn value_that_is_not_read_is_serialized_unchanged() {
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
    fn value_is_deserialized_on_read() {
        let json = Json::of(&["a", "b"]).unwrap();
        assert_eq!((json.as_str(), json.read::<Vec<&str>>().unwrap()), (r#"["a","b"]"#, vec!["a", "b"]));
        assert_eq!(json, serde_json::json!(["a", "b"]).into());
        assert!(json.read::<u64>().is_err());
    }
}
