//! What the events of the feed come to: whole changes, in order, none twice.

use verge_protocol::Position;
use verge_protocol::feed::FeedEvent;
use verge_protocol::state::Row;

use super::Change;

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// This is to be applied.
    Apply(Change),
    /// The feed is of no use any more: open it again, at [`Cursor::open`].
    Reopen,
}

/// Where a reader of the feed is. Rows between opening and `caught-up` are held back, so that they are applied as one.
#[derive(Debug)]
pub(super) struct Cursor {
    position: Option<Position>,
    /// What came since the feed was opened; `None` once caught up.
    catching_up: Option<Vec<Row>>,
}

impl Cursor {
    /// A reader that has applied everything up to `position`, or nothing.
    pub(super) fn new(position: Option<Position>) -> Self {
        Self { position, catching_up: Some(Vec::new()) }
    }

    /// A feed is being opened: from where? What an earlier feed left unfinished is forgotten.
    pub(super) fn open(&mut self) -> Option<Position> {
        self.catching_up = Some(Vec::new());
        self.position
    }

    /// Takes the next event.
    pub(super) fn hear(&mut self, event: FeedEvent) -> Step {
        match (event, &mut self.catching_up, self.position) {
            (FeedEvent::Reset(_), ..) => {
                self.position = None;
                self.catching_up = Some(Vec::new());
                Step::Reopen
            }
            (FeedEvent::Row(row), Some(held_back), _) => {
                // Rows come in order, so one that does not go on from the last was sent before.
                if held_back.last().is_none_or(|last| last.seq < row.seq) {
                    held_back.push(row);
                }
                Step::Wait
            }
            (FeedEvent::Row(row), None, Some(position)) if row.seq > position.seq => {
                let position = Position { seq: row.seq, ..position };
                self.position = Some(position);
                Step::Apply(Change::Rows(position, vec![row]))
            }
            (FeedEvent::Heartbeat, ..) | (FeedEvent::Row(_), None, _) => Step::Wait,
            (FeedEvent::CaughtUp(at), held_back, None) => {
                let rows = held_back.take().unwrap_or_default();
                self.position = Some(at);
                Step::Apply(Change::Snapshot(at, rows))
            }
            // Numbers of another generation, or from before where we are, tell of another history than ours.
            (FeedEvent::CaughtUp(at), _, Some(position)) if at.generation != position.generation || at < position => {
                self.position = None;
                self.catching_up = Some(Vec::new());
                Step::Reopen
            }
            (FeedEvent::CaughtUp(at), held_back, Some(position)) => {
                let mut rows = held_back.take().unwrap_or_default();
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
    fn a_snapshot_is_one_change_and_then_each_row_is() {
        let mut cursor = Cursor::new(None);
        assert_eq!(cursor.open(), None);
        assert_eq!(cursor.hear(FeedEvent::Row(row(3))), Step::Wait);
        assert_eq!(cursor.hear(FeedEvent::Heartbeat), Step::Wait);
        assert_eq!(cursor.hear(FeedEvent::Row(row(5))), Step::Wait);
        let snapshot = Change::Snapshot(at(1, 7), vec![row(3), row(5)]);
        assert_eq!(cursor.hear(FeedEvent::CaughtUp(at(1, 7))), Step::Apply(snapshot));
        assert_eq!(cursor.hear(FeedEvent::Row(row(8))), Step::Apply(Change::Rows(at(1, 8), vec![row(8)])));
        assert_eq!(cursor.hear(FeedEvent::Row(row(8))), Step::Wait);
        assert_eq!(cursor.open(), Some(at(1, 8)));
        assert_eq!(cursor.hear(FeedEvent::Row(row(9))), Step::Wait);
        assert_eq!(cursor.hear(FeedEvent::CaughtUp(at(1, 9))), Step::Apply(Change::Rows(at(1, 9), vec![row(9)])));
    }

    #[test]
    fn a_feed_that_breaks_before_it_caught_up_leaves_nothing() {
        let mut cursor = Cursor::new(Some(at(1, 2)));
        cursor.open();
        cursor.hear(FeedEvent::Row(row(3)));
        assert_eq!(cursor.open(), Some(at(1, 2)));
        assert_eq!(cursor.hear(FeedEvent::CaughtUp(at(1, 2))), Step::Apply(Change::Rows(at(1, 2), vec![])));
    }

    #[test]
    fn a_reset_starts_over() {
        let mut cursor = Cursor::new(Some(at(1, 2)));
        cursor.open();
        assert_eq!(cursor.hear(FeedEvent::Reset(Reset::Generation)), Step::Reopen);
        assert_eq!(cursor.open(), None);
        assert_eq!(cursor.hear(FeedEvent::CaughtUp(at(2, 1))), Step::Apply(Change::Snapshot(at(2, 1), vec![])));
    }

    #[test]
    fn another_history_starts_over() {
        for other in [at(2, 9), at(0, 9), at(1, 1)] {
            let mut cursor = Cursor::new(Some(at(1, 2)));
            cursor.open();
            assert_eq!(cursor.hear(FeedEvent::CaughtUp(other)), Step::Reopen);
            assert_eq!(cursor.open(), None);
        }
    }

    #[derive(Debug, Clone)]
    enum Happening {
        Row,
        CaughtUp,
        Break,
        Reset,
        Repeat(u64),
    }

    proptest! {
        /// However the feed breaks, repeats and resets, an honest origin's rows arrive each once, in order, after the last
        /// snapshot; and positions only grow between snapshots.
        #[test]
        fn no_row_is_lost_or_applied_twice(happenings in prop::collection::vec(prop_oneof![
            4 => Just(Happening::Row),
            2 => Just(Happening::CaughtUp),
            1 => Just(Happening::Break),
            1 => Just(Happening::Reset),
            1 => (0_u64..5).prop_map(Happening::Repeat),
        ], 0..60)) {
            let mut cursor = Cursor::new(None);
            let (mut written, mut sent) = (0, cursor.open().map_or(0, |position| position.seq.0));
            let mut applied: Vec<u64> = Vec::new();
            for happening in happenings {
                let step = match happening {
                    Happening::Row => {
                        written += 1;
                        sent += 1;
                        cursor.hear(FeedEvent::Row(row(sent)))
                    }
                    Happening::CaughtUp => {
                        while sent < written {
                            sent += 1;
                            if let Step::Apply(Change::Rows(_, rows)) = cursor.hear(FeedEvent::Row(row(sent))) {
                                applied.extend(rows.iter().map(|row| row.seq.0));
                            }
                        }
                        cursor.hear(FeedEvent::CaughtUp(at(1, written)))
                    }
                    Happening::Break => {
                        sent = cursor.open().map_or(0, |position| position.seq.0);
                        Step::Wait
                    }
                    Happening::Reset => {
                        prop_assert_eq!(cursor.hear(FeedEvent::Reset(Reset::Compacted)), Step::Reopen);
                        prop_assert_eq!(cursor.open(), None);
                        sent = 0;
                        Step::Wait
                    }
                    Happening::Repeat(back) if sent > back => cursor.hear(FeedEvent::Row(row(sent - back))),
                    Happening::Repeat(_) => Step::Wait,
                };
                match step {
                    Step::Wait => {}
                    Step::Apply(Change::Snapshot(_, rows)) => {
                        applied = rows.iter().map(|row| row.seq.0).collect();
                    }
                    Step::Apply(Change::Rows(_, rows)) => applied.extend(rows.iter().map(|row| row.seq.0)),
                    Step::Reopen => prop_assert!(false, "an honest origin's history is one"),
                }
                prop_assert_eq!(&applied, &(1..=applied.last().copied().unwrap_or(0)).collect::<Vec<_>>());
            }
        }
    }
}
