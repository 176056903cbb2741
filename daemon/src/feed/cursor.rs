//! Turns feed events into complete changes: in order, each row exactly once.

use verge_protocol::Checkpoint;
use verge_protocol::feed::{FeedEvent, FeedMessage, Reset};
use verge_protocol::state::Row;

use super::{Change, MissingKeys};

/// What the subscriber has to do after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet.
    Wait,
    /// Apply this change.
    Apply(Change),
    /// The feed cannot be resumed: open it again, from [`Cursor::open`].
    Reopen,
}

/// A subscriber's place in the feed. Rows between opening and `caught-up` are buffered and applied as one change.
#[derive(Debug)]
pub struct Cursor {
    checkpoint: Option<Checkpoint>,
    /// Rows received since the feed was opened; `None` once caught up.
    buffered: Option<Vec<Row>>,
    /// What the keys are that the next snapshot does not list.
    missing: MissingKeys,
    /// The checkpoint that could not be resumed, until a change of a later feed is applied.
    dropped: Option<Checkpoint>,
    /// How often it was offered again.
    offers: u32,
}

/// How often a checkpoint that could not be resumed is offered again. An origin that then still sends a snapshot of an earlier generation
/// considers the checkpoint nonsense, and is believed.
const OFFERS_MAX: u32 = 3;

impl Cursor {
    /// A subscriber that has applied everything up to `checkpoint`; `None`: nothing.
    pub fn new(checkpoint: Option<Checkpoint>) -> Self {
        Self { checkpoint, buffered: Some(Vec::new()), missing: MissingKeys::Deleted, dropped: None, offers: 0 }
    }

    /// The checkpoint from which to open a feed. Rows buffered from an earlier feed are dropped.
    pub fn open(&mut self) -> Option<Checkpoint> {
        self.buffered = Some(Vec::new());
        self.checkpoint
    }

    /// Processes the next event.
    pub fn advance(&mut self, FeedMessage { at, event }: FeedMessage) -> Step {
        match (event, &mut self.buffered, self.checkpoint) {
            (FeedEvent::Reset(Reset::Compacted), ..) => self.start_over(MissingKeys::Deleted),
            (FeedEvent::Reset(Reset::Diverged), ..) => self.start_over(MissingKeys::Unknown),
            (FeedEvent::Row(row), Some(buffered), _) => {
                // Rows are sent in order: one that is not newer than the last is a repetition.
                if buffered.last().is_none_or(|last| last.seq < row.seq) {
                    buffered.push(row);
                }
                Step::Wait
            }
            (FeedEvent::Row(row), None, Some(last)) if row.seq > last.position.seq => {
                self.checkpoint = Some(at);
                Step::Apply(Change::Rows(at, vec![row]))
            }
            (FeedEvent::Heartbeat, ..) | (FeedEvent::Row(_), None, _) => Step::Wait,
            (FeedEvent::CaughtUp { complete }, buffered, None) => {
                let rows = buffered.take().unwrap_or_default();
                if self.is_too_old(at) {
                    return self.offer_again();
                }
                self.checkpoint = Some(at);
                (self.dropped, self.offers) = (None, 0);
                let missing = if complete { self.missing } else { MissingKeys::Unknown };
                self.missing = MissingKeys::Deleted;
                Step::Apply(Change::Snapshot { at, rows, missing })
            }
            // Another generation, or a position before ours, without a reset: the origin has another history.
            (FeedEvent::CaughtUp { .. }, _, Some(last))
                if at.position.generation != last.position.generation || at.position < last.position =>
            {
                self.start_over(MissingKeys::Unknown)
            }
            (FeedEvent::CaughtUp { .. }, buffered, Some(last)) => {
                let mut rows = buffered.take().unwrap_or_default();
                rows.retain(|row| row.seq > last.position.seq);
                self.checkpoint = Some(at);
                (self.dropped, self.offers) = (None, 0);
                Step::Apply(Change::Rows(at, rows))
            }
        }
    }

    /// Requests a snapshot.
    fn start_over(&mut self, missing: MissingKeys) -> Step {
        let dropped = self.checkpoint.take();
        // A second reset before the snapshot does not make the first one untrue.
        if dropped.is_some() || missing == MissingKeys::Unknown {
            self.missing = missing;
        }
        self.dropped = dropped.or(self.dropped);
        self.buffered = Some(Vec::new());
        Step::Reopen
    }

    /// Whether a snapshot is of the history of the dropped checkpoint, or of an earlier one: an origin that has diverged from it is in a
    /// higher generation, and one that cannot list what came after it is not before it. Such an origin was restored from an older copy
    /// since the reset, and has not noticed it.
    fn is_too_old(&self, at: Checkpoint) -> bool {
        let is_too_old = |dropped: Checkpoint| match self.missing {
            MissingKeys::Unknown => at.position.generation <= dropped.position.generation,
            MissingKeys::Deleted => at.position < dropped.position,
        };
        self.offers < OFFERS_MAX && self.dropped.is_some_and(is_too_old)
    }

