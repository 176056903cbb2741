//! Encodings, created ahead of time: once per content, and kept only where they save bytes.

use std::collections::HashMap;
use std::io::Write as _;
use std::num::NonZero;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use verge_protocol::{Blob, Coding, Content, Digest, SiteName};

use super::contents::Contents;
use super::error::PublishError;
use super::incompressible::is_incompressible;
use crate::store::EncodingRow;

/// Contents above this size, in bytes, are not encoded: brotli would need several times as much memory.
const SIZE_MAX: u64 = 16 << 20;

/// The least saving in bytes: roughly what the headers of an encoded response cost.
pub(super) const SAVING_MIN: usize = 64;

/// Encodings are stored and recorded as soon as there are so many, or of so many bytes: a batch exceeds that by those of one content at most.
/// Those recorded are not lost if the push fails.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 8 << 20;

/// The densest level of a coding, the bytes that it encodes in a second (rounded down), and the level to use when time is short.
/// Brotli 9 is some 30 times as fast as 11, for 7 % more bytes.
fn levels(coding: Coding) -> (u32, u64, u32) {
    match coding {
        Coding::Br => (11, 1_000_000, 9),
        Coding::Gzip => (9, 20_000_000, 6),
    }
}

/// The level for `size` bytes that are to be encoded by `deadline`.
fn level(coding: Coding, size: u64, deadline: Instant) -> u32 {
    let (dense, bytes_per_second, fast) = levels(coding);
    let left = deadline.saturating_duration_since(Instant::now());
    if left.as_millis() * u128::from(bytes_per_second) > u128::from(size) * 1000 { dense } else { fast }
}

/// Encodes contents.
pub(crate) struct Encoder {
    contents: Contents,
    /// How long a push may wait for the densest levels.
    budget: Duration,
    concurrency: usize,
    /// A permit for each content that is being encoded, by all pushes together: it takes several times its size of memory.
    permits: Semaphore,
}

impl Encoder {
    /// An encoder that works on as many contents at once as there are processors, however many pushes there are. `budget`: how long one push
    /// may wait for the densest levels.
    pub(crate) fn new(contents: Contents, budget: Duration) -> Self {
        let concurrency = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self { contents, budget, concurrency, permits: Semaphore::new(concurrency) }
    }

