//! A fake resolver that answers every query with the same TXT record, or with NXDOMAIN.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A running resolver; stopped when dropped.
pub(super) struct Resolver {
    pub(super) address: SocketAddr,
    text: Arc<Mutex<Option<String>>>,
    _task: JoinSet<()>,
}

impl Resolver {
    pub(super) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, text) = (socket.local_addr().unwrap(), Arc::<Mutex<Option<String>>>::default());
        let mut task = JoinSet::new();
        let current = Arc::clone(&text);
        task.spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
                let answer = answer(&buffer[..length], current.lock().unwrap().as_deref());
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
        Self { address, text, _task: task }
    }

    /// Sets the text of the record.
    pub(super) fn set_text(&self, text: &str) {
        *self.text.lock().unwrap() = Some(text.to_owned());
    }
}

/// The response to a query: a TXT record with one string, or NXDOMAIN (RFC 1035 §4.1).
fn answer(question: &[u8], text: Option<&str>) -> Vec<u8> {
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let (flags, answers): ([u8; 2], u8) = if text.is_some() { ([0x81, 0x80], 1) } else { ([0x81, 0x83], 0) };
    let mut answer = [&question[..2], &flags, &[0, 1, 0, answers, 0, 0, 0, 0], &question[12..name_end + 4]].concat();
    if let Some(text) = text {
        let length = u8::try_from(text.len()).unwrap();
        // A pointer to the question's name, TXT, IN, one minute.
        answer.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, length + 1, length]);
        answer.extend_from_slice(text.as_bytes());
    }
    answer
}