    /// Opens the feed from the dropped checkpoint again, so that the origin notices in which history it is, and takes a higher generation:
    /// the epochs of this snapshot do not compare with those that the subscriber knows.
    fn offer_again(&mut self) -> Step {
        self.offers += 1;
        self.checkpoint = self.dropped;
        self.buffered = Some(Vec::new());
        Step::Reopen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use verge_protocol::{Generation, History, Position, Seq};

    use super::*;

    fn row(seq: u64) -> Row {
        Row { key: format!("k/{seq}"), seq: Seq(seq), value: None }
    }

    fn at(generation: u64, seq: u64) -> Checkpoint {
        let position = Position { generation: Generation(generation), seq: Seq(seq) };
        Checkpoint { position, history: History::EMPTY.then(Seq(seq), "", None) }
    }

    fn row_at(seq: u64) -> FeedMessage {
        FeedMessage { at: at(1, seq), event: FeedEvent::Row(row(seq)) }
    }

    fn caught_up(at: Checkpoint) -> FeedMessage {
        FeedMessage { at, event: FeedEvent::CaughtUp { complete: true } }
    }

    fn reset(reason: Reset) -> FeedMessage {
        FeedMessage { at: at(9, 9), event: FeedEvent::Reset(reason) }
    }

    fn snapshot(at: Checkpoint, rows: Vec<Row>, missing: MissingKeys) -> Step {
        Step::Apply(Change::Snapshot { at, rows, missing })
    }

    #[test]
    fn rows_before_caught_up_are_one_change_and_later_rows_one_each() {
        let mut cursor = Cursor::new(None);
        assert_eq!(cursor.open(), None);
        assert_eq!(cursor.advance(row_at(3)), Step::Wait);
        assert_eq!(cursor.advance(FeedMessage { at: at(1, 5), event: FeedEvent::Heartbeat }), Step::Wait);
        assert_eq!(cursor.advance(row_at(5)), Step::Wait);
        let whole = snapshot(at(1, 7), vec![row(3), row(5)], MissingKeys::Deleted);
        assert_eq!(cursor.advance(caught_up(at(1, 7))), whole);
        assert_eq!(cursor.advance(row_at(8)), Step::Apply(Change::Rows(at(1, 8), vec![row(8)])));
        assert_eq!(cursor.advance(row_at(8)), Step::Wait);
        assert_eq!(cursor.open(), Some(at(1, 8)));
        assert_eq!(cursor.advance(row_at(9)), Step::Wait);
        assert_eq!(cursor.advance(caught_up(at(1, 9))), Step::Apply(Change::Rows(at(1, 9), vec![row(9)])));
    }

    #[test]
    fn feed_broken_before_caught_up_changes_nothing() {
        let mut cursor = Cursor::new(Some(at(1, 2)));
        cursor.open();
        cursor.advance(row_at(3));
        assert_eq!(cursor.open(), Some(at(1, 2)));
        assert_eq!(cursor.advance(caught_up(at(1, 2))), Step::Apply(Change::Rows(at(1, 2), vec![])));
    }

    #[test]
    fn reset_requests_a_snapshot_that_says_what_missing_keys_are() {
        use MissingKeys::{Deleted, Unknown};
        for (resets, missing) in [
            (&[Reset::Compacted][..], Deleted),
            (&[Reset::Diverged], Unknown),
            (&[Reset::Diverged, Reset::Compacted], Unknown),
            (&[Reset::Compacted, Reset::Diverged], Unknown),
        ] {
            let mut cursor = Cursor::new(Some(at(1, 2)));
            for reason in resets {
                cursor.open();
                assert_eq!(cursor.advance(reset(*reason)), Step::Reopen);
            }
            assert_eq!(cursor.open(), None);
            assert_eq!(cursor.advance(caught_up(at(2, 1))), snapshot(at(2, 1), vec![], missing), "{resets:?}");
            cursor.open();
            cursor.advance(reset(Reset::Compacted));
            assert_eq!(cursor.advance(caught_up(at(2, 3))), snapshot(at(2, 3), vec![], Deleted), "the next one");
        }
    }

    #[test]
    fn incomplete_snapshot_deletes_no_key() {
        let mut cursor = Cursor::new(None);
        let incomplete = FeedMessage { at: at(1, 2), event: FeedEvent::CaughtUp { complete: false } };
        assert_eq!(cursor.advance(incomplete), snapshot(at(1, 2), vec![], MissingKeys::Unknown));
    }

    #[test]
    fn caught_up_of_another_history_requests_a_snapshot() {
        for other in [at(2, 9), at(0, 9), at(1, 1)] {
            let mut cursor = Cursor::new(Some(at(1, 2)));
            cursor.open();
            assert_eq!(cursor.advance(caught_up(other)), Step::Reopen);
            assert_eq!(cursor.open(), None);
            assert_eq!(cursor.advance(caught_up(at(2, 9))), snapshot(at(2, 9), vec![], MissingKeys::Unknown));
        }
    }

    #[test]
    fn snapshot_that_is_too_old_for_the_dropped_checkpoint_is_refused_and_the_checkpoint_offered_again() {
        use MissingKeys::{Deleted, Unknown};
        for (reason, too_old, later, missing) in [
            // The origin took generation 2, and was restored to a copy of generation 1 before it sent a snapshot of it.
            (Reset::Diverged, at(1, 9), at(2, 1), Unknown),
            (Reset::Compacted, at(1, 1), at(1, 2), Deleted),
            (Reset::Compacted, at(0, 9), at(2, 1), Deleted),
        ] {
            let mut cursor = Cursor::new(Some(at(1, 2)));
            cursor.open();
            assert_eq!(cursor.advance(reset(reason)), Step::Reopen);
            assert_eq!(cursor.open(), None);
            cursor.advance(row_at(1));
            assert_eq!(cursor.advance(caught_up(too_old)), Step::Reopen);
            assert_eq!(cursor.open(), Some(at(1, 2)), "the origin notices that it has another history");
            assert_eq!(cursor.advance(reset(reason)), Step::Reopen);
            assert_eq!(cursor.open(), None);
            assert_eq!(cursor.advance(caught_up(later)), snapshot(later, vec![], missing), "{reason:?}");
        }
    }

    #[test]
    fn dropped_checkpoint_that_the_origin_has_after_all_is_resumed() {
        let mut cursor = Cursor::new(Some(at(1, 2)));
        cursor.advance(reset(Reset::Diverged));
        assert_eq!(cursor.advance(caught_up(at(1, 4))), Step::Reopen);
        assert_eq!(cursor.open(), Some(at(1, 2)));
        cursor.advance(row_at(3));
        assert_eq!(cursor.advance(caught_up(at(1, 4))), Step::Apply(Change::Rows(at(1, 4), vec![row(3)])));
    }

    #[test]
    fn origin_that_insists_on_an_earlier_generation_is_believed() {
        let mut cursor = Cursor::new(Some(at(9, 9)));
        for _offer in 0..=OFFERS_MAX {
            assert_eq!(cursor.open(), Some(at(9, 9)));
            assert_eq!(cursor.advance(reset(Reset::Diverged)), Step::Reopen);
            assert_eq!(cursor.open(), None);
            let step = cursor.advance(caught_up(at(1, 1)));
            if step != Step::Reopen {
                assert_eq!((step, cursor.offers), (snapshot(at(1, 1), vec![], MissingKeys::Unknown), 0));
                return;
            }
        }
        panic!("no snapshot is taken");
    }

    #[derive(Debug, Clone)]
    enum Event {
        Row,
        CaughtUp,
        Break,
        Reset,
        Repeat(u64),
    }

    proptest! {
        /// However the feed breaks, repeats and resets, each row of a correct origin is applied once, in order, after the last
        /// snapshot, and positions only grow between snapshots.
        #[test]
        fn each_row_is_applied_once_in_order(events in prop::collection::vec(prop_oneof![
            4 => Just(Event::Row),
            2 => Just(Event::CaughtUp),
            1 => Just(Event::Break),
            1 => Just(Event::Reset),
            1 => (0_u64..5).prop_map(Event::Repeat),
        ], 0..60)) {
            let mut cursor = Cursor::new(None);
            let (mut written, mut sent) = (0, cursor.open().map_or(0, |last| last.position.seq.0));
            let mut applied: Vec<u64> = Vec::new();
            for event in events {
                let step = match event {
                    Event::Row => {
                        written += 1;
                        sent += 1;
                        cursor.advance(row_at(sent))
                    }
                    Event::CaughtUp => {
                        while sent < written {
                            sent += 1;
                            if let Step::Apply(Change::Rows(_, rows)) = cursor.advance(row_at(sent)) {
                                applied.extend(rows.iter().map(|row| row.seq.0));
                            }
                        }
                        cursor.advance(caught_up(at(1, written)))
                    }
                    Event::Break => {
                        sent = cursor.open().map_or(0, |last| last.position.seq.0);
                        Step::Wait
                    }
                    Event::Reset => {
                        prop_assert_eq!(cursor.advance(reset(Reset::Compacted)), Step::Reopen);
                        prop_assert_eq!(cursor.open(), None);
                        sent = 0;
                        Step::Wait
                    }
                    Event::Repeat(back) if sent > back => cursor.advance(row_at(sent - back)),
                    Event::Repeat(_) => Step::Wait,
                };
                match step {
                    Step::Wait => {}
                    Step::Apply(Change::Snapshot { rows, .. }) => {
                        applied = rows.iter().map(|row| row.seq.0).collect();
                    }
                    Step::Apply(Change::Rows(_, rows)) => applied.extend(rows.iter().map(|row| row.seq.0)),
                    Step::Reopen => prop_assert!(false, "a correct origin has one history"),
                }
                prop_assert_eq!(&applied, &(1..=applied.last().copied().unwrap_or(0)).collect::<Vec<_>>());
            }
        }
    }
}
