//! `verge sites`.

use serde::Deserialize as _;
use serde_json::Value;
use verge_protocol::Timestamp;
use verge_protocol::api::Site;

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};

pub(super) async fn run(context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    let answer: Value = client.get("/v1/sites").await?;
    context.answer(&answer, || {
        let sites = Vec::<Site>::deserialize(&answer)?;
        Ok(text(&sites, context.environment.now, context.output))
    })
}

/// A row for each channel of each site.
pub(super) fn text(sites: &[Site], now: Timestamp, output: &Output) -> String {
    if sites.is_empty() {
        return "no site yet: `verge push` makes one".to_owned();
    }
    let mut rows = Vec::new();
    for site in sites {
        if site.channels.is_empty() {
            rows.push(vec![site.name.to_string(), "nothing pushed yet".to_owned()]);
        }
        for channel in &site.channels {
            rows.push(vec![
                site.name.to_string(),
                channel.name.to_string(),
                channel.release.to_string(),
                human::age(channel.moved.age(now)),
                human::line(&channel.url, usize::MAX),
            ]);
        }
    }
    table(output, &["site", "channel", "release", "since", "open"], rows)
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::Channel;
    use verge_protocol::{ReleaseNumber, Seq};

    use super::*;
    use crate::output::Manner;

    #[test]
    fn every_channel_of_every_site_is_listed() {
        let channel = |name: &str, release, url: &str| Channel {
            name: name.parse().unwrap(),
            release: ReleaseNumber(release),
            previous: None,
            epoch: Seq(1),
            moved: Timestamp(0),
            url: url.to_owned(),
        };
        let site = |name: &str, channels| Site {
            name: name.parse().unwrap(),
            created: Timestamp(0),
            url: format!("http://{name}.localhost:8080/"),
            channels,
        };
        let sites = [
            site(
                "demo",
                vec![
                    channel("live", 2, "http://demo.localhost:8080/"),
                    channel("pr-1", 3, "http://pr-1--demo.localhost:8080/"),
                ],
            ),
            site("new", vec![]),
        ];
        let output = Output::new(std::io::sink(), std::io::sink(), Manner::default());
        insta::assert_snapshot!(text(&sites, Timestamp(7_200_000), &output));
        assert_eq!(text(&[], Timestamp(0), &output), "no site yet: `verge push` makes one");
    }
}
