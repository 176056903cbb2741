//! The fields that record data consists of.

use crate::dns::name::{self, Name};

use super::svcb;
use super::token::{self, SyntaxError, Token};

/// A field of record data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    U8,
    U16,
    U32,
    /// A time in seconds, 32 bits; the text may have units.
    Seconds,
    V4,
    V6,
    /// A character string: its length, then at most 255 bytes (RFC 1035 §3.3).
    Text,
    /// One character string or more.
    Texts,
    /// A character string of letters and digits (RFC 8659 §4.1).
    Tag,
    /// The bytes of a token, without a length, to the end of the data.
    Rest,
    /// Bytes to the end of the data.
    Hex,
    Base64,
    /// Service parameters, to the end of the data.
    Parameters,
}

impl Field {
    /// Whether it takes all remaining tokens.
    pub(super) fn takes_all(self) -> bool {
        matches!(self, Self::Texts | Self::Hex | Self::Base64 | Self::Parameters)
    }

    /// Appends the field to `data`: from `token`, or from `all` if it takes all.
    pub(super) fn encode(
        self,
        token: &Token<'_>,
        all: &[Token<'_>],
        origin: &Name,
        data: &mut Vec<u8>,
    ) -> Result<(), SyntaxError> {
        match self {
            Self::Name => data.extend(token.name(origin)?.wire()),
            Self::U8 => data.extend(&token.number(u8::MAX.into())?.to_be_bytes()[3..]),
            Self::U16 => data.extend(&token.number(u16::MAX.into())?.to_be_bytes()[2..]),
            Self::U32 => data.extend(token.number(u32::MAX)?.to_be_bytes()),
            Self::Seconds => data.extend(token.seconds()?.to_be_bytes()),
            Self::V4 => {
                let address: std::net::Ipv4Addr =
                    token.text.parse().map_err(|_| token.error("is not an IPv4 address"))?;
                data.extend(address.octets());
            }
            Self::V6 => {
                let address: std::net::Ipv6Addr =
                    token.text.parse().map_err(|_| token.error("is not an IPv6 address"))?;
                data.extend(address.octets());
            }
            Self::Text => push_character_string(token, data)?,
            Self::Texts => all.iter().try_for_each(|token| push_character_string(token, data))?,
            Self::Tag => {
                if !is_tag(token.text.as_bytes()) {
                    return Err(token.error("must consist of letters and digits"));
                }
                push_character_string(token, data)?;
            }
            Self::Rest => data.extend(token.octets()?),
            Self::Hex => data.extend(token::hex(all).ok_or_else(|| token.error("is not hexadecimal"))?),
            Self::Base64 => data.extend(token::base64(all).ok_or_else(|| token.error("is not Base64"))?),
            Self::Parameters => svcb::encode(all, data)?,
        }
        Ok(())
    }

    /// Moves the field from the start of `data` to the end of `into`, a name in lowercase. `None` if `data` does not begin with
    /// such a field.
    pub(super) fn copy(self, data: &mut &[u8], into: &mut Vec<u8>) -> Option<()> {
        let length = match self {
            Self::Name => {
                let end = name::ancestors(data).last().filter(|end| end.first() == Some(&0))?;
                let length = data.len() - end.len() + 1;
                let labels =
                    name::ancestors(&data[..length]).all(|name| name.first().is_some_and(|label| *label <= 63));
                Some(length).filter(|length| labels && *length <= Name::MAX)?
            }
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 | Self::Seconds | Self::V4 => 4,
            Self::V6 => 16,
            Self::Text => 1 + usize::from(*data.first()?),
            Self::Tag => {
                let length = 1 + usize::from(*data.first()?);
                data.get(1..length).filter(|tag| is_tag(tag)).map(|_| length)?
            }
            Self::Texts => {
                let mut texts = *data;
                while let Some((&length, rest)) = texts.split_first() {
                    texts = rest.get(usize::from(length)..)?;
                }
                Some(data.len()).filter(|length| *length > 0)?
            }
            Self::Rest | Self::Hex | Self::Base64 => data.len(),
            Self::Parameters => Some(data.len()).filter(|_| svcb::is_valid(data))?,
        };
        let (field, rest) = data.split_at_checked(length)?;
        // The lengths of labels are at most 63, below every letter.
        into.extend(field.iter().map(|byte| if self == Self::Name { byte.to_ascii_lowercase() } else { *byte }));
        *data = rest;
        Some(())
    }
}

fn is_tag(text: &[u8]) -> bool {
    (1..=255).contains(&text.len()) && text.iter().all(u8::is_ascii_alphanumeric)
}

fn push_character_string(token: &Token<'_>, data: &mut Vec<u8>) -> Result<(), SyntaxError> {
    let octets = token.octets()?;
    let length = u8::try_from(octets.len()).map_err(|_| {
        token.error("is longer than 255 bytes").hint("split it into several quoted strings: clients join them")
    })?;
    data.push(length);
    data.extend(octets);
    Ok(())
}
