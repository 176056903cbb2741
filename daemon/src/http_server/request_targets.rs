//! Request targets of HTTP/1.1 as hyper takes them.
//!
//! Browsers percent-encode the characters that no URI has (RFC 3986 §2), but scripts, crawlers and old clients send them as they are. hyper
//! answers some of them, and bytes that are no UTF-8, with a bare 400 before the service sees the request. Here they are percent-encoded
//! before hyper reads them, so that they are a path like any other.
//!
//! This cannot smuggle requests (RFC 9112 §11.2): only bytes between the first and the second space of a request line are changed, none into
//! or from a space, CR or LF, so each line remains the line that it was. Where a request line begins is known because requests have no
//! bodies. If there is one all the same, what follows it may be changed, but is not read any more: its connection is closed.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Length of the longest path and query, and of the longest authority, that a service may answer otherwise than with 414, in bytes (RFC
/// 9110 §4.1 recommends at least 8000). Where requests have no bodies, the service gets longer ones cut, but never below this.
pub const TARGET_MAX: usize = 8 * 1024;

/// How many bytes of a target are passed on: more than [`TARGET_MAX`], also without the scheme and the longest name of a host that there is,
/// so that what is cut is certainly too long.
const PASSED_MAX: usize = TARGET_MAX + 512;

/// The method of the HTTP/2 preface, which is no request.
const PREFACE: &[u8] = b"PRI ";

/// A stream whose request targets are percent-encoded where they must be, and cut where they are far too long. What is written to it is
/// unchanged, and so is all of an HTTP/2 connection.
pub(crate) struct RequestTargets<S> {
    stream: S,
    position: Position,
    /// Bytes to be read before those of the stream.
    pending: Vec<u8>,
    /// How many of them have been read.
    read: usize,
}

/// What the next byte is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// The first request line, of which so many bytes are those of [`PREFACE`].
    Preface(usize),
    /// Empty lines before a request line, or its first byte.
    Start,
    Method,
    /// A target, of which so many bytes were passed on.
    Target(usize),
    /// The rest of a request line, or a header line.
    Line,
    LineStart,
    /// After a CR at the start of a line.
    EmptyLine,
    /// Nothing that is looked at.
    Opaque,
}

impl<S> RequestTargets<S> {
    /// Wraps a stream at its start.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, position: Position::Preface(0), pending: Vec::new(), read: 0 }
    }

    /// Wraps a stream that is read as it is.
    pub(crate) fn unchanged(stream: S) -> Self {
        Self { position: Position::Opaque, ..Self::new(stream) }
    }

    /// Has these bytes, which were read before, read again.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.pending.splice(..self.read, bytes.iter().copied());
        self.read = 0;
    }

    /// Bytes that were read and not taken.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.pending[self.read..]
    }

    /// Moves what is pending to `buffer`, as far as there is room.
    fn read_pending(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = &self.pending[self.read..];
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        self.read += length;
        if self.read == self.pending.len() {
            // Few connections need it more than once.
            self.pending = Vec::new();
            self.read = 0;
        }
    }
}

impl<S: AsyncRead + Unpin> RequestTargets<S> {
    /// Waits until there is something to read, without taking it. `false`: the stream has ended.
    pub(crate) fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.pending().is_empty() { self.poll_more(context) } else { Poll::Ready(Ok(true)) }
    }

    /// Reads more, mostly a whole request, without taking it. `false`: the stream has ended.
    pub(crate) fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [MaybeUninit::uninit(); 1024];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let read = buffer.filled();
        let changed = self.position.pass(read);
        self.pending.extend_from_slice(changed.as_deref().unwrap_or(read));
        Poll::Ready(Ok(!read.is_empty()))
    }

    /// Whether the stream begins with the preface of HTTP/2; to be asked before anything is taken.
    pub(crate) fn poll_is_http2(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let pending = self.pending();
            if pending.starts_with(PREFACE) {
                return Poll::Ready(Ok(true));
            }
            if !PREFACE.starts_with(pending) || !ready!(self.poll_more(context))? {
                return Poll::Ready(Ok(false));
            }
        }
    }
}

