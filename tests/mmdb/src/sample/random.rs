//! Pseudo-random numbers that do not depend on the version of a library: the same seed always makes the same sample.

/// `SplitMix64`.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
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
    fn numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits64(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits64(), 3_203_168_211_198_807_973);
        assert!((0..100).all(|_| Random::new(random.bits64()).below(3) < 3));
    }
}
