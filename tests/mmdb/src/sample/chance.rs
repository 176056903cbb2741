//! Numbers that look random and never change: the same seed makes the same world with every version of every library.

/// `SplitMix64`.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn bits32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.bits64().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    pub(super) fn bits128(&mut self) -> u128 {
        u128::from(self.bits64()) << 64 | u128::from(self.bits64())
    }

    /// From 0 to `bound - 1`. `bound` is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.bits64()) * bound as u128;
        usize::try_from(product >> 64).expect("less than the bound")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_algorithm() {
        let mut chance = Chance::new(1_234_567);
        assert_eq!(chance.bits64(), 6_457_827_717_110_365_317);
        assert_eq!(chance.bits64(), 3_203_168_211_198_807_973);
        assert!((0..100).all(|_| Chance::new(chance.bits64()).below(3) < 3));
    }
}
