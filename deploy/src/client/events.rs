//! The stream that answers publishing: one JSON object a line.

use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, try_unfold};
use reqwest::Response;
use verge_protocol::api::Progress;

use super::address::Address;
use super::error::ClientError;

/// The longest line that is taken.
const LINE_MAX: usize = 1 << 20;

/// How publishing goes on, event by event. An end without [`Progress::Finished`] or [`Progress::Failed`] is a cut.
pub type Events = BoxStream<'static, Result<Progress, ClientError>>;

/// Reads the events of an answer; `silence` is how long nothing may come.
pub(super) fn read(origin: Address, response: Response, silence: Duration) -> Events {
    let reader = Reader { origin, response, lines: Lines::default(), silence };
    try_unfold(reader, |mut reader| async { Ok(reader.next().await?.map(|event| (event, reader))) }).boxed()
}

struct Reader {
    origin: Address,
    response: Response,
    lines: Lines,
    silence: Duration,
}

impl Reader {
    /// The next event; `None` when the stream is over. Blank lines are a sign of life and nothing else.
    async fn next(&mut self) -> Result<Option<Progress>, ClientError> {
        loop {
            while let Some(line) = self.lines.next() {
                if !line.trim_ascii().is_empty() {
                    return serde_json::from_slice(&line).map(Some).map_err(|error| self.foreign(error.to_string()));
                }
            }
            if self.lines.0.len() > LINE_MAX {
                return Err(self.foreign("a line of its answer has no end".to_owned()));
            }
            match tokio::time::timeout(self.silence, self.response.chunk()).await {
                Ok(Ok(Some(piece))) => self.lines.push(&piece),
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(ClientError::broken(&self.origin, &error)),
                Err(_) => return Err(ClientError::Stalled { silence: self.silence }),
            }
        }
    }

    fn foreign(&self, reason: String) -> ClientError {
        ClientError::Foreign { origin: self.origin.to_string(), reason }
    }
}

/// Bytes that come in pieces, as lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }

    /// The next whole line, with its end.
    fn next(&mut self) -> Option<Vec<u8>> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let rest = self.0.split_off(end + 1);
        Some(std::mem::replace(&mut self.0, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_whatever_the_pieces() {
        let text = b"{\"event\":\"encoding\"}\n\n{}\nrest";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                lines.push(piece);
                found.extend(std::iter::from_fn(|| lines.next()));
            }
            assert_eq!(found, [&b"{\"event\":\"encoding\"}\n"[..], b"\n", b"{}\n"], "in pieces of {size}");
        }
    }
}
