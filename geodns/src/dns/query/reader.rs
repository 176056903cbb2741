//! Reads the fields of a packet one after the other.

use crate::dns::record::RecordType;

/// The packet is too short or malformed at this point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FormatError;

pub(super) struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

/// A record after the question section.
pub(super) struct ResourceRecord<'a> {
    /// Whether its owner is the root.
    pub(super) at_root: bool,
    pub(super) record_type: RecordType,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) data: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(packet: &'a [u8]) -> Self {
        Self { packet, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.packet.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let bytes = self.packet.get(self.at..self.at + count).ok_or(FormatError)?;
        self.at += count;
        Ok(bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, FormatError> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().map_err(|_| FormatError)?))
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().map_err(|_| FormatError)?))
    }

    pub(super) fn record(&mut self) -> Result<ResourceRecord<'a>, FormatError> {
        let at_root = self.owner()?;
        let (record_type, class, ttl) = (RecordType(self.u16()?), self.u16()?, self.u32()?);
        let length = self.u16()?;
        Ok(ResourceRecord { at_root, record_type, class, ttl, data: self.take(length.into())? })
    }

    /// Skips the name of an owner, which may end with a compression pointer. Returns whether it is the root, uncompressed.
    fn owner(&mut self) -> Result<bool, FormatError> {
        let start = self.at;
        loop {
            match self.u8()? {
                0 => return Ok(self.at == start + 1),
                length @ 1..=63 => drop(self.take(length.into())?),
                0xc0.. => {
                    self.u8()?;
                    return Ok(false);
                }
                _ => return Err(FormatError),
            }
        }
    }
}
