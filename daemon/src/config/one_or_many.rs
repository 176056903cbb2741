//! Settings that take one value or a list.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{Error, IntoDeserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// `"one"`, or `["one", "another"]`. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(Vec<T>);

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(OneOrMany(values): OneOrMany<T>) -> Self {
        values
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
            type Value = Vec<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
                let text: StrDeserializer<'_, E> = text.into_deserializer();
                T::deserialize(text).map(|value| vec![value])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                if values.is_empty() {
                    Err(A::Error::custom("the list is empty: expected at least one value"))
                } else {
                    Ok(values)
                }
            }
        }

        deserializer.deserialize_any(Values(PhantomData)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Settings {
        listen: OneOrMany<SocketAddr>,
    }

    fn listening(text: &str) -> Result<Vec<String>, String> {
        let settings: Settings = toml::from_str(&format!("listen = {text}")).map_err(|error| error.to_string())?;
        Ok(Vec::from(settings.listen).iter().map(ToString::to_string).collect())
    }

    #[test]
    fn string_and_list_are_accepted() {
        assert_eq!(listening(r#""[::]:80""#).unwrap(), ["[::]:80"]);
        assert_eq!(listening(r#"["192.0.2.1:80", "[2001:db8::1]:80"]"#).unwrap(), ["192.0.2.1:80", "[2001:db8::1]:80"]);
    }

    #[test]
    fn invalid_value_is_reported_with_line() {
        for (text, wrong) in [
            ("[]", "the list is empty: expected at least one value"),
            ("80", "expected a string or a list of strings"),
            (r#""localhost""#, "invalid socket address syntax"),
            (r#"["192.0.2.1:80", "localhost"]"#, "invalid socket address syntax"),
        ] {
            let error = listening(text).unwrap_err();
            assert!(error.contains(wrong) && error.contains("line 1"), "{error}");
        }
    }
}
