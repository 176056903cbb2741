//! `verge channels`.

use serde_json::{Value, json};
use verge_protocol::api::{Channel, Site};
use verge_protocol::{SiteName, Timestamp};

use super::context::Context;
use super::linking;
use super::provenance;
use crate::channel::ChannelArg;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};
use crate::project::Project;

pub(super) async fn run(
    site: &cli::SiteArg,
    command: Option<&cli::Channels>,
    context: &Context<'_>,
) -> Result<Exit, Failure> {
    let project = Project::find(None, &context.environment.current_dir)?;
    match command {
        None => {
            let site = project.site(site.site.as_ref())?;
            let mut answer: Value = context.client()?.get(&format!("/v1/sites/{site}")).await?;
            let none = format_args!("{site} has no channels yet; create one with `verge push`");
            context.print_list(&answer["channels"].take(), none, |channels: &[Channel]| {
                render(channels, context.environment.now, context.output)
            })
        }
        Some(cli::Channels::Delete { channel, site, yes }) => {
            let site = linking::site_to_change(&project, site.site.as_ref(), context)?;
            delete(&site, channel, *yes, context).await
        }
    }
}

async fn delete(site: &SiteName, channel: &ChannelArg, yes: bool, context: &Context<'_>) -> Result<Exit, Failure> {
    let channel = &channel.name;
    if channel.is_live() {
        return Err(live());
    }
    let client = context.client()?;
    let shown: Site = client.get(&format!("/v1/sites/{site}")).await?;
    let Some(known) = shown.channels.into_iter().find(|known| known.name == *channel) else {
        let message = format!("{site} has no channel {channel}");
        let failure = Failure { exit: Exit::Failure, message, details: Vec::new(), hints: Vec::new() };
        return Err(failure.hint(Some("use `verge channels` to list channels")));
    };
    if !yes {
        let url = human::line(&known.url, usize::MAX);
        context.confirm(&format!("{url} will answer 404; its release {} stays for a day", known.release))?;
    }
    // By its epoch: a channel that was pushed to meanwhile is not deleted.
    let author = provenance::author_of(context.environment).await;
    client.delete_channel(site, channel, known.epoch, author.as_deref()).await?;
    context.print_result(&json!({ "site": site, "channel": channel, "deleted": true }), || {
        Ok(format!("deleted {channel} of {site}"))
    })
}

fn live() -> Failure {
    let message = "channel `live` cannot be deleted".to_owned();
    let hint = "use `verge rollback` or `verge promote` to serve another release";
    Failure { exit: Exit::Refused, message, details: Vec::new(), hints: Vec::new() }.hint(Some(hint))
}

/// A table with a row for each channel.
fn render(channels: &[Channel], now: Timestamp, output: &Output) -> String {
    let row = |channel: &Channel| {
        let expires = channel.expires.map_or_else(|| "never".to_owned(), |at| human::until(now.age(at)));
        vec![
            channel.name.to_string(),
            channel.release.to_string(),
            human::age(channel.moved.age(now)),
            expires,
            human::line(&channel.url, usize::MAX),
        ]
    };
    table(output, &["channel", "release", "moved", "expires", "url"], channels.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use verge_protocol::{ReleaseNumber, Seq};

    use super::*;
    use crate::output::OutputOptions;

    #[test]
    fn channels_are_listed_with_the_time_that_they_have_left() {
        const HOUR: u64 = 3_600_000;
        let channel = |name: &str, release, expires: Option<u64>| Channel {
            name: name.parse().unwrap(),
            release: ReleaseNumber(release),
            previous: None,
            epoch: Seq(1),
            moved: Timestamp(0),
            expires: expires.map(Timestamp),
            url: format!("http://{name}--demo.localhost:8080/"),
        };
        let channels = [
            channel("live", 2, None),
            channel("pr-1", 3, Some(2 * HOUR + 14 * 24 * HOUR)),
            channel("pr-2", 4, Some(2 * HOUR + HOUR / 4)),
            channel("pr-3", 5, Some(HOUR)),
        ];
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        insta::assert_snapshot!(render(&channels, Timestamp(2 * HOUR), &output));
    }
}
