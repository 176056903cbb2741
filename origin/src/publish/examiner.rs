//! Reads the contents of a build whose bytes decide how they are served, and only those.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{Semaphore, mpsc};
use verge_protocol::{Build, Coding, Content, Digest};

use super::contents::Contents;
use super::decoding::{self, Decoded, DecodingBudget, Original};
use super::error::PublishError;
use super::file_format::{self, Answers, FileFormats, Question};
use super::text;

/// How many answers are remembered, each of some 100 bytes. Without them the next push would read the same contents again.
const REMEMBERED_MAX: usize = 200_000;

/// Examines contents, each once as far as it can remember: bytes with a digest never change.
pub(crate) struct Examiner {
    contents: Contents,
    remembered: Mutex<HashMap<Key, Answer>>,
    concurrency: usize,
    /// A permit for each content that is being decoded, by all pushes together: it takes up to 16 MiB of memory.
    permits: Semaphore,
}

/// A question, by digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Text(Digest),
    Decode(Digest, Coding, Option<Original>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Text(bool),
    Decoded(Decoded),
}

impl Key {
    fn of(question: &Question<'_>) -> Self {
        match question {
            Question::Text(content) => Self::Text(content.digest()),
            Question::Decode(content, coding, original) => Self::Decode(content.digest(), *coding, *original),
        }
    }
}

impl Examiner {
    /// An examiner that decodes as many contents at once as there are processors, however many pushes there are.
    pub(crate) fn new(contents: Contents) -> Self {
        let concurrency = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self { contents, remembered: Mutex::default(), concurrency, permits: Semaphore::new(concurrency) }
    }

    /// The formats of the files of a build, all of whose blobs the store has.
    pub(super) async fn formats(&self, build: &Build) -> Result<FileFormats, PublishError> {
        let budget = Arc::new(DecodingBudget::new(build.bytes()));
        let mut answered = HashMap::new();
        // In the order of paths: what is beyond the budget is the same each time.
        let (mut open, mut seen) = (Vec::new(), HashSet::new());
        {
            let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            for question in file_format::questions(build) {
                let key = Key::of(&question);
                match remembered.get(&key) {
                    Some(answer) => drop(answered.insert(key, *answer)),
                    None if seen.insert(key) => open.push((key, question)),
                    None => {}
                }
            }
        }
        let open = open.into_iter().map(|(key, question)| self.answer(key, question, &budget));
        let new: HashMap<Key, Answer> = futures_util::stream::iter(open.collect::<Vec<_>>())
            .buffer_unordered(self.concurrency)
            .try_collect()
            .await?;
        self.remember(&new);
        answered.extend(new);
        Ok(FileFormats::decide(build, &answers(answered)))
    }

    async fn answer(
        &self,
        key: Key,
        question: Question<'_>,
        budget: &Arc<DecodingBudget>,
    ) -> Result<(Key, Answer), PublishError> {
        let answer = match question {
            Question::Text(content) => Answer::Text(self.is_text(content).await?),
            Question::Decode(content, coding, original) => {
                Answer::Decoded(self.decode(content, coding, original, budget).await?)
            }
        };
        Ok((key, answer))
    }

    async fn is_text(&self, content: &Content) -> Result<bool, PublishError> {
        let Some(first) = content.slices().next() else { return Ok(true) };
        let bytes = self.contents.blob(first.digest).await?;
        Ok(text::is_text(&bytes, first.size == content.size()))
    }

    /// Decodes a content, with one blob of it in memory at a time.
    async fn decode(
        &self,
        content: &Content,
        coding: Coding,
        original: Option<Original>,
        budget: &Arc<DecodingBudget>,
    ) -> Result<Decoded, PublishError> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        if budget.is_used_up() {
            return Ok(Decoded::NotExamined);
        }
        let budget = Arc::clone(budget);
        let (sender, blobs) = mpsc::channel(1);
        let decoding = tokio::task::spawn_blocking(move || {
            decoding::examine(BlobReader { blobs, rest: Bytes::new() }, coding, original, &budget)
        });
        for slice in content.slices() {
            // On an error the decoder sees the end, and what it says is not used.
            let blob = self.contents.blob(slice.digest).await?;
            if sender.send(blob).await.is_err() {
                // It has seen enough.
                break;
            }
        }
        drop(sender);
        let digest = content.digest();
        decoding.await.map_err(|panic| PublishError::Decoding { digest, coding, source: io::Error::other(panic) })
    }

    fn remember(&self, new: &HashMap<Key, Answer>) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() + new.len() > REMEMBERED_MAX {
            remembered.clear();
        }
        // What was not examined is examined by the next push, which has the other answers already.
        let new = new.iter().filter(|(_, answer)| **answer != Answer::Decoded(Decoded::NotExamined));
        remembered.extend(new.take(REMEMBERED_MAX).map(|(key, answer)| (*key, *answer)));
    }
}

fn answers(answered: HashMap<Key, Answer>) -> Answers {
    let mut answers = Answers::default();
    for pair in answered {
        match pair {
            (Key::Text(digest), Answer::Text(is_text)) => {
                answers.text.insert(digest, is_text);
            }
            (Key::Decode(digest, coding, original), Answer::Decoded(decoded)) => {
                answers.decoded.insert((digest, coding, original), decoded);
            }
            (Key::Text(_), Answer::Decoded(_)) | (Key::Decode(..), Answer::Text(_)) => {
                unreachable!("an answer is of the kind of its question")
            }
        }
    }
    answers
}

/// Reads blobs as they arrive. Blocks, so it is for a thread of its own.
struct BlobReader {
    blobs: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.blobs.blocking_recv() {
                Some(blob) => self.rest = blob,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
