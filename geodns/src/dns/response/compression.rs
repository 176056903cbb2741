//! Message compression (RFC 1035 §4.1.4).

use crate::dns::name;

/// The highest offset that a pointer of 14 bits can have.
const MAX_OFFSET: u16 = 0x3fff;

/// Enough for the question, a chain of aliases and the owners of a referral.
const MAX_NAMES: usize = 12;

/// The names of a message, with their offsets.
#[derive(Default)]
pub(super) struct CompressionTable<'n> {
    known: [(u16, &'n [u8]); MAX_NAMES],
    count: usize,
}

impl<'n> CompressionTable<'n> {
    /// Adds a canonical name that was written at offset `at`, unless a pointer cannot reach it or the table is full.
    pub(super) fn add(&mut self, at: usize, name: &'n [u8]) {
        if let (Some(room), Ok(at @ ..=MAX_OFFSET)) = (self.known.get_mut(self.count), u16::try_from(at)) {
            *room = (at, name);
            self.count += 1;
        }
    }

    /// The number of names.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Keeps the first `count` names only.
    pub(super) fn truncate(&mut self, count: usize) {
        self.count = count;
    }

    /// The labels of `owner` to write, and the offset of the rest of it to point to; `None`: the rest is the root.
    pub(super) fn compress<'a>(&self, owner: &'a [u8]) -> (&'a [u8], Option<u16>) {
        let known = &self.known[..self.count];
        for rest in name::ancestors(owner).take_while(|rest| rest.len() > 1) {
            let labels = &owner[..owner.len() - rest.len()];
            let found = known.iter().find_map(|(at, known)| {
                let start = known.len().checked_sub(rest.len())?;
                let whole = name::ancestors(known).any(|part| part.len() == rest.len());
                let at = at + u16::try_from(start).unwrap_or(0);
                (whole && known[start..] == *rest && at <= MAX_OFFSET).then_some(at)
            });
            if let Some(at) = found {
                return (labels, Some(at));
            }
        }
        (&owner[..owner.len().saturating_sub(1)], None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_compressed_to_the_longest_known_suffix() {
        let mut names = CompressionTable::default();
        assert_eq!(names.compress(b"\x01a\0"), (&b"\x01a"[..], None));
        assert_eq!(names.compress(b"\0"), (&b""[..], None));
        names.add(12, b"\x03www\x07example\0");
        names.add(60, b"\x02ns\x07example\0");
        assert_eq!(names.compress(b"\x03www\x07example\0"), (&b""[..], Some(12)));
        assert_eq!(names.compress(b"\x01a\x02ns\x07example\0"), (&b"\x01a"[..], Some(60)));
        assert_eq!(names.compress(b"\x07example\0"), (&b""[..], Some(16)));
        assert_eq!(names.compress(b"\x02le\0"), (&b"\x02le"[..], None));
        // A name begins within reach of a pointer, but its second label does not.
        names.add(0x3ffc, b"\x05far-1\x05large\0");
        assert_eq!(names.compress(b"\x05far-1\x05large\0"), (&b""[..], Some(0x3ffc)));
        assert_eq!(names.compress(b"\x05large\0"), (&b"\x05large"[..], None));
    }
}
