//! What record data is made of.

use super::service;
use super::word::{self, Malformed, Word};
use crate::dns::name::{self, Name};

/// A part of record data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    U8,
    U16,
    U32,
    /// A number of 32 bits that may have units.
    Seconds,
    V4,
    V6,
    /// A character string: at most 255 bytes after their length.
    Text,
    /// One character string or more.
    Texts,
    /// A character string of letters and digits (RFC 8659 §4.1).
    Tag,
    /// A word as it is, to the end of the data.
    Rest,
    /// Bytes to the end of the data.
    Hex,
    /// Bytes to the end of the data.
    Base64,
    /// Service parameters, to the end of the data.
    Parameters,
}

impl Field {
    pub(super) fn takes_all(self) -> bool {
        matches!(self, Self::Texts | Self::Hex | Self::Base64 | Self::Parameters)
    }

    pub(super) fn encode(
        self,
        word: &Word<'_>,
        all: &[Word<'_>],
        origin: &Name,
        data: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        match self {
            Self::Name => data.extend(word.name(origin)?.wire()),
            Self::U8 => data.extend(&word.number(u8::MAX.into())?.to_be_bytes()[3..]),
            Self::U16 => data.extend(&word.number(u16::MAX.into())?.to_be_bytes()[2..]),
            Self::U32 => data.extend(word.number(u32::MAX)?.to_be_bytes()),
            Self::Seconds => data.extend(word.seconds()?.to_be_bytes()),
            Self::V4 => {
                let address: std::net::Ipv4Addr =
                    word.text.parse().map_err(|_| word.malformed("is not an IPv4 address"))?;
                data.extend(address.octets());
            }
            Self::V6 => {
                let address: std::net::Ipv6Addr =
                    word.text.parse().map_err(|_| word.malformed("is not an IPv6 address"))?;
                data.extend(address.octets());
            }
            Self::Text => push_text(word, data)?,
            Self::Texts => all.iter().try_for_each(|word| push_text(word, data))?,
            Self::Tag => {
                if !is_tag(word.text.as_bytes()) {
                    return Err(word.malformed("is not made of letters and digits"));
                }
                push_text(word, data)?;
            }
            Self::Rest => data.extend(word.octets()?),
            Self::Hex => data.extend(word::hex(all).ok_or_else(|| word.malformed("is not hexadecimal"))?),
            Self::Base64 => data.extend(word::base64(all).ok_or_else(|| word.malformed("is not Base64"))?),
            Self::Parameters => service::encode(all, data)?,
        }
        Ok(())
    }

    /// Moves a field of `data` to `into`, a name in lowercase; `None` if `data` does not begin with such a field.
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
            Self::Parameters => Some(data.len()).filter(|_| service::is_valid(data))?,
        };
        let (field, rest) = data.split_at_checked(length)?;
        // A label's length is at most 63, below every letter.
        into.extend(field.iter().map(|byte| if self == Self::Name { byte.to_ascii_lowercase() } else { *byte }));
        *data = rest;
        Some(())
    }
}

fn is_tag(text: &[u8]) -> bool {
    (1..=255).contains(&text.len()) && text.iter().all(u8::is_ascii_alphanumeric)
}

fn push_text(word: &Word<'_>, data: &mut Vec<u8>) -> Result<(), Malformed> {
    let octets = word.octets()?;
    let length = u8::try_from(octets.len()).map_err(|_| {
        word.malformed("is longer than 255 bytes").hint("split it into several texts in quotes; readers join them")
    })?;
    data.push(length);
    data.extend(octets);
    Ok(())
}
