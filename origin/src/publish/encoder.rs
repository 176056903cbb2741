//! Encodings, made ahead of time: once for each content, kept only where they save bytes.

use std::collections::HashMap;
use std::io::Write as _;
use std::num::NonZero;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use tokio::time::Instant;
use verge_protocol::{Coding, Content, Digest};

use super::PublishError;
use crate::app::App;

/// Contents above this are served as they are: brotli would hold several times as much in memory.
const SIZE_MAX: u64 = 16 << 20;

/// What an encoded answer costs in headers: less than that is no saving.
const SAVING_MIN: usize = 64;

/// Encodings made are written down after so many: what a cut or a bad blob ends is not lost.
const BATCH: usize = 64;

/// The densest level of each coding, the bytes that it takes in a second (rounded down), and the level for when time is short.
/// Brotli 9 is some 30 times as fast as 11, for 7 % more bytes.
fn levels(coding: Coding) -> (u32, u64, u32) {
    match coding {
        Coding::Br => (11, 1_000_000, 9),
        Coding::Gzip => (9, 20_000_000, 6),
    }
}

/// The level for `size` bytes when the time is up at `deadline`.
fn level(coding: Coding, size: u64, deadline: Instant) -> u32 {
    let (dense, bytes_a_second, fast) = levels(coding);
    let left = deadline.saturating_duration_since(Instant::now());
    if left.as_millis() * u128::from(bytes_a_second) > u128::from(size) * 1000 { dense } else { fast }
}

/// Encodes every one of `contents`, which must differ, unless that was done before; calls `progress` with the numbers done and to
/// do. Answers the encodings that save bytes.
pub(super) async fn all(
    app: &Arc<App>,
    contents: Vec<Content>,
    mut progress: impl FnMut(u64, u64),
) -> Result<HashMap<(Digest, Coding), Content>, PublishError> {
    let deadline = Instant::now() + app.encode_budget;
    let at_once = std::thread::available_parallelism().map_or(2, NonZero::get);
    let mut encoded = HashMap::new();
    let mut made: Vec<Made> = Vec::new();
    let contents = new(app, contents, &mut encoded).await?;
    let (mut done, total) = (0, contents.len() as u64);
    if total > 0 {
        progress(0, total);
    }
    let mut work = futures_util::stream::iter(contents)
        .map(|content| {
            let app = Arc::clone(app);
            async move { one(&app, content, deadline).await }
        })
        .buffer_unordered(at_once);
    while let Some(results) = work.next().await {
        let results = match results {
            Ok(results) => results,
            Err(error) => {
                write_down(app, &mut made).await?;
                return Err(error);
            }
        };
        for (of, coding, level, content) in results {
            made.push((of, coding, level, content.clone()));
            if let Some(content) = content {
                encoded.insert((of, coding), content);
            }
        }
        done += 1;
        progress(done, total);
        if made.len() >= BATCH {
            write_down(app, &mut made).await?;
        }
    }
    write_down(app, &mut made).await?;
    Ok(encoded)
}

async fn write_down(app: &App, made: &mut Vec<Made>) -> Result<(), PublishError> {
    if !made.is_empty() {
        app.blobs.sync().await?;
        app.database.put_encodings(made).await?;
        app.metrics.encodings_made.inc_by(made.len() as u64);
        made.clear();
    }
    Ok(())
}

/// As the database keeps it: of what, how, how densely, and what came of it.
type Made = (Digest, Coding, u32, Option<Content>);

/// Those of `contents` that are to be encoded; what was made of the others goes into `encoded`. One made in haste by an earlier
/// push counts: a push of what was pushed before is quick.
async fn new(
    app: &App,
    contents: Vec<Content>,
    encoded: &mut HashMap<(Digest, Coding), Content>,
) -> Result<Vec<Content>, PublishError> {
    let mut new = Vec::new();
    for content in contents {
        if content.size() > SIZE_MAX || content.size() < SAVING_MIN as u64 {
            continue;
        }
        let of = content.digest();
        let mut known = true;
        for coding in Coding::ALL {
            let (.., fast) = levels(coding);
            match app.database.encoding(of, coding, fast).await? {
                None => known = false,
                Some(Some(made)) => drop(encoded.insert((of, coding), made)),
                Some(None) => {}
            }
        }
        if !known {
            new.push(content);
        }
    }
    Ok(new)
}

async fn one(app: &Arc<App>, content: Content, deadline: Instant) -> Result<Vec<Made>, PublishError> {
    let of = content.digest();
    let mut encodings = Vec::new();
    let mut identity: Option<Bytes> = None;
    for coding in Coding::ALL {
        let level = level(coding, content.size(), deadline);
        let bytes = match &identity {
            Some(bytes) => bytes.clone(),
            None => identity.insert(super::contents::read(app, &content).await?).clone(),
        };
        let encoded = tokio::task::spawn_blocking(move || encode(&bytes, coding, level))
            .await
            .map_err(|panic| PublishError::Encoding { digest: of, coding, source: std::io::Error::other(panic) })?
            .map_err(|source| PublishError::Encoding { digest: of, coding, source })?;
        let content = match encoded {
            None => None,
            Some(encoded) => {
                let (content, blobs) = Content::cut(&encoded);
                for blob in &blobs {
                    app.blobs.put(blob).await?;
                }
                Some(content)
            }
        };
        encodings.push((of, coding, level, content));
    }
    Ok(encodings)
}

/// `None` if the encoded bytes save nothing.
fn encode(identity: &[u8], coding: Coding, level: u32) -> std::io::Result<Option<Bytes>> {
    let encoded = match coding {
        Coding::Gzip => {
            // No name and no time in the header: the same bytes on every origin.
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(identity)?;
            encoder.finish()?
        }
        Coding::Br => {
            let mut encoded = Vec::new();
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: i32::try_from(level).unwrap_or(11),
                size_hint: identity.len(),
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &identity[..], &mut encoded, &parameters)?;
            encoded
        }
    };
    Ok((encoded.len() + SAVING_MIN <= identity.len()).then(|| encoded.into()))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn encodings_decode_to_what_they_were_made_of() {
        let text = "the quick brown fox jumps over the lazy dog; ".repeat(40);
        let gzip = encode(text.as_bytes(), Coding::Gzip, 9).unwrap().unwrap();
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, text);
        let br = encode(text.as_bytes(), Coding::Br, 11).unwrap().unwrap();
        let mut plain = Vec::new();
        brotli::BrotliDecompress(&mut &br[..], &mut plain).unwrap();
        assert_eq!(plain, text.as_bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_take_too_long_is_encoded_faster() {
        let in_ten_seconds = Instant::now() + std::time::Duration::from_secs(10);
        assert_eq!(level(Coding::Br, 5_000_000, in_ten_seconds), 11);
        assert_eq!(level(Coding::Br, 15_000_000, in_ten_seconds), 9);
        assert_eq!(level(Coding::Gzip, 15_000_000, in_ten_seconds), 9);
        assert_eq!(level(Coding::Br, 100, Instant::now()), 9);
    }

    #[test]
    fn what_saves_nothing_is_not_kept() {
        let noise: Vec<u8> = (0..40_u8).flat_map(|byte| *Digest::of(&[byte]).as_bytes()).collect();
        for coding in Coding::ALL {
            assert_eq!(encode(&noise, coding, 9).unwrap(), None, "{coding}");
        }
    }
}
