//! Selection of the k items of lowest cost without sorting or allocation.

/// The k items of lowest cost, in order. Of equal cost, those offered first.
#[derive(Debug)]
pub(super) struct TopK {
    kept: [(f64, usize); Self::MAX],
    length: usize,
    k: usize,
    /// Items that cost this or more are not kept.
    cost_limit: f64,
}

impl TopK {
    /// The greatest k.
    pub(super) const MAX: usize = 4;

    /// Keeps at most `k` items, and never more than [`Self::MAX`].
    pub(super) fn new(k: usize) -> Self {
        let cost_limit = if k == 0 { f64::NEG_INFINITY } else { f64::INFINITY };
        Self { kept: [(cost_limit, 0); Self::MAX], length: 0, k: k.min(Self::MAX), cost_limit }
    }

    /// Whether an item of this cost, which must be finite, would be kept.
    pub(super) fn accepts(&self, cost: f64) -> bool {
        cost < self.cost_limit
    }

    /// Keeps the item if it [accepts](Self::accepts) it, in place of the last one if there are k already.
    pub(super) fn offer(&mut self, cost: f64, item: usize) {
        if !self.accepts(cost) {
            return;
        }
        self.length = (self.length + 1).min(self.k);
        let mut at = self.length - 1;
        while at > 0 && cost < self.kept[at - 1].0 {
            self.kept[at] = self.kept[at - 1];
            at -= 1;
        }
        self.kept[at] = (cost, item);
        if self.length == self.k {
            self.cost_limit = self.kept[self.length - 1].0;
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
        fn top_k_of_any_costs_is_the_prefix_of_the_sorted_items(
            costs in prop::collection::vec(0..20_u8, 0..20), k in 0..6_usize
        ) {
            let mut top_k = TopK::new(k);
            for (item, cost) in costs.iter().enumerate() {
                top_k.offer(f64::from(*cost), item);
            }
            let mut sorted: Vec<usize> = (0..costs.len()).collect();
            sorted.sort_by_key(|item| costs[*item]);
            sorted.truncate(k.min(TopK::MAX));
            prop_assert_eq!(top_k.iter().collect::<Vec<_>>(), sorted);
        }
    }
}
