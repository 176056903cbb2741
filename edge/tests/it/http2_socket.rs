//! HTTP/2 frame by frame (RFC 9113), for requests that client libraries do not send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use verge_test_kit::in_time;

/// Types of frames (§6).
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Flags of frames.
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// Error codes (§7).
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// A connection after the preface.
pub(super) struct Http2Socket {
    stream: TcpStream,
}

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With a response: its status and body.
    Response(u16, String),
    /// With `RST_STREAM`, and this code.
    Reset(u32),
    /// With `GOAWAY`, and this code.
    GoAway(u32),
    /// With the end of the connection.
    Closed,
}

impl Http2Socket {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let mut socket = Self { stream: TcpStream::connect(address).await.unwrap() };
        socket.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        // No dynamic table of headers: a block can be read without those before it.
        socket.send(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]).await;
        socket
    }

    /// Sends a frame. Does nothing if the connection is closed.
    pub(super) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        let _ = self.stream.write_all(&[&head, payload].concat()).await;
    }

    /// Sends the headers of a GET of `path` at `demo.localhost`, without the end of the stream.
    pub(super) async fn start_get(&mut self, stream: u32, path: &[u8], fields: &[(&str, &str)]) {
        self.send(HEADERS, END_HEADERS, stream, &get(path, fields)).await;
    }

    /// Sends a GET of `path` at `demo.localhost`, whose headers end the stream.
    pub(super) async fn get(&mut self, stream: u32, path: &[u8], fields: &[(&str, &str)]) -> Outcome {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &get(path, fields)).await;
        self.outcome(stream).await
    }

    /// Reads until the stream or the connection ends.
    pub(super) async fn outcome(&mut self, stream: u32) -> Outcome {
        in_time("the end of a stream", self.read_outcome(stream)).await
    }

    async fn read_outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let mut head = [0; 9];
            if self.stream.read_exact(&mut head).await.is_err() {
                return Outcome::Closed;
            }
            let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            let (kind, flags, of) = (head[3], head[4], number(&head[5..]));
            let mut payload = vec![0; number(&head[..3]) as usize];
            if self.stream.read_exact(&mut payload).await.is_err() {
                return Outcome::Closed;
            }
            match kind {
                GOAWAY if number(&payload[4..8]) != 0 => return Outcome::GoAway(number(&payload[4..8])),
                _ if of != stream => {}
                HEADERS => status = status_of(&payload),
                DATA => body.extend_from_slice(&payload),
                RST_STREAM => return Outcome::Reset(number(&payload)),
                _ => {}
            }
            if of == stream && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                return Outcome::Response(status, String::from_utf8(body).unwrap());
            }
        }
    }
}

/// The header block of a GET at `demo.localhost`: literals without indexing (RFC 7541 §6.2.2).
pub(super) fn get(path: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", &b"GET"[..]), (":scheme", b"http"), (":authority", b"demo.localhost"), (":path", path)];
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let string = |bytes: &[u8]| [length_of(bytes), bytes.to_vec()].concat();
    pseudo
        .into_iter()
        .chain(fields)
        .flat_map(|(name, value)| [vec![0], string(name.as_bytes()), string(value)].concat())
        .collect()
}

/// The length of a string that is not compressed, as an integer with a prefix of seven bits (RFC 7541 §5.1).
fn length_of(bytes: &[u8]) -> Vec<u8> {
    let Ok(length @ 0..127) = u8::try_from(bytes.len()) else {
        let (mut rest, mut integer) = (bytes.len() - 127, vec![127]);
        while rest >= 128 {
            integer.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        integer.push(u8::try_from(rest).unwrap());
        return integer;
    };
    vec![length]
}

/// The status at the start of a header block: an entry of the static table, or a literal of three digits. A new size of the dynamic table
/// may come before it.
fn status_of(block: &[u8]) -> u16 {
    match block {
        [0x20..0x40, rest @ ..] => status_of(rest),
        [0x88, ..] => 200,
        [0x89, ..] => 204,
        [0x8a, ..] => 206,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        [0x08 | 0x48, 3, digits @ ..] => std::str::from_utf8(&digits[..3]).unwrap().parse().unwrap(),
        // The Huffman code of digits (RFC 7541 §B): five bits for 0 to 2, six for others.
        [0x08 | 0x48, length, code @ ..] if length & 128 != 0 => {
            let bits: Vec<u8> = code.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
            let number = |bits: &[u8]| bits.iter().fold(0, |number, bit| number << 1 | u16::from(*bit));
            let mut rest = &bits[..];
            (0..3).fold(0, |status, _| {
                let (digit, length) = match number(&rest[..5]) {
                    digit @ 0..3 => (digit, 5),
                    _ => (number(&rest[..6]) - 0x19 + 3, 6),
                };
                rest = &rest[length..];
                status * 10 + digit
            })
        }
        _ => panic!("no status: {block:?}"),
    }
}
