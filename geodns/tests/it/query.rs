//! Queries built byte by byte, so that they can be malformed.

use std::net::IpAddr;

use ipnet::IpNet;

pub(super) const CLIENT_SUBNET: u16 = 8;
pub(super) const NSID: u16 = 3;

#[derive(Clone)]
pub(super) struct Query {
    pub(super) id: u16,
    pub(super) flags: u16,
    questions: u16,
    question: Vec<u8>,
    opt: Option<Opt>,
    /// Records after the OPT record, and their stated number.
    additional: (u16, Vec<u8>),
}

#[derive(Clone)]
struct Opt {
    size: u16,
    version: u8,
    dnssec_ok: bool,
    options: Vec<u8>,
}

/// A query for a name and a type, `www.example.com MX`, of class IN.
pub(super) fn query(text: &str) -> Query {
    let (name, record_type) = text.split_once(' ').unwrap();
    let question = [&name_bytes(name)[..], &type_number(record_type).to_be_bytes(), &[0, 1]].concat();
    Query { id: 0x1234, flags: 0, questions: 1, question, opt: None, additional: (0, Vec::new()) }
}

/// A name in wire form, uncompressed.
pub(super) fn name_bytes(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn type_number(record_type: &str) -> u16 {
    match record_type {
        "A" => 1,
        "NS" => 2,
        "CNAME" => 5,
        "SOA" => 6,
        "HINFO" => 13,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "SRV" => 33,
        "OPT" => 41,
        "DS" => 43,
        "HTTPS" => 65,
        "IXFR" => 251,
        "AXFR" => 252,
        "ANY" => 255,
        number => number.strip_prefix("TYPE").unwrap().parse().unwrap(),
    }
}

/// The value of a client subnet option (RFC 7871 §6), with as few octets as the prefix needs.
pub(super) fn subnet_bytes(network: IpNet, scope: u8) -> Vec<u8> {
    let (family, octets) = match network.network() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let source = network.prefix_len();
    [&[0, family, source, scope], &octets[..usize::from(source.div_ceil(8))]].concat()
}

impl Query {
    /// A query of class IN and type A for a name in wire form, which may be malformed.
    pub(super) fn of_bytes(name: &[u8]) -> Self {
        Self { question: [name, &[0, 1, 0, 1]].concat(), ..query(". A") }
    }

    pub(super) fn id(self, id: u16) -> Self {
        Self { id, ..self }
    }

    pub(super) fn flags(self, flags: u16) -> Self {
        Self { flags, ..self }
    }

    pub(super) fn class(mut self, class: u16) -> Self {
        let at = self.question.len() - 2;
        self.question[at..].copy_from_slice(&class.to_be_bytes());
        self
    }

    /// Sets QDCOUNT, with at most two questions in the packet.
    pub(super) fn questions(mut self, count: u16) -> Self {
        self.question = self.question.repeat(count.min(2).into());
        Self { questions: count, ..self }
    }

    fn with_opt(mut self, change: impl FnOnce(&mut Opt)) -> Self {
        change(self.opt.get_or_insert(Opt { size: 1232, version: 0, dnssec_ok: false, options: Vec::new() }));
        self
    }

    /// Adds an OPT record with this UDP payload size.
    pub(super) fn edns(self, size: u16) -> Self {
        self.with_opt(|opt| opt.size = size)
    }

    pub(super) fn version(self, version: u8) -> Self {
        self.with_opt(|opt| opt.version = version)
    }

    pub(super) fn dnssec_ok(self) -> Self {
        self.with_opt(|opt| opt.dnssec_ok = true)
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len()).unwrap();
        self.options(&[&code.to_be_bytes()[..], &length.to_be_bytes(), value].concat())
    }

    /// Adds bytes to the options.
    pub(super) fn options(self, bytes: &[u8]) -> Self {
        self.with_opt(|opt| opt.options.extend(bytes))
    }

    /// Adds a client subnet option, `192.0.2.0/24`.
    pub(super) fn subnet(self, network: &str) -> Self {
        self.option(CLIENT_SUBNET, &subnet_bytes(network.parse().unwrap(), 0))
    }

    /// Adds bytes at the end, counted as this many additional records.
    pub(super) fn additional(mut self, count: u16, bytes: &[u8]) -> Self {
        self.additional.0 += count;
        self.additional.1.extend(bytes);
        self
    }

    /// The question section, which the response must repeat.
    pub(super) fn question(&self) -> &[u8] {
        &self.question
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let additional = u16::from(self.opt.is_some()) + self.additional.0;
        let header = [self.id, self.flags, self.questions, 0, 0, additional];
        let mut bytes: Vec<u8> = header.iter().flat_map(|field| field.to_be_bytes()).collect();
        bytes.extend(&self.question);
        bytes.extend(self.opt.iter().flat_map(Opt::bytes));
        bytes.extend(&self.additional.1);
        bytes
    }
}

impl Opt {
    fn bytes(&self) -> Vec<u8> {
        let length = u16::try_from(self.options.len()).unwrap();
        let mut bytes = vec![0, 0, 41];
        bytes.extend(self.size.to_be_bytes());
        bytes.extend([0, self.version, if self.dnssec_ok { 0x80 } else { 0 }, 0]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(&self.options);
        bytes
    }
}
