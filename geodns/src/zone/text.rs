//! Zone files as text (RFC 1035 §5.1): characters become tokens, tokens records, and record data its wire format.

mod lexer;
mod parser;
mod rdata;
mod rdata_field;
mod record_parser;
mod svcb;
mod token;

pub(crate) use parser::read_file;
pub(super) use parser::{ParsedRecord, parse};
