//! A baseline for `bench/run edge`: what the kernel takes to receive a request and to send a response, with next to nothing in between. One thread
//! waits for sockets, reads, looks the first line up, and writes a response that lies ready, header fields and all. It checks nothing else and knows no
//! deadlines: nobody could serve readers with it.
//! `cargo run --release -p verge-daemon --example bare_loop -- PORT DIRECTORY`
#![expect(clippy::unwrap_used, reason = "a tool for measurements")]

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

/// Responses by the first line of a request, up to the version.
type Responses = HashMap<Vec<u8>, Arc<[u8]>>;

/// Header fields like those of an edge.
fn head(status: &str, further: &str, size: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncache-control: public, max-age=0, must-revalidate\r\naccess-control-allow-origin: *\r\n\
         etag: \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\r\n\
         content-type: application/octet-stream\r\nx-content-type-options: nosniff\r\naccept-ranges: bytes\r\n{further}\
         verge-release: v1\r\nverge-edge: bare\r\ncache-status: bare; hit; detail=memory\r\ncontent-length: {size}\r\n\
         date: Tue, 01 Dec 2026 00:00:00 GMT\r\n\r\n"
    )
}

fn response(head: &str, body: &[u8]) -> Arc<[u8]> {
    [head.as_bytes(), body].concat().into()
}

/// The files of a directory, but for those of directories in it.
fn responses(directory: &str) -> Responses {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let of_file = |entry: std::fs::DirEntry| {
        let body = std::fs::read(entry.path()).unwrap();
        let line = format!("GET /{} ", entry.file_name().to_str().unwrap());
        (line.into_bytes(), response(&head("200 OK", "", body.len()), &body))
    };
    entries.filter(|entry| entry.path().is_file()).map(of_file).collect()
}

struct Client {
    stream: TcpStream,
    /// What is being sent, and how much of it was.
    sending: Option<(Arc<[u8]>, usize)>,
    is_last: bool,
}

struct Server {
    responses: Responses,
    /// The files that are compressed ahead of time, by the first line of a request for the original.
    compressed: Responses,
    /// Those that end a connection.
    last: Responses,
    not_found: Arc<[u8]>,
    buffer: Vec<u8>,
}

impl Server {
    fn new(directory: &str) -> Self {
        let responses = responses(directory);
        let with = |whole: &[u8], further| {
            let start = whole.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            response(&head("200 OK", further, whole.len() - start), &whole[start..])
        };
        let compressed = responses.iter().filter_map(|(line, whole)| {
            let original = [line.strip_suffix(b".br ")?, b" "].concat();
            Some((original, with(whole, "content-encoding: br\r\nvary: accept-encoding\r\n")))
        });
        Self {
            compressed: compressed.collect(),
            last: responses.iter().map(|(line, whole)| (line.clone(), with(whole, "connection: close\r\n"))).collect(),
            responses,
            not_found: response(&head("404 Not Found", "", 0), b""),
            buffer: vec![0; 8192],
        }
    }

    /// Answers what there is to read. False if the connection is over.
    fn serve(&mut self, client: &mut Client) -> bool {
        loop {
            if let Some((bytes, sent)) = &mut client.sending {
                match client.stream.write(&bytes[*sent..]) {
                    Ok(written) => *sent += written,
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
                if *sent < bytes.len() {
                    continue;
                }
                client.sending = None;
                if client.is_last {
                    return false;
                }
            }
            let read = match client.stream.read(&mut self.buffer) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            };
            let request = &self.buffer[..read];
            assert!(request.ends_with(b"\r\n\r\n"), "one whole request at a time");
            let path = request.iter().skip(4).position(|byte| *byte == b' ').unwrap();
            let line = &request[..path + 5];
            let has = |field: &[u8]| request.windows(field.len()).any(|window| window == field);
            let is_compressed = request.len() > 60 && has(b"Accept-Encoding: br");
            client.is_last = request.len() > 60 && has(b"Connection: close");
            let responses = match (is_compressed, client.is_last) {
                (true, _) => &self.compressed,
                (_, true) => &self.last,
                _ => &self.responses,
            };
            let whole = Arc::clone(responses.get(line).unwrap_or(&self.not_found));
            match client.stream.write(&whole) {
                Ok(written) if written == whole.len() && client.is_last => return false,
                // The client sends nothing before it has the response: there is nothing to read.
                Ok(written) if written == whole.len() => return true,
                Ok(written) => client.sending = Some((whole, written)),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, directory] = &arguments[..] else { panic!("expected PORT DIRECTORY") };
    let mut server = Server::new(directory);
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()))).unwrap();
    let mut poll = Poll::new().unwrap();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut events = Events::with_capacity(256);
    loop {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            if event.token() != LISTENER {
                let Token(index) = event.token();
                if clients[index].as_mut().is_some_and(|client| !server.serve(client)) {
                    clients[index] = None;
                    free.push(index);
                }
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                stream.set_nodelay(true).unwrap();
                let index = free.pop().unwrap_or_else(|| {
                    clients.push(None);
                    clients.len() - 1
                });
                poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE).unwrap();
                clients[index] = Some(Client { stream, sending: None, is_last: false });
            }
        }
    }
}
