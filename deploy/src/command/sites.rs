//! `verge sites`.

use serde::Deserialize as _;
use serde_json::Value;
use verge_protocol::Timestamp;
use verge_protocol::api::{Site, SiteRegions};
use verge_protocol::https::Hsts;

use super::context::Context;
use crate::cli;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};

pub(super) async fn run(command: Option<&cli::Sites>, context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        None => {
            let answer = Value::Array(client.sites().await?);
            context
                .print_list(&answer, NO_SITES, |sites: &[Site]| render(sites, context.environment.now, context.output))
        }
        // Without regions, `--none` is given.
        Some(cli::Sites::Regions { site, regions, none: _ }) => {
            let body = SiteRegions { regions: regions.iter().cloned().collect() };
            let answer: Value = client.put(&format!("/v1/sites/{site}/regions"), &body).await?;
            context.print_result(&answer, || {
                let regions = regions_text(&Site::deserialize(&answer)?);
                Ok(if regions.is_empty() {
                    format!("{site} is not restricted to regions")
                } else {
                    format!("{site} is restricted to edges in: {regions}")
                })
            })
        }
        Some(cli::Sites::Https(options)) => https(options, &client, context).await,
    }
}

/// Shows the HTTPS settings of a site, after a change if one is asked for.
async fn https(options: &cli::SiteHttpsArgs, client: &Client, context: &Context<'_>) -> Result<Exit, Failure> {
    let path = format!("/v1/sites/{}", options.site);
    let mut answer: Value = client.get(&path).await?;
    let before = Site::deserialize(&answer)?.https;
    let wanted = options.apply_to(&before);
    if wanted != before {
        answer = client.put(&format!("{path}/https"), &wanted).await?;
    }
    context.print_result(&answer, || {
        let site = Site::deserialize(&answer)?;
        let mode = if site.https.optional {
            "answers without TLS too"
        } else {
            "redirects to https where there is a certificate"
        };
        let hsts = match &site.https.hsts {
            None => "HSTS is off".to_owned(),
            Some(Hsts { max_age_seconds: 0, .. }) => "browsers are told to forget HSTS".to_owned(),
            Some(hsts) => format!("HSTS: {hsts}"),
        };
        let mut text = format!("{}: {mode}; {hsts}", site.name);
        if let (Some(Hsts { max_age_seconds: 1.., .. }), None) = (before.hsts, site.https.hsts) {
            text.push_str("\nbrowsers that have seen it keep it: use `--hsts forget` for as long as its max-age was");
        }
        Ok(text)
    })
}

fn regions_text(site: &Site) -> String {
    site.regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// In place of a table without rows.
pub(super) const NO_SITES: &str = "no sites yet; create one with `verge push`";

/// A table with a row for each channel of each site.
pub(super) fn render(sites: &[Site], now: Timestamp, output: &Output) -> String {
    let mut header = vec!["site", "channel", "release", "since", "url"];
    if sites.iter().any(|site| !site.regions.is_empty()) {
        header.push("regions");
    }
    let mut rows = Vec::new();
    for site in sites {
        let mut row = |cells: [String; 4]| {
            let cells = [site.name.to_string()].into_iter().chain(cells).chain([regions_text(site)]);
            rows.push(cells.take(header.len()).collect());
        };
        if site.channels.is_empty() {
            row(["no release yet", "", "", ""].map(str::to_owned));
        }
        for channel in &site.channels {
            row([
                channel.name.to_string(),
                channel.release.to_string(),
                human::age(channel.moved.age(now)),
                human::line(&channel.url, usize::MAX),
            ]);
        }
    }
    table(output, &header, rows)
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::Channel;
    use verge_protocol::https::SiteHttps;
    use verge_protocol::{ReleaseNumber, Seq};

    use super::*;
    use crate::output::OutputOptions;

    #[test]
    fn every_channel_of_every_site_is_listed() {
        let channel = |name: &str, release, url: &str| Channel {
            name: name.parse().unwrap(),
            release: ReleaseNumber(release),
            previous: None,
            epoch: Seq(1),
            moved: Timestamp(0),
            expires: None,
            url: url.to_owned(),
        };
        let site = |name: &str, channels| Site {
            name: name.parse().unwrap(),
            created: Timestamp(0),
            url: format!("http://{name}.localhost:8080/"),
            channels,
            regions: [].into(),
            https: SiteHttps::default(),
        };
        let mut sites = [
            site(
                "demo",
                vec![
                    channel("live", 2, "http://demo.localhost:8080/"),
                    channel("pr-1", 3, "http://pr-1--demo.localhost:8080/"),
                ],
            ),
            site("new", vec![]),
        ];
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        insta::assert_snapshot!(render(&sites, Timestamp(7_200_000), &output));
        sites[0].regions = ["de", "eu"].map(|region| region.parse().unwrap()).into();
        insta::assert_snapshot!(render(&sites, Timestamp(7_200_000), &output));
    }
}
