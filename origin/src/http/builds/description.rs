//! Descriptions of builds: compressed JSON, which may be large.

use std::fmt;

use axum::http::StatusCode;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use verge_protocol::api::Limits;
use verge_protocol::compression::{self, DecompressError};
use verge_protocol::{Build, BuildId, Content, Digest, Fallback};

use crate::http::error::ApiError;
use crate::uploads::Slot;

/// The largest description, decompressed, in bytes.
const BYTES_MAX: usize = 192 << 20;

/// A description that was read.
pub(super) struct Description {
    pub(super) id: BuildId,
    pub(super) build: Build,
}

/// Unpacks and parses a description, away from the threads that serve everybody else. It has a slot of
/// [`DescriptionSlots::unpacked`](crate::uploads::DescriptionSlots::unpacked).
pub(super) async fn read(slot: Slot, compressed: Bytes, limits: Limits) -> Result<Description, ApiError> {
    let parsed = tokio::task::spawn_blocking(move || {
        // Not given back before it ends, even if nobody waits for it any more.
        let _slot = slot;
        let plain = decompress(&compressed)?;
        Ok(Description { build: parse(&plain, &limits)?, id: build_id(&plain) })
    });
    parsed.await.unwrap_or_else(|error| Err(ApiError::internal(&error)))
}

fn decompress(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    compression::decompress(body, BYTES_MAX).map_err(|error| {
        let status = match error {
            DecompressError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            DecompressError::Malformed(_) => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, "invalid_build", format!("invalid build: {error}"))
    })
}

/// Parses the description of a build, also of one that was stored before there were limits of rules: what is beyond them is not read.
/// Files are counted before anything is made of them.
pub(super) fn parse(description: &[u8], limits: &Limits) -> Result<Build, ApiError> {
    let invalid = |error: serde_json::Error| ApiError::bad_request("invalid_build", format!("invalid build: {error}"));
    let counts: Counts = serde_json::from_slice(description).map_err(invalid)?;
    for (Count(count), what) in [(counts.files, "files"), (counts.legacy_service_workers, "legacy service workers")] {
        if count > limits.files {
            return Err(limit_exceeded(format!("the build has {count} {what}: the limit is {}", limits.files)));
        }
    }
    let build: Build = serde_json::from_slice(description).map_err(invalid)?;
    match build.rules.check() {
        Ok(()) => Ok(build),
        Err(error) => Err(limit_exceeded(error.to_string()).hint("combine or remove rules, and push again")),
    }
}

/// Checks what a new build must be.
pub(super) fn check(build: &Build, limits: &Limits) -> Result<(), ApiError> {
    if build.files.is_empty() {
        return Err(ApiError::unprocessable("empty_build", "the build has no files")
            .hint("send the directory that the build tool writes to"));
    }
    if let Some((path, content)) = build.files.iter().find(|(_, content)| content.size() > limits.file_bytes) {
        let (size, max) = (content.size(), limits.file_bytes);
        return Err(limit_exceeded(format!("{path} has {size} bytes: the limit for a file is {max}")));
    }
    // The sum of so many sizes below that limit cannot overflow.
    let bytes = build.bytes();
    if bytes > limits.build_bytes {
        return Err(limit_exceeded(format!("the build has {bytes} bytes: the limit is {}", limits.build_bytes)));
    }
    match &build.fallback {
        Fallback::SinglePage { path } if !build.files.contains_key(path) => {
            Err(ApiError::unprocessable("invalid_build", format!("the build has no file {path}, its fallback page")))
        }
        _ => Ok(()),
    }
}

pub(super) fn limit_exceeded(message: String) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "limit_exceeded", message)
}

pub(super) fn build_id(description: &[u8]) -> BuildId {
    let mut text = Digest::of(description).to_string();
    text.truncate(32);
    text.parse().expect("hex digits are a build id")
}

/// The blobs that a build names, with their sizes in bytes.
pub(super) fn expected_blobs(build: &Build) -> crate::uploads::ExpectedBlobs {
    build.files.values().flat_map(Content::slices).map(|slice| (slice.digest, slice.size)).collect()
}

/// How much a build has of what it may have any number of, read without storing it. Rules have limits of their own.
#[derive(Deserialize)]
struct Counts {
    files: Count,
    #[serde(default)]
    legacy_service_workers: Count,
}

/// The number of entries of a map or a list.
#[derive(Default)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;

        impl<'de> Visitor<'de> for Counter {
            type Value = Count;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map or a list")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }

        deserializer.deserialize_any(Counter)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::uploads::DescriptionSlots;

    const LIMITS: Limits = Limits { files: 2, file_bytes: 100, build_bytes: 100, pack_bytes: 1000 };

    fn compressed(plain: &str) -> Bytes {
        compression::compress(plain.as_bytes()).into()
    }

    /// The files are invalid: had one been read, that would be the error.
    #[test]
    fn files_beyond_the_limit_are_counted_and_not_read() {
        for (plain, what) in [
            (r#"{"files":{"a":1,"b":2,"c":3}}"#, "the build has 3 files: the limit is 2"),
            (r#"{"files":{},"legacy_service_workers":[1,2,3]}"#, "the build has 3 legacy service workers"),
        ] {
            let error = parse(plain.as_bytes(), &LIMITS).unwrap_err();
            assert!(format!("{error:?}").contains(what), "{error:?}");
        }
        let error = parse(br#"{"files":{"a":1,"b":2}}"#, &LIMITS).unwrap_err();
        assert!(format!("{error:?}").contains("invalid build: invalid type"), "{error:?}");
    }

    /// On a runtime of one thread, which runs another task meanwhile.
    #[tokio::test]
    async fn description_is_parsed_beside_the_runtime() {
        let slots = DescriptionSlots::new(1000);
        let is_parsed = Cell::new(false);
        let parsing = async {
            let plain = compressed(r#"{"files":{}}"#);
            let description = read(slots.unpacked().await, plain, LIMITS).await.unwrap();
            is_parsed.set(true);
            description
        };
        let other = async {
            while !is_parsed.get() {
                tokio::task::yield_now().await;
            }
        };
        let (description, ()) = tokio::join!(parsing, other);
        assert!(description.build.files.is_empty());
    }
}
