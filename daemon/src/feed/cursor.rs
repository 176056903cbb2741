//! Turns feed events into complete changes: in order, each row exactly once.

use verge_protocol::Position;
use verge_protocol::feed::FeedEvent;
use verge_protocol::state::Row;

use super::Change;

/// What the subscriber has to do after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// Apply this change.
    Apply(Change),
    /// The feed cannot be resumed: open it again, from [`Cursor::open`].
    Reopen,
}

/// A subscriber's position in the feed. Rows between opening and `caught-up` are buffered and applied as one change.
#[derive(Debug)]
pub(super) struct Cursor {
    position: Option<Position>,
    /// Rows received since the feed was opened; `None` once caught up.
    buffered: Option<Vec<Row>>,
}

impl Cursor {
    /// A subscriber that has applied everything up to `position`; `None`: nothing.
    pub(super) fn new(position: Option<Position>) -> Self {
        Self { position, buffered: Some(Vec::new()) }
    }

    /// The position from which to open a feed. Rows buffered from an earlier feed are dropped.
    pub(super) fn open(&mut self) -> Option<Position> {
        self.buffered = Some(Vec::new());
        self.position
    }

    /// Processes the next event.
    pub(super) fn advance(&mut self, event: FeedEvent) -> Step {
        match (event, &mut self.buffered, self.position) {
            (FeedEvent::Reset(_), ..) => {
                self.position = None;
                self.buffered = Some(Vec::new());
                Step::Reopen
            }
            (FeedEvent::Row(row), Some(buffered), _) => {
                // Rows are sent in order: one that is not newer than the last is a repetition.
                if buffered.last().is_none_or(|last| last.seq < row.seq) {
                    buffered.push(row);
                }
                Step::Wait
            }
            (FeedEvent::Row(row), None, Some(position)) if row.seq > position.seq => {
                let position = Position { seq: row.seq, ..position };
                self.position = Some(position);
                Step::Apply(Change::Rows(position, vec![row]))
            }
            (FeedEvent::Heartbeat, ..) | (FeedEvent::Row(_), None, _) => Step::Wait,
            (FeedEvent::CaughtUp(at), buffered, None) => {
                let rows = buffered.take().unwrap_or_default();
                self.position = Some(at);
                Step::Apply(Change::Snapshot(at, rows))
            }
            // Another generation, or a position before ours: the origin has another history.
            (FeedEvent::CaughtUp(at), _, Some(position)) if at.generation != position.generation || at < position => {
                self.position = None;
                self.buffered = Some(Vec::new());
                Step::Reopen
            }
            (FeedEvent::CaughtUp(at), buffered, Some(position)) => {
                let mut rows = buffered.take().unwrap_or_default();
                rows.retain(|row| row.seq > position.seq);
                self.position = Some(at);
                Step::Apply(Change::Rows(at, rows))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use verge_protocol::feed::Reset;
    use verge_protocol::{Generation, Seq};

    use super::*;

    fn row(seq: u64) -> Row {
        Row { key: format!("k/{seq}"), seq: Seq(seq), value: None }
    }

    fn at(generation: u64, seq: u64) -> Position {
        Position { generation: Generation(generation), seq: Seq(seq) }
    }

    #[test]
    fn rows_before_caught_up_are_one_change_and_later_rows_one_each() {
        let mut cursor = Cursor::new(None);
        assert_eq!(cursor.open(), None);
        assert_eq!(cursor.advance(FeedEvent::Row(row(3))), Step::Wait);
        assert_eq!(cursor.advance(FeedEvent::Heartbeat), Step::Wait);
        assert_eq!(cursor.advance(FeedEvent::Row(row(5))), Step::Wait);
        let snapshot = Change::Snapshot(at(1, 7), vec![row(3), row(5)]);
        assert_eq!(cursor.advance(FeedEvent::CaughtUp(at(1, 7))), Step::Apply(snapshot));
        assert_eq!(cursor.advance(FeedEvent::Row(row(8))), Step::Apply(Change::Rows(at(1, 8), vec![row(8)])));
        assert_eq!(cursor.advance(FeedEvent::Row(row(8))), Step::Wait);
        assert_eq!(cursor.open(), Some(at(1, 8)));
        assert_eq!(cursor.advance(FeedEvent::Row(row(9))), Step::Wait);
        assert_eq!(cursor.advance(FeedEvent::CaughtUp(at(1, 9))), Step::Apply(Change::Rows(at(1, 9), vec![row(9)])));
    }

    #[test]
    fn feed_broken_before_caught_up_changes_nothing() {
        let mut cursor = Cursor::new(Some(at(1, 2)));
        cursor.open();
        cursor.advance(FeedEvent::Row(row(3)));
        assert_eq!(cursor.open(), Some(at(1, 2)));
        assert_eq!(cursor.advance(FeedEvent::CaughtUp(at(1, 2))), Step::Apply(Change::Rows(at(1, 2), vec![])));
    }

    #[test]
    fn reset_discards_position() {
        let mut cursor = Cursor::new(Some(at(1, 2)));
        cursor.open();
        assert_eq!(cursor.advance(FeedEvent::Reset(Reset::Generation)), Step::Reopen);
        assert_eq!(cursor.open(), None);
        assert_eq!(cursor.advance(FeedEvent::CaughtUp(at(2, 1))), Step::Apply(Change::Snapshot(at(2, 1), vec![])));
    }

    #[test]
    fn caught_up_of_another_history_discards_position() {
        for other in [at(2, 9), at(0, 9), at(1, 1)] {
            let mut cursor = Cursor::new(Some(at(1, 2)));
            cursor.open();
            assert_eq!(cursor.advance(FeedEvent::CaughtUp(other)), Step::Reopen);
            assert_eq!(cursor.open(), None);
        }
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
            let (mut written, mut sent) = (0, cursor.open().map_or(0, |position| position.seq.0));
            let mut applied: Vec<u64> = Vec::new();
            for event in events {
                let step = match event {
                    Event::Row => {
                        written += 1;
                        sent += 1;
                        cursor.advance(FeedEvent::Row(row(sent)))
                    }
                    Event::CaughtUp => {
                        while sent < written {
                            sent += 1;
                            if let Step::Apply(Change::Rows(_, rows)) = cursor.advance(FeedEvent::Row(row(sent))) {
                                applied.extend(rows.iter().map(|row| row.seq.0));
                            }
                        }
                        cursor.advance(FeedEvent::CaughtUp(at(1, written)))
                    }
                    Event::Break => {
                        sent = cursor.open().map_or(0, |position| position.seq.0);
                        Step::Wait
                    }
                    Event::Reset => {
                        prop_assert_eq!(cursor.advance(FeedEvent::Reset(Reset::Compacted)), Step::Reopen);
                        prop_assert_eq!(cursor.open(), None);
                        sent = 0;
                        Step::Wait
                    }
                    Event::Repeat(back) if sent > back => cursor.advance(FeedEvent::Row(row(sent - back))),
                    Event::Repeat(_) => Step::Wait,
                };
                match step {
                    Step::Wait => {}
                    Step::Apply(Change::Snapshot(_, rows)) => {
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
