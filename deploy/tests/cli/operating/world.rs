//! A real origin and a resolver for it.

use std::time::Duration;

use verge_daemon::Clock;
use verge_origin::{Config, Origin, Timing};
use verge_protocol::Timestamp;

use super::resolver::Resolver;
use crate::world::{Ran, verge, verge_answering};

/// An origin with a site, and the resolver that it uses.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) origin: Origin,
    pub(super) resolver: Resolver,
    pub(super) clock: Clock,
}

impl World {
    pub(super) async fn new() -> Self {
        let (dir, resolver) = (tempfile::tempdir().unwrap(), Resolver::start().await);
        let config = Config {
            resolver: Some(resolver.address),
            domain_check_interval: Duration::from_hours(1),
            expiry_check_interval: Duration::from_millis(50),
            rollout_timing: Timing { live: Duration::from_millis(1), ..Timing::default() },
            ..Config::new(dir.path().join("origin"), "https://sites.example.org".parse().unwrap())
        };
        let clock = Clock::manual(Timestamp(3_600_000));
        let origin = Origin::bind_with_clock(config, clock.clone()).await.unwrap();
        let world = Self { dir, origin, resolver, clock };
        let client = verge::client::Client::new(world.url().parse().unwrap(), &world.token()).unwrap();
        client.create_site(&"demo".parse().unwrap()).await.unwrap();
        world
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.origin.addr())
    }

    fn token(&self) -> verge::client::Token {
        verge::client::Token::new(self.origin.admin_token().expose())
    }

    /// Runs `verge` with arguments separated by spaces.
    pub(super) async fn verge(&self, typed: &str) -> Ran {
        let arguments: Vec<&str> = typed.split_whitespace().collect();
        verge(self.dir.path(), &self.url(), self.origin.admin_token().expose(), &arguments).await
    }

    /// The same as on a terminal, where `answers` are typed.
    pub(super) async fn verge_answering(&self, typed: &str, answers: &'static str) -> Ran {
        let arguments: Vec<&str> = typed.split_whitespace().collect();
        let token = self.origin.admin_token().expose();
        verge_answering(self.dir.path(), &self.url(), token, &arguments, Some(answers)).await
    }

    pub(super) async fn stop(self) {
        self.origin.shutdown().await.unwrap();
    }
}
