//! From a packet to its answer: a pure function of the packet, who sent it, and one snapshot.

mod client;
mod resolve;

use std::net::IpAddr;

use self::resolve::Resolved;
use crate::dns::query::{self, Packet, Query, Unanswerable};
use crate::dns::record::RecordType;
use crate::dns::reply::{Full, Opt, Rcode, Reply, UDP_SIZE};
use crate::fleet::Picked;
use crate::view::View;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Transport {
    /// In a datagram.
    Udp,
    /// On a connection.
    Tcp,
}

/// What was answered, for those who count, limit and log.
#[derive(Debug)]
pub(crate) struct Answered<'a> {
    /// Bytes of the answer.
    pub(crate) length: usize,
    /// How it went.
    pub(crate) rcode: Rcode,
    /// What was asked for, if that could be read.
    pub(crate) question: Option<(&'a [u8], RecordType)>,
    /// Whether it came with a client subnet.
    pub(crate) with_subnet: bool,
    /// The zone it was found in, by its place among the configured.
    pub(crate) zone: Option<usize>,
    /// The edges that were named.
    pub(crate) picked: Option<Picked>,
    /// What like answers have in common: the name, or the wildcard or zone that stands for all random ones.
    pub(crate) about: &'a [u8],
}

/// The shortest UDP answer that everybody takes (RFC 1035 §2.3.4).
const UDP_LEAST: u16 = 512;

/// Answers `packet`, sent by `peer`, into `buffer`, which must hold what the transport can carry. `None`: it gets no answer.
pub(crate) fn answer<'a>(
    packet: &'a [u8],
    peer: IpAddr,
    transport: Transport,
    view: &'a View,
    buffer: &mut [u8],
) -> Option<Answered<'a>> {
    match query::read(packet) {
        Packet::Noise => None,
        Packet::Unanswerable(unanswerable) => Some(refuse(&unanswerable, buffer)),
        Packet::Query(query) => Some(respond(&query, packet, peer, transport, view, buffer)),
    }
}

fn refuse<'a>(unanswerable: &Unanswerable<'_>, buffer: &mut [u8]) -> Answered<'a> {
    let opt = unanswerable.edns.then_some(Opt::EMPTY);
    let question = unanswerable.question.map(|question| (question, &b"\0"[..]));
    let reply = Reply::new(buffer, UDP_LEAST.into(), unanswerable.header, question, opt.as_ref());
    let length = reply.finish(unanswerable.rcode, opt.as_ref());
    let rcode = unanswerable.rcode;
    Answered { length, rcode, question: None, with_subnet: false, zone: None, picked: None, about: b"" }
}

fn respond<'a>(
    query: &Query<'_>,
    packet: &'a [u8],
    peer: IpAddr,
    transport: Transport,
    view: &'a View,
    buffer: &mut [u8],
) -> Answered<'a> {
    let limit = match (transport, &query.edns) {
        (Transport::Tcp, _) => buffer.len(),
        (Transport::Udp, Some(edns)) => edns.udp_size.min(UDP_SIZE).into(),
        (Transport::Udp, None) => UDP_LEAST.into(),
    };
    let mut opt = query.edns.as_ref().map(|edns| Opt::answering(edns, view.node.as_bytes()));
    let question = Some((query.question, query.name()));
    let mut reply = Reply::new(buffer, limit, query.header, question, opt.as_ref());
    let mut resolved = Resolved::nothing();
    if resolve::resolve(query, peer, view, &mut reply, &mut resolved) == Err(Full) {
        reply.truncate(query.question.len());
    }
    if let Some(opt) = &mut opt {
        opt.set_scope(resolved.scope);
    }
    let length = reply.finish(resolved.rcode, opt.as_ref());
    // The name in lowercase lives in the query; the packet's own bytes outlive it.
    let name = &packet[HEADER..HEADER + query.name().len()];
    Answered {
        length,
        rcode: resolved.rcode,
        question: Some((name, query.record_type)),
        with_subnet: query.edns.is_some_and(|edns| edns.subnet.is_some()),
        zone: resolved.zone,
        picked: resolved.picked,
        about: resolved.about.unwrap_or(name),
    }
}

const HEADER: usize = 12;

/// Cuts an answer down to its question and says that there is more over TCP: what who is limited gets now and then.
pub(crate) fn slip(answered: &Answered<'_>, buffer: &mut [u8]) -> usize {
    let question = answered.question.map_or(0, |(name, _)| name.len() + 4);
    buffer[2] |= 0x02;
    buffer[4..6].copy_from_slice(&u16::from(question > 0).to_be_bytes());
    buffer[6..HEADER].fill(0);
    HEADER + question
}
