//! The event stream of a release or a purge: one JSON object per line.

use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, try_unfold};
use reqwest::Response;
use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::server_url::ServerUrl;

/// The longest line accepted, in bytes.
const LINE_MAX: usize = 1 << 20;

/// The progress of something, as [`Progress`](verge_protocol::api::Progress). An end without its last event is a lost connection.
pub type Events<T> = BoxStream<'static, Result<T, ClientError>>;

/// Reads the events of a response; `stall_limit` is the longest time without data.
pub(super) fn read<T>(origin: ServerUrl, response: Response, stall_limit: Duration) -> Events<T>
where
    T: DeserializeOwned + Send + 'static,
{
    let reader = Reader { origin, response, lines: Lines::default(), stall_limit };
    try_unfold(reader, |mut reader| async { Ok(reader.next().await?.map(|event| (event, reader))) }).boxed()
}

struct Reader {
    origin: ServerUrl,
    response: Response,
    lines: Lines,
    stall_limit: Duration,
}

impl Reader {
    /// The next event; `None` at the end of the stream. Blank lines only keep the connection alive.
    async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            while let Some(line) = self.lines.next() {
                if !line.trim_ascii().is_empty() {
                    return serde_json::from_slice(&line).map(Some).map_err(|error| self.unexpected(error.to_string()));
                }
            }
            if self.lines.0.len() > LINE_MAX {
                return Err(self.unexpected("a line is too long".to_owned()));
            }
            match tokio::time::timeout(self.stall_limit, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.lines.push(&chunk),
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(ClientError::from_transport(&self.origin, &error)),
                Err(_) => return Err(ClientError::Stalled { limit: self.stall_limit }),
            }
        }
    }

    fn unexpected(&self, reason: String) -> ClientError {
        ClientError::UnexpectedResponse { origin: self.origin.to_string(), reason }
    }
}

/// Splits chunks of bytes into lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, chunk: &[u8]) {
        self.0.extend_from_slice(chunk);
    }

    /// The next complete line, with its newline.
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
    fn lines_are_complete_however_they_are_chunked() {
        let text = b"{\"event\":\"encoding\"}\n\n{}\nrest";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in text.chunks(size) {
                lines.push(chunk);
                found.extend(std::iter::from_fn(|| lines.next()));
            }
            assert_eq!(found, [&b"{\"event\":\"encoding\"}\n"[..], b"\n", b"{}\n"], "in chunks of {size}");
        }
    }
}
