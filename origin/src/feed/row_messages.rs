//! The events of rows, each with the checkpoint up to which every write was sent.

use verge_protocol::feed::{FeedEvent, FeedMessage};
use verge_protocol::state::Row;
use verge_protocol::{Checkpoint, Seq};

/// The messages of `rows`, all those written after `sent` in order, each with the checkpoint after it.
///
/// A write that a later one of its key has replaced is not among the rows. What it set has not been sent before the later row has, so
/// from the gap that it leaves up to the last row, messages keep the checkpoint before the gap: a subscriber that applies row by row
/// must not claim a write of which it has not seen the outcome.
pub(crate) fn row_messages(sent: Checkpoint, rows: Vec<(Row, Checkpoint)>) -> Vec<FeedMessage> {
    let last = rows.last().map(|(row, _)| row.seq);
    let mut claimed = sent;
    let message = |(row, after): (Row, Checkpoint)| {
        if row.seq == Seq(claimed.position.seq.0 + 1) || Some(row.seq) == last {
            claimed = after;
        }
        FeedMessage { at: claimed, event: FeedEvent::Row(row) }
    };
    rows.into_iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use verge_protocol::{Generation, History, Position};

    use super::*;

    fn at(seq: u64) -> Checkpoint {
        let position = Position { generation: Generation(1), seq: Seq(seq) };
        Checkpoint { position, history: History::EMPTY.then(Seq(seq), "", None) }
    }

    /// The sequence numbers that messages of rows with these numbers claim, after 2.
    fn claimed(rows: &[u64]) -> Vec<u64> {
        let row = |seq: &u64| (Row { key: format!("k/{seq}"), seq: Seq(*seq), value: None }, at(*seq));
        let messages = row_messages(at(2), rows.iter().map(row).collect());
        messages.iter().map(|message| message.at.position.seq.0).collect()
    }

    #[test]
    fn message_claims_no_write_whose_outcome_is_sent_later() {
        assert!(claimed(&[]).is_empty());
        assert_eq!(claimed(&[3, 4, 5]), [3, 4, 5]);
        assert_eq!(claimed(&[3, 5, 6, 8]), [3, 3, 3, 8]);
        assert_eq!(claimed(&[9]), [9]);
    }
}