impl Position {
    /// Follows the stream through the next bytes. What they are to be read as, if they are changed.
    fn pass(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut changed: Option<Vec<u8>> = None;
        let (mut at, mut copied) = (0, 0);
        while let Some(&byte) = bytes.get(at) {
            match *self {
                Self::Opaque => break,
                Self::Line => {
                    let Some(end) = bytes[at..].iter().position(|byte| *byte == b'\n') else { break };
                    at += end;
                    *self = Self::LineStart;
                }
                Self::Target(length) if !matches!(byte, b' ' | b'\n') => {
                    let encoded = must_encode(byte).then(|| percent_encoded(byte));
                    let is_cut = length > PASSED_MAX;
                    if is_cut || encoded.is_some() {
                        let changed = changed.get_or_insert_default();
                        changed.extend_from_slice(&bytes[copied..at]);
                        changed.extend_from_slice(encoded.as_ref().filter(|_| !is_cut).map_or(&[], |encoded| encoded));
                        copied = at + 1;
                    }
                    if !is_cut {
                        *self = Self::Target(length + encoded.map_or(1, |encoded| encoded.len()));
                    }
                }
                position => *self = position.after(byte),
            }
            at += 1;
        }
        changed.map(|mut changed| {
            changed.extend_from_slice(&bytes[copied..]);
            changed
        })
    }

    /// The position after a byte that is passed on as it is. Lines end as hyper has them end: with LF, or CR and LF.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Preface(length), _) if byte == PREFACE[length] => {
                if length + 1 == PREFACE.len() {
                    Self::Opaque
                } else {
                    Self::Preface(length + 1)
                }
            }
            (Self::Preface(0), _) => Self::Start.after(byte),
            (Self::Start, b'\r' | b'\n') | (Self::LineStart | Self::EmptyLine, b'\n') => Self::Start,
            (Self::Preface(_) | Self::Start, _) => Self::Method.after(byte),
            (Self::Method, b' ') => Self::Target(0),
            (Self::Method | Self::Target(_) | Self::Line, b'\n') => Self::LineStart,
            (Self::LineStart, b'\r') => Self::EmptyLine,
            (Self::Target(_) | Self::LineStart | Self::EmptyLine, _) => Self::Line,
            (Self::Method | Self::Line | Self::Opaque, _) => self,
        }
    }
}

/// Whether hyper refuses a byte of a target that is neither a control character nor a space. `"` is refused in queries only.
fn must_encode(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..)
}

fn percent_encoded(byte: u8) -> [u8; 3] {
    let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
    [b'%', digit(byte >> 4), digit(byte & 15)]
}

