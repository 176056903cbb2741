//! A DNS client that sends a client subnet.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The longest time to an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// The addresses of `name` for clients in `network`, such as 192.0.2.0/24, in the order of the answer.
pub(super) async fn addresses(server: &str, name: &str, network: &str) -> Vec<Ipv4Addr> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&question(name, network)).await.unwrap();
    let mut buffer = [0; 1232];
    let length = timeout(DEADLINE, socket.recv(&mut buffer)).await.expect("an answer comes").unwrap();
    read(&buffer[..length])
}

/// A question for A records (RFC 1035 §4.1) with a client subnet (RFC 7871 §6).
fn question(name: &str, network: &str) -> Vec<u8> {
    let mut question = vec![0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let (address, length) = network.split_once('/').unwrap();
    let bits: u8 = length.parse().unwrap();
    let (family, octets) = match address.parse().unwrap() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let octets = &octets[..usize::from(bits / 8)];
    let subnet = u8::try_from(4 + octets.len()).unwrap();
    question.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, subnet + 4, 0, 8, 0, subnet, 0, family, bits, 0]);
    question.extend_from_slice(octets);
    question
}

fn read(answer: &[u8]) -> Vec<Ipv4Addr> {
    let question_end = 12 + answer[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut rest = &answer[question_end..];
    let mut addresses = Vec::new();
    for _ in 0..u16::from_be_bytes([answer[6], answer[7]]) {
        let (owner_and_type, record) = rest.split_at(4);
        // A pointer to the question's name, then A.
        assert_eq!(owner_and_type, [0xc0, 12, 0, 1], "{answer:?}");
        let (fields, data) = record.split_at(8);
        assert_eq!(fields[6..], [0, 4], "{answer:?}");
        addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(&data[..4]).unwrap()));
        rest = &data[4..];
    }
    addresses
}
