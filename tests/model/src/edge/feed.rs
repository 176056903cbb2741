//! The feed that an edge reads: opened, lost, and opened again.

use std::time::Duration;

use verge_daemon::feed::Step;
use verge_protocol::feed::{FeedEvent, FeedMessage};
use verge_protocol::state::ParsedRow;

use super::{Edge, Feed, planted};
use crate::ledger::Ledger;
use crate::origin::{FeedStream, Origin};
use crate::world::{Event, Input, World};

/// A feed from which nothing arrives for so long is dead.
const FEED_TIMEOUT: Duration = Duration::from_secs(15);

impl Edge {
    /// Opens a feed.
    pub(crate) fn connect(&mut self, world: &mut World) {
        let Some(process) = self.process.as_mut().filter(|process| process.feed.is_none()) else { return };
        let (edge, number) = (self.index, process.number);
        if self.is_cut_off {
            process.is_origin_unreachable = true;
            let delay = world.random.millis(500, 2000);
            return world.after(delay, Event::Connect { edge, process: number });
        }
        let connection = world.number();
        process.feed = Some(Feed { connection, last_seen: world.now, has_delivered: false });
        let since = process.cursor.open();
        let delay = world.random.latency();
        world.after(delay, Event::Subscribe { edge, connection, since });
        // Unless something arrives, it is given up.
        world.after(FEED_TIMEOUT, Event::FeedEnds { edge, connection });
        self.report(world, true);
    }

    /// The next message of a feed arrives.
    pub(crate) fn receive(&mut self, world: &mut World, origin: &mut Origin, connection: u64) {
        let Some(process) = &mut self.process else { return };
        let Some(feed) = process.feed.as_mut().filter(|feed| feed.connection == connection) else { return };
        let Some(stream) = origin.feeds.get_mut(&connection) else { return };
        if self.is_cut_off {
            // TCP sends it again; the edge does not wait for ever.
            if world.now < feed.last_seen + FEED_TIMEOUT {
                world.after(Duration::from_millis(500), Event::FeedArrives { edge: self.index, connection });
            } else {
                self.close_feed(world, origin);
            }
            return;
        }
        let Some(message) = next_message(stream, world.now) else { return };
        (feed.last_seen, feed.has_delivered) = (world.now, true);
        (process.origin_seen, process.is_origin_unreachable) = (world.now, false);
        world
            .log(|ledger| format!("e{} gets {} {}", self.index, message.at.position, describe_event(ledger, &message)));
        match process.cursor.advance(message) {
            Step::Wait => {}
            Step::Apply(mut change) => {
                planted::change(world, &self.name, &mut change);
                process.inbox.push_back(Input::Change(change));
                self.work(world);
            }
            Step::Reopen => {
                origin.disconnect(connection);
                process.feed = None;
                let process = process.number;
                world.after(Duration::from_millis(10), Event::Connect { edge: self.index, process });
            }
        }
    }

    /// A feed may have ended.
    pub(crate) fn feed_ends(&mut self, world: &mut World, origin: &mut Origin, connection: u64) {
        let Some(process) = &mut self.process else { return };
        let Some(feed) = process.feed.as_ref().filter(|feed| feed.connection == connection) else { return };
        let stream = origin.feeds.get(&connection);
        let is_open = stream.is_some_and(|stream| !stream.has_ended || !stream.messages.is_empty() && !self.is_cut_off);
        // An idle feed has heartbeats, unless the edge is cut off.
        let is_silent = self.is_cut_off && world.now >= feed.last_seen + FEED_TIMEOUT;
        if is_open && !is_silent {
            return world.after(Duration::from_secs(5), Event::FeedEnds { edge: self.index, connection });
        }
        self.close_feed(world, origin);
    }

    /// Closes its feed, and opens another after a while.
    pub(crate) fn close_feed(&mut self, world: &mut World, origin: &mut Origin) {
        let Some(process) = &mut self.process else { return };
        let Some(Feed { connection, has_delivered, .. }) = process.feed.take() else { return };
        process.is_origin_unreachable |= !has_delivered;
        world.log(|_| format!("the feed of e{} ends", self.index));
        origin.disconnect(connection);
        let (edge, process) = (self.index, process.number);
        let delay = world.random.millis(100, 2000);
        world.after(delay, Event::Connect { edge, process });
    }

    /// Whether readers may be sent to it, as its health page says. An idle feed has heartbeats.
    pub(crate) fn is_available(&self, now: Duration, origin: &Origin) -> bool {
        let Some(process) = &self.process else { return false };
        let is_open = |feed: &Feed| {
            let has_ended = origin.feeds.get(&feed.connection).is_none_or(|stream| stream.has_ended);
            feed.has_delivered && !has_ended && !self.is_cut_off
        };
        let silence = match &process.feed {
            Some(feed) if is_open(feed) => Duration::ZERO,
            _ => now.saturating_sub(process.origin_seen),
        };
        process.follower.is_available(silence, process.is_origin_unreachable)
    }
}

/// The message at the front, if its time has come.
fn next_message(feed: &mut FeedStream, now: Duration) -> Option<FeedMessage> {
    feed.messages.front().filter(|(at, _)| *at <= now)?;
    feed.messages.pop_front().map(|(_, message)| message)
}

fn describe_event(ledger: &Ledger, message: &FeedMessage) -> String {
    let FeedEvent::Row(row) = &message.event else { return message.event.to_parts().0.to_owned() };
    let value = match row.parse() {
        Ok(ParsedRow::Channel(_, Some(state))) => ledger.name(&state.manifest),
        Ok(ParsedRow::Rollout(_, Some(state))) => ledger.name(&state.manifest),
        _ => "nothing".to_owned(),
    };
    format!("{} = {value}", row.key)
}