    /// Encodes each of `contents` of the site, which must differ, by each coding, but for those that are `given` and those that an earlier
    /// push made; calls `progress` with the numbers done and to do. Returns the encodings that save bytes, with those that are `given`.
    pub(super) async fn encode(
        &self,
        site: &SiteName,
        contents: Vec<Content>,
        given: HashMap<(Digest, Coding), Content>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<HashMap<(Digest, Coding), Content>, PublishError> {
        let deadline = Instant::now() + self.budget;
        let mut encoded = given;
        let (mut unrecorded, mut unrecorded_bytes): (Vec<EncodingRow>, u64) = (Vec::new(), 0);
        let contents = self.not_yet_encoded(contents, &mut encoded).await?;
        let (mut done, total) = (0, contents.len() as u64);
        if total > 0 {
            progress(0, total);
        }
        let mut work = futures_util::stream::iter(contents)
            .map(|(content, codings)| self.encode_one(content, codings, deadline))
            .buffer_unordered(self.concurrency);
        while let Some(rows) = work.next().await {
            let rows = match rows {
                Ok(rows) => rows,
                Err(error) => {
                    self.record(site, &mut unrecorded).await?;
                    return Err(error);
                }
            };
            for row in rows {
                if let Some((content, _)) = &row.encoded {
                    unrecorded_bytes += content.size();
                    encoded.insert((row.of, row.coding), content.clone());
                }
                unrecorded.push(row);
            }
            done += 1;
            progress(done, total);
            if unrecorded.len() >= BATCH || unrecorded_bytes >= BATCH_BYTES {
                self.record(site, &mut unrecorded).await?;
                unrecorded_bytes = 0;
            }
        }
        self.record(site, &mut unrecorded).await?;
        Ok(encoded)
    }

    /// Stores the blobs of encodings, and records them.
    async fn record(&self, site: &SiteName, rows: &mut Vec<EncodingRow>) -> Result<(), PublishError> {
        let Contents { database, blobs, metrics } = &self.contents;
        if rows.is_empty() {
            return Ok(());
        }
        let store = async |encoded: Vec<Blob>| {
            for blob in &encoded {
                blobs.put(blob).await?;
            }
            blobs.sync().await
        };
        let _removals = blobs.prevent_removals().await;
        let count = rows.len() as u64;
        database.put_encodings(site, std::mem::take(rows), store).await?;
        metrics.encodings_created.inc_by(count);
        Ok(())
    }

    /// Those of `contents` that are still to be encoded, with the codings by which they are; encodings that an earlier push made go into
    /// `encoded`, which has those that need not be made. An encoding of the fast level counts: pushing again what was pushed before is quick.
    async fn not_yet_encoded(
        &self,
        contents: Vec<Content>,
        encoded: &mut HashMap<(Digest, Coding), Content>,
    ) -> Result<Vec<(Content, Vec<Coding>)>, PublishError> {
        let mut remaining = Vec::new();
        for content in contents {
            if content.size() > SIZE_MAX || content.size() < SAVING_MIN as u64 {
                continue;
            }
            let of = content.digest();
            let mut codings = Vec::new();
            for coding in Coding::ALL {
                if encoded.contains_key(&(of, coding)) {
                    continue;
                }
                let (.., fast) = levels(coding);
                match self.contents.database.encoding(of, coding, fast).await? {
                    None => codings.push(coding),
                    Some(Some(encoding)) => drop(encoded.insert((of, coding), encoding)),
                    Some(None) => {}
                }
            }
            if !codings.is_empty() {
                remaining.push((content, codings));
            }
        }
        Ok(remaining)
    }

    /// Encodes a content by these codings.
    async fn encode_one(
        &self,
        content: Content,
        codings: Vec<Coding>,
        deadline: Instant,
    ) -> Result<Vec<EncodingRow>, PublishError> {
        let of = content.digest();
        let mut rows = Vec::new();
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let identity = self.contents.read(&content).await?;
        for coding in codings {
            let level = level(coding, content.size(), deadline);
            let bytes = identity.clone();
            let encoded = tokio::task::spawn_blocking(move || encode(&bytes, coding, level))
                .await
                .map_err(|panic| PublishError::Encoding { digest: of, coding, source: std::io::Error::other(panic) })?
                .map_err(|source| PublishError::Encoding { digest: of, coding, source })?;
            rows.push(EncodingRow { of, coding, level, encoded: encoded.as_ref().map(Content::cut) });
        }
        Ok(rows)
    }
}

/// Encodes bytes; `None` if that saves fewer than [`SAVING_MIN`], or samples say that they do not shrink.
fn encode(identity: &[u8], coding: Coding, level: u32) -> std::io::Result<Option<Bytes>> {
    if is_incompressible(identity) {
        return Ok(None);
    }
    let encoded = match coding {
        Coding::Gzip => {
            // No name and no time in the header, so that the bytes are the same on every origin.
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
    fn an_encoding_decodes_to_its_content() {
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
    async fn a_content_too_large_for_the_time_left_is_encoded_at_the_fast_level() {
        let in_ten_seconds = Instant::now() + Duration::from_secs(10);
        assert_eq!(level(Coding::Br, 5_000_000, in_ten_seconds), 11);
        assert_eq!(level(Coding::Br, 15_000_000, in_ten_seconds), 9);
        assert_eq!(level(Coding::Gzip, 15_000_000, in_ten_seconds), 9);
        assert_eq!(level(Coding::Br, 100, Instant::now()), 9);
    }

    #[test]
    fn content_that_shrinks_only_in_the_middle_is_encoded_and_noise_is_not() {
        let blocks = |range: std::ops::Range<u32>| range.flat_map(|seed| *Digest::of(&seed.to_le_bytes()).as_bytes());
        let noise: Vec<u8> = blocks(0..10_000).collect();
        let mut mixed = noise.clone();
        mixed[110_000..210_000].fill(b' ');
        for coding in Coding::ALL {
            assert_eq!(encode(&noise, coding, 6).unwrap(), None, "{coding}");
            let encoded = encode(&mixed, coding, 6).unwrap().unwrap();
            assert!(encoded.len() < noise.len() - 95_000, "{coding}");
        }
    }

    #[test]
    fn an_encoding_that_saves_nothing_is_dropped() {
        let noise: Vec<u8> = (0..40_u8).flat_map(|byte| *Digest::of(&[byte]).as_bytes()).collect();
        for coding in Coding::ALL {
            assert_eq!(encode(&noise, coding, 9).unwrap(), None, "{coding}");
        }
    }
}
