//! The first few of many.

/// The [`Self::MOST`] or fewer items of the least cost, in order; of equal cost, those that were offered first.
#[derive(Debug)]
pub(super) struct Foremost {
    kept: [(f64, usize); Self::MOST],
    length: usize,
    room: usize,
    /// What costs as much as this or more is not kept.
    bar: f64,
}

impl Foremost {
    /// The most that can be kept.
    pub(super) const MOST: usize = 4;

    /// Keeps at most `room`, and never more than [`Self::MOST`].
    pub(super) fn of(room: usize) -> Self {
        let bar = if room == 0 { f64::NEG_INFINITY } else { f64::INFINITY };
        Self { kept: [(bar, 0); Self::MOST], length: 0, room: room.min(Self::MOST), bar }
    }

    /// Whether an item of this cost, which must be finite, would be kept.
    pub(super) fn takes(&self, cost: f64) -> bool {
        cost < self.bar
    }

    /// Keeps an item if it [takes](Self::takes) it. If there is no room, the last one falls out.
    pub(super) fn offer(&mut self, cost: f64, item: usize) {
        if !self.takes(cost) {
            return;
        }
        self.length = (self.length + 1).min(self.room);
        let mut at = self.length - 1;
        while at > 0 && cost < self.kept[at - 1].0 {
            self.kept[at] = self.kept[at - 1];
            at -= 1;
        }
        self.kept[at] = (cost, item);
        if self.length == self.room {
            self.bar = self.kept[self.length - 1].0;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.kept[..self.length].iter().map(|(_, item)| *item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_the_beginning_of_what_sorting_gives(costs in prop::collection::vec(0..20_u8, 0..20), room in 0..6_usize) {
            let mut foremost = Foremost::of(room);
            for (item, cost) in costs.iter().enumerate() {
                foremost.offer(f64::from(*cost), item);
            }
            let mut sorted: Vec<usize> = (0..costs.len()).collect();
            sorted.sort_by_key(|item| costs[*item]);
            sorted.truncate(room.min(Foremost::MOST));
            prop_assert_eq!(foremost.iter().collect::<Vec<_>>(), sorted);
        }
    }
}
