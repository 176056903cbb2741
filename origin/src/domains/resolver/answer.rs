//! The answer of a name server, as the rest of the crate reads it.

use std::net::IpAddr;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::error::ResolveError;

/// The option of extended errors (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::domains) enum RecordKind {
    A,
    Aaaa,
    Caa,
    Cname,
    Ns,
    Txt,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domains) struct Answer {
    /// The address of the server that gave it, for a person to read.
    pub(in crate::domains) server: String,
    pub(in crate::domains) status: Status,
    /// Whether the server says that it knows, and need not ask others.
    pub(in crate::domains) is_authoritative: bool,
    /// The targets of the CNAME records that lead from the name to `records`, in order.
    pub(in crate::domains) aliases: Vec<String>,
    /// The records that were asked for.
    pub(in crate::domains) records: Vec<Data>,
    /// The zone that denies that there are any.
    pub(in crate::domains) zone: Option<String>,
    /// Why it failed (RFC 8914).
    pub(in crate::domains) extended_error: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domains) enum Status {
    /// The name exists.
    Exists,
    /// The name does not exist.
    NoName,
    /// Another response code.
    Failed(String),
    /// No response.
    Silent,
}

/// The data of a record. Names are lowercase, without the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domains) enum Data {
    Address(IpAddr),
    Caa {
        is_critical: bool,
        tag: String,
        value: String,
    },
    NameServer(String),
    /// The strings of the record, concatenated (as in RFC 7208 §3.3).
    Text(String),
}

impl Answer {
    /// No answer of the server with this address.
    pub(super) fn silent(server: String) -> Self {
        Self {
            server,
            status: Status::Silent,
            is_authoritative: false,
            aliases: Vec::new(),
            records: Vec::new(),
            zone: None,
            extended_error: None,
        }
    }

    pub(super) fn read(server: String, message: &Message, name: &Name, kind: RecordKind) -> Self {
        let status = match message.metadata.response_code {
            ResponseCode::NoError => Status::Exists,
            ResponseCode::NXDomain => Status::NoName,
            code => Status::Failed(code.to_string()),
        };
        let (mut owner, mut aliases) = (name, Vec::new());
        // As many steps as there can be: records may form a circle.
        for _ in &message.answers {
            let target = message.answers.iter().find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == *owner => Some(&target.0),
                _ => None,
            });
            let Some(target) = target else { break };
            aliases.push(text(target));
            owner = target;
        }
        let records = message.answers.iter().filter(|record| record.name == *owner);
        let zone = message.authorities.iter().find(|record| record.record_type() == RecordType::SOA);
        Self {
            server,
            status,
            is_authoritative: message.metadata.authoritative,
            aliases,
            records: records.filter_map(|record| data(record, kind)).collect(),
            zone: zone.map(|record| text(&record.name)),
            extended_error: extended_error(message),
        }
    }

    /// Whether the server said what there is, or that there is nothing.
    pub(in crate::domains) fn is_definite(&self) -> bool {
        matches!(self.status, Status::Exists | Status::NoName)
    }

    /// Whether the server answered with an error.
    pub(in crate::domains) fn is_failure(&self) -> bool {
        matches!(self.status, Status::Failed(_))
    }

    /// The texts of TXT records; `name` is the one that was asked for.
    pub(in crate::domains) fn texts(&self, name: &str) -> Result<Vec<String>, ResolveError> {
        let name = name.to_owned();
        match &self.status {
            Status::NoName => Err(ResolveError::NameNotFound(name)),
            Status::Exists if self.records.is_empty() => Err(ResolveError::NoTxtRecord(name)),
            Status::Exists => Ok(self.records.iter().filter_map(Data::text).map(str::to_owned).collect()),
            Status::Failed(code) => Err(ResolveError::Failed { name, reason: format!("the resolver answered {code}") }),
            Status::Silent => Err(ResolveError::NoAnswer(name)),
        }
    }

    /// The addresses in it.
    pub(in crate::domains) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.records.iter().filter_map(|data| if let Data::Address(address) = data { Some(*address) } else { None })
    }
}

impl Data {
    pub(in crate::domains) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl RecordKind {
    pub(in crate::domains) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Caa => "CAA",
            Self::Cname => "CNAME",
            Self::Ns => "NS",
            Self::Txt => "TXT",
        }
    }

    pub(super) fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Caa => RecordType::CAA,
            Self::Cname => RecordType::CNAME,
            Self::Ns => RecordType::NS,
            Self::Txt => RecordType::TXT,
        }
    }
}

fn data(record: &Record, kind: RecordKind) -> Option<Data> {
    if record.record_type() != kind.record_type() {
        return None;
    }
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match &record.data {
        RData::A(address) => Data::Address(address.0.into()),
        RData::AAAA(address) => Data::Address(address.0.into()),
        RData::CAA(caa) => {
            let (tag, value) = (caa.tag.to_ascii_lowercase(), lossy(&caa.value));
            Data::Caa { is_critical: caa.issuer_critical, tag, value }
        }
        RData::NS(server) => Data::NameServer(text(&server.0)),
        RData::TXT(strings) => Data::Text(lossy(&strings.txt_data.concat())),
        _ => return None,
    })
}

fn extended_error(message: &Message) -> Option<u16> {
    match message.edns.as_ref()?.option(EdnsCode::Unknown(EXTENDED_ERROR))? {
        EdnsOption::Unknown(_, data) => data.first_chunk().copied().map(u16::from_be_bytes),
        _ => None,
    }
}

/// A name in lowercase, without the final dot.
fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}
