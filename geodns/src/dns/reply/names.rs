//! Names that were written, so that later ones can point at them (RFC 1035 §4.1.4).

use crate::dns::name;

/// What 14 bits can point at.
const FARTHEST: u16 = 0x3fff;

/// Room for the question, a chain of aliases and the owners of a referral.
const MOST: usize = 12;

/// Names, and where in the message they begin.
#[derive(Default)]
pub(super) struct Names<'n> {
    known: [(u16, &'n [u8]); MOST],
    count: usize,
}

impl<'n> Names<'n> {
    /// A canonical name was written at `at`. What cannot be pointed at, or has no room here, is not remembered.
    pub(super) fn add(&mut self, at: usize, name: &'n [u8]) {
        if let (Some(room), Ok(at @ ..=FARTHEST)) = (self.known.get_mut(self.count), u16::try_from(at)) {
            *room = (at, name);
            self.count += 1;
        }
    }

    /// How many are remembered.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What came after the first `count` was not written after all.
    pub(super) fn forget_after(&mut self, count: usize) {
        self.count = count;
    }

    /// The labels of `owner` to be written, and where the rest of it stands; `None`: the rest is the root.
    pub(super) fn compress<'a>(&self, owner: &'a [u8]) -> (&'a [u8], Option<u16>) {
        let known = &self.known[..self.count];
        for rest in name::ancestors(owner).take_while(|rest| rest.len() > 1) {
            let labels = &owner[..owner.len() - rest.len()];
            let found = known.iter().find_map(|(at, known)| {
                let start = known.len().checked_sub(rest.len())?;
                let whole = name::ancestors(known).any(|part| part.len() == rest.len());
                let at = at + u16::try_from(start).unwrap_or(0);
                (whole && known[start..] == *rest && at <= FARTHEST).then_some(at)
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
    fn the_longest_shared_end_is_pointed_at() {
        let mut names = Names::default();
        assert_eq!(names.compress(b"\x01a\0"), (&b"\x01a"[..], None));
        assert_eq!(names.compress(b"\0"), (&b""[..], None));
        names.add(12, b"\x03www\x07example\0");
        names.add(60, b"\x02ns\x07example\0");
        assert_eq!(names.compress(b"\x03www\x07example\0"), (&b""[..], Some(12)));
        assert_eq!(names.compress(b"\x01a\x02ns\x07example\0"), (&b"\x01a"[..], Some(60)));
        assert_eq!(names.compress(b"\x07example\0"), (&b""[..], Some(16)));
        assert_eq!(names.compress(b"\x02le\0"), (&b"\x02le"[..], None));
        // Of a name that begins within reach, what does not is written again.
        names.add(0x3ffc, b"\x05far-1\x05large\0");
        assert_eq!(names.compress(b"\x05far-1\x05large\0"), (&b""[..], Some(0x3ffc)));
        assert_eq!(names.compress(b"\x05large\0"), (&b"\x05large"[..], None));
    }
}
