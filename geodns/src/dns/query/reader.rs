//! Bytes of a packet, taken from the front.

use crate::dns::record::RecordType;

/// The packet ends, or holds something else, where something was to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut;

pub(super) struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

/// A record behind the question.
pub(super) struct Record<'a> {
    /// Whether its owner is the root.
    pub(super) at_root: bool,
    pub(super) kind: RecordType,
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

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Cut> {
        let bytes = self.packet.get(self.at..self.at + count).ok_or(Cut)?;
        self.at += count;
        Ok(bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Cut> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Cut> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().map_err(|_| Cut)?))
    }

    fn u32(&mut self) -> Result<u32, Cut> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().map_err(|_| Cut)?))
    }

    pub(super) fn record(&mut self) -> Result<Record<'a>, Cut> {
        let at_root = self.owner()?;
        let (kind, class, ttl) = (RecordType(self.u16()?), self.u16()?, self.u32()?);
        let length = self.u16()?;
        Ok(Record { at_root, kind, class, ttl, data: self.take(length.into())? })
    }

    /// Passes over an owner's name, which may end in a pointer; says whether it is the root, written as such.
    fn owner(&mut self) -> Result<bool, Cut> {
        let start = self.at;
        loop {
            match self.u8()? {
                0 => return Ok(self.at == start + 1),
                length @ 1..=63 => drop(self.take(length.into())?),
                0xc0.. => {
                    self.u8()?;
                    return Ok(false);
                }
                _ => return Err(Cut),
            }
        }
    }
}