impl<S: AsyncRead + Unpin> AsyncRead for RequestTargets<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.pending.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let Some(changed) = this.position.pass(&buffer.filled()[before..]) else { return Poll::Ready(Ok(())) };
            buffer.set_filled(before);
            this.pending = changed;
        }
        this.read_pending(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RequestTargets<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, BufReader, ReadBuf};

    use super::*;

    /// What is read of a stream that yields these chunks.
    fn passed(chunks: &[&[u8]]) -> Vec<u8> {
        let mut position = Position::Preface(0);
        chunks.iter().flat_map(|chunk| position.pass(chunk).unwrap_or_else(|| chunk.to_vec())).collect()
    }

    /// A stream that yields no more than one of these at a time.
    struct Chunks<'a>(Vec<&'a [u8]>);

    impl AsyncRead for Chunks<'_> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if let Some(first) = self.0.first_mut() {
                let (now, later) = first.split_at(first.len().min(buffer.remaining()));
                buffer.put_slice(now);
                *first = later;
                self.0.retain(|chunk| !chunk.is_empty());
            }
            Poll::Ready(Ok(()))
        }
    }

    fn assert_passed(sent: &[u8], expected: &[u8]) {
        let text = String::from_utf8_lossy;
        assert_eq!(text(&passed(&[sent])), text(expected));
        let bytes: Vec<&[u8]> = sent.chunks(1).collect();
        assert_eq!(text(&passed(&bytes)), text(expected), "byte by byte");
    }

    #[test]
    fn only_targets_are_encoded() {
        assert_passed(
            b"GET /<a>`\"\xe9?<\"> HTTP/1.1\r\nx: <\"\xe9>\r\n\r\n\r\nHEAD /> HTTP/1.1\n<: <\n\nGET /\xc3\xbc HTTP/1.1\r\n\r\n",
            b"GET /%3Ca%3E%60%22%E9?%3C%22%3E HTTP/1.1\r\nx: <\"\xe9>\r\n\r\n\r\nHEAD /%3E HTTP/1.1\n<: <\n\nGET /%C3%BC HTTP/1.1\r\n\r\n",
        );
        assert_passed(b"\r\n\nGET /> HTTP/1.1\r\n\r\n", b"\r\n\nGET /%3E HTTP/1.1\r\n\r\n");
        // Not in a method or version, nor after a second space, as long as it is one line.
        assert_passed(b"<G>\xe9 /< <HTTP/1.1> <\r\n\r\n", b"<G>\xe9 /%3C <HTTP/1.1> <\r\n\r\n");
        assert_passed(b"GET  /< <\r\n\r\n", b"GET  /< <\r\n\r\n");
    }

    #[tokio::test]
    async fn http2_is_known_by_its_preface_and_nothing_of_a_stream_is_lost() {
        for (chunks, is_http2) in [
            (&[&b"PRI * HTTP/2.0\r\n"[..], b"\r\nSM"][..], true),
            (&[b"P", b"R", b"I", b" *"], true),
            (&[b"P", b"OST /< HTTP/1.1\r\n"], false),
            (&[b"GET /<"], false),
            (&[b"PR"], false),
            (&[], false),
        ] {
            let mut stream = RequestTargets::new(Chunks(chunks.to_vec()));
            assert_eq!(std::future::poll_fn(|context| stream.poll_is_http2(context)).await.unwrap(), is_http2);
            let mut first = [0; 1];
            let count = stream.read(&mut first).await.unwrap();
            stream.put_back(&first[..count]);
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, passed(chunks), "{chunks:?}");
        }
    }

    #[test]
    fn bytes_that_hyper_refuses_in_a_line_are_unchanged() {
        for sent in [
            &b"GET /\0\x7f\t\r{}|\\^ HTTP/1.1\r\n\r\n"[..],
            b"GET\n<a /< HTTP/1.1\r\n\r\n",
            b"GET /\n<a> <b>\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r<a> <b>\r\n\r\n",
            b"GET / HTTP/1.1\r\nx: y\r\r\n<a> <b>\r\n",
        ] {
            assert_passed(sent, sent);
        }
    }

    #[test]
    fn http2_connection_is_unchanged() {
        let sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /<\xff> HTTP/1.1\r\n\r\nGET /<\xff> HTTP/1.1\r\n\r\n";
        assert_passed(sent, sent);
        assert_passed(b"PRIX /< HTTP/1.1\r\n\r\n", b"PRIX /%3C HTTP/1.1\r\n\r\n");
        assert_passed(b"PR /< HTTP/1.1\r\n\r\n", b"PR /%3C HTTP/1.1\r\n\r\n");
        // Only at the start of a connection.
        assert_passed(b"\r\nPRI /< HTTP/1.1\r\n\r\n", b"\r\nPRI /%3C HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn target_that_is_too_long_is_cut_where_it_still_is() {
        for unit in ["a", "<", "ü"] {
            let sent = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\n\r\n", unit.repeat(100_000));
            let passed = passed(&sent.as_bytes().chunks(1000).collect::<Vec<_>>());
            let (target, rest) = passed[4..].split_at(passed[4..].iter().position(|byte| *byte == b' ').unwrap());
            assert!(target.len() > PASSED_MAX && target.len() <= PASSED_MAX + 3, "{}", target.len());
            assert_eq!(rest, b" HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
        }
    }

    #[tokio::test]
    async fn stream_is_read_to_its_end_through_small_buffers() {
        let target = "<\u{e9}>".repeat(2000);
        let sent = format!("GET /{target} HTTP/1.1\r\nhost: a\r\n\r\n");
        let expected = passed(&[sent.as_bytes()]);
        let mut stream = RequestTargets::new(BufReader::with_capacity(1000, sent.as_bytes()));
        let mut read = Vec::new();
        let mut space = [0; 7];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            std::future::poll_fn(|context| Pin::new(&mut stream).poll_read(context, &mut buffer)).await.unwrap();
            if buffer.filled().is_empty() {
                break;
            }
            read.extend_from_slice(buffer.filled());
        }
        assert_eq!(read, expected);
        let mut unchanged = Vec::new();
        RequestTargets::unchanged(sent.as_bytes()).read_to_end(&mut unchanged).await.unwrap();
        assert_eq!(unchanged, sent.as_bytes());
    }

    proptest! {
        /// However the bytes arrive: they are changed in the same way, and each line stays a line of as many words.
        #[test]
        fn lines_and_words_stay_the_same(
            sent in prop::collection::vec(prop::sample::select(&b"GPRI /<`\xe9?\r\n\n: a"[..]), 0..60),
            cuts in prop::collection::vec(0..60_usize, 0..5),
        ) {
            let mut chunks = Vec::new();
            let mut rest = &sent[..];
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            let whole = passed(&[&sent]);
            prop_assert_eq!(passed(&chunks), &whole[..]);
            let is_separator = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\n');
            let separators = |bytes: &[u8]| bytes.iter().copied().filter(is_separator).collect::<Vec<_>>();
            prop_assert_eq!(separators(&whole), separators(&sent));
            for (word, before) in whole.split(is_separator).zip(sent.split(is_separator)) {
                let encoded: Vec<u8> = before.iter().flat_map(|byte| {
                    if must_encode(*byte) { percent_encoded(*byte).to_vec() } else { vec![*byte] }
                }).collect();
                prop_assert!(word == before || word == encoded);
            }
            // What is encoded already stays.
            prop_assert_eq!(passed(&[&whole]), whole);
        }
    }
}
