//! The origin's ends of feeds.

use std::time::Duration;

use verge_origin::model::{self, Relation};
use verge_protocol::Checkpoint;
use verge_protocol::feed::{FeedEvent, FeedMessage, Reset};

use super::Origin;
use super::process::{FeedStream, Subscription};
use crate::plant::Plant;
use crate::world::{Event, World};

impl Origin {
    /// Wakes the subscriptions, each in its own time: several writes may be read at once.
    pub(super) fn announce(&mut self, world: &mut World) {
        let Some(process) = &self.process else { return };
        for connection in process.subscriptions.keys() {
            let delay = world.random.millis(0, 5);
            world.after(delay, Event::Publish { connection: *connection });
        }
    }

    /// An edge subscribes.
    pub(crate) fn subscribe(&mut self, world: &mut World, edge: usize, connection: u64, since: Option<Checkpoint>) {
        let Some(process) = &mut self.process else {
            return world.after(Duration::from_millis(1), Event::FeedEnds { edge, connection });
        };
        let generation = self.database.position.generation;
        let mut at = since.unwrap_or_default();
        let mut reset = None;
        if let Some(since) = since {
            match self.database.relation(since) {
                Relation::Resumable => {}
                Relation::Compacted => reset = Some(Reset::Compacted),
                Relation::Diverged => reset = Some(Reset::Diverged),
                Relation::Ahead if world.has(Plant::OriginKeepsItsGeneration) => reset = Some(Reset::Compacted),
                Relation::Ahead if self.database.diverge(since, world.wall()) => {
                    world.log(|_| format!("origin takes a new generation after {since}: {}", self.database.position));
                    reset = Some(Reset::Diverged);
                    for connection in process.subscriptions.keys() {
                        world.after(Duration::from_millis(1), Event::Publish { connection: *connection });
                    }
                }
                Relation::Ahead => {
                    return world.after(Duration::from_millis(1), Event::FeedEnds { edge, connection });
                }
            }
        }
        self.feeds.insert(connection, FeedStream::default());
        if let Some(reset) = reset {
            self.send(world, edge, connection, FeedMessage { at, event: FeedEvent::Reset(reset) });
            return self.end_feed(world, edge, connection);
        }
        if world.has(Plant::FeedSkipsARow) && since.is_some() {
            at.position.seq.0 += 1;
        }
        process.subscriptions.insert(connection, Subscription { edge, at, generation, is_tailing: false });
        self.publish_rows(world, connection);
    }

    /// Sends a subscriber what is new.
    pub(crate) fn publish_rows(&mut self, world: &mut World, connection: u64) {
        let Some(process) = &mut self.process else { return };
        let Some(subscription) = process.subscriptions.get_mut(&connection) else { return };
        let edge = subscription.edge;
        if subscription.generation != self.database.position.generation {
            let at = subscription.at;
            process.subscriptions.remove(&connection);
            self.send(world, edge, connection, FeedMessage { at, event: FeedEvent::Reset(Reset::Compacted) });
            return self.end_feed(world, edge, connection);
        }
        let rows = self.database.rows_after(subscription.at.position.seq);
        let messages = model::row_messages(subscription.at, rows);
        subscription.at = self.database.at();
        let at = subscription.at;
        let is_tailing = std::mem::replace(&mut subscription.is_tailing, true);
        for message in messages {
            self.send(world, edge, connection, message);
        }
        if !is_tailing {
            self.send(world, edge, connection, FeedMessage { at, event: FeedEvent::CaughtUp { complete: true } });
        }
    }

    fn send(&mut self, world: &mut World, edge: usize, connection: u64, message: FeedMessage) {
        let Some(feed) = self.feeds.get_mut(&connection) else { return };
        let at = feed.last_arrival.max(world.now + world.random.latency());
        feed.last_arrival = at;
        feed.messages.push_back((at, message));
        world.after(at.saturating_sub(world.now), Event::FeedArrives { edge, connection });
    }

    fn end_feed(&mut self, world: &mut World, edge: usize, connection: u64) {
        let Some(feed) = self.feeds.get_mut(&connection) else { return };
        feed.has_ended = true;
        let delay = feed.last_arrival.saturating_sub(world.now) + Duration::from_millis(1);
        world.after(delay, Event::FeedEnds { edge, connection });
    }

    /// An edge has closed its feed.
    pub(crate) fn disconnect(&mut self, connection: u64) {
        self.feeds.remove(&connection);
        if let Some(process) = &mut self.process {
            process.subscriptions.remove(&connection);
        }
    }
}
