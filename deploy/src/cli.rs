//! What may be typed.

mod domains;
mod edges;
mod manner;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use verge_protocol::{ChannelName, NameServerName, Region, ReleaseNumber, SiteName};

pub use self::domains::Domains;
pub use self::edges::{Described, Edges, Forced};
pub use self::manner::Surroundings;
use crate::connection::Wanted;
use crate::exit::Exit;

/// Verge: a static-site CDN that you own.
#[derive(Debug, Parser)]
#[command(name = "verge", version, after_help = after_help(), disable_help_subcommand = true)]
pub struct Cli {
    /// What goes for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What goes for every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The origin's URL, instead of `VERGE_ORIGIN`
    #[arg(long, global = true, value_name = "URL")]
    pub origin: Option<String>,
    /// A file that holds the token, instead of `VERGE_TOKEN`
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Send the token over plain http to another machine too
    #[arg(long, global = true)]
    pub insecure: bool,
    /// Say nothing but what was asked for, warnings and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Write what was asked for as one line of JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colors: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: Color,
}

impl Global {
    /// What it says about the connection.
    pub fn connection(&self) -> Wanted<'_> {
        Wanted { origin: self.origin.as_deref(), token_file: self.token_file.as_deref(), insecure: self.insecure }
    }
}

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a release of a folder and put it live
    Push(Push),
    /// List the releases of a site, the newest first
    Releases(Site),
    /// Put an earlier release live again
    Rollback(Rollback),
    /// Show how the fleet and its sites are
    Status,
    /// List all sites, or keep the readers of one to a part of the world
    Sites {
        /// What to do; nothing lists them
        #[command(subcommand)]
        command: Option<Sites>,
    },
    /// List the edges, or say how readers are sent to them
    Edges {
        /// What to do; nothing lists them
        #[command(subcommand)]
        command: Option<Edges>,
    },
    /// List the domains that show sites, or add one
    Domains {
        /// What to do; nothing lists them
        #[command(subcommand)]
        command: Option<Domains>,
    },
    /// Ask why DNS leads readers where it does, or issue a token for a node that answers it
    Dns {
        /// What to do
        #[command(subcommand)]
        command: Dns,
    },
    /// Run an origin, edges and a name server on this machine, and push a site to them
    #[cfg(feature = "up")]
    Up(Up),
}

/// `verge push`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that a person may set on its own")]
pub struct Push {
    /// The folder [default: `dir` of verge.toml, else the first of build/, dist/, out/, public/, _site/ with an index.html]
    pub dir: Option<PathBuf>,
    /// The site
    #[command(flatten)]
    pub site: Site,
    /// The channel that shall point at the release
    #[command(flatten)]
    pub channel: Channel,
    /// Why, for `verge releases` to show
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// Who pushes [default: git's user.name, else the user who runs it]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// Answer paths that name no file with index.html [default: `spa` of verge.toml, else _redirects, else by the files' look]
    #[arg(long, overrides_with = "no_spa")]
    pub spa: bool,
    /// Answer paths that name no file with 404
    #[arg(long, overrides_with = "spa")]
    pub no_spa: bool,
    /// Push a folder without index.html, or with less than half of the live release's files
    #[arg(long)]
    pub force: bool,
    /// Push although there are .env files, which are left out, or private keys, which are not
    #[arg(long)]
    pub allow_secrets: bool,
    /// Push without those rules of _redirects and _headers that Verge does not evaluate yet
    #[arg(long)]
    pub ignore_rules: bool,
}

/// `verge rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The release [default: what the channel served before]
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<ReleaseNumber>,
    /// The site
    #[command(flatten)]
    pub site: Site,
    /// The channel that shall point at it
    #[command(flatten)]
    pub channel: Channel,
}

/// `verge sites`.
#[derive(Debug, Subcommand)]
pub enum Sites {
    /// Send a site's readers only to edges in some regions
    Fence {
        /// The site
        site: SiteName,
        /// The regions, such as eu
        #[arg(value_name = "REGION", required_unless_present = "none")]
        regions: Vec<Region>,
        /// Take the fence away: readers are sent to any edge
        #[arg(long, conflicts_with = "regions")]
        none: bool,
    },
}

/// `verge dns`.
#[derive(Debug, Subcommand)]
pub enum Dns {
    /// Tell where readers at an address are led, and why
    Explain {
        /// The address of a reader, or of the resolver that asks for it
        address: IpAddr,
        /// The name they ask for, such as demo.verge.test [default: any site's]
        name: Option<String>,
        /// The URL of a node's private listener, instead of `VERGE_NODE` [default: that of `verge up`]
        #[arg(long, value_name = "URL")]
        node: Option<String>,
    },
    /// List the nodes that have a token
    Nodes,
    /// Take a node's token away: it hears of no change any more
    Remove {
        /// The node
        node: NameServerName,
    },
    /// Issue a token by which a node follows the origin; an earlier one stops working
    Token {
        /// The node's name, such as ns-1
        node: NameServerName,
    },
}

/// `verge up`.
#[cfg(feature = "up")]
#[derive(Debug, Args)]
pub struct Up {
    /// The folder to push [default: a demo]
    pub dir: Option<PathBuf>,
    /// The site to push it to
    #[command(flatten)]
    pub site: Site,
    /// How many edges to run
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(crate::up::Ports::EDGES_MAX)))]
    pub edges: u16,
    /// The origin's port; the edges take the next ones, DNS is 53 above, health and metrics 100. 0 takes free ones
    #[arg(long, value_name = "PORT", default_value_t = crate::up::Ports::DEFAULT_BASE)]
    pub port: u16,
    /// Where everything is kept [default: the platform's data folder]
    #[arg(long, value_name = "DIR", conflicts_with = "temp")]
    pub data: Option<PathBuf>,
    /// Keep everything in a temporary folder, gone at the end
    #[arg(long)]
    pub temp: bool,
    /// What to log, e.g. `info` or `info,verge_edge=debug`
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log: String,
}

/// Which site.
#[derive(Debug, Args)]
pub struct Site {
    /// The site [default: `site` of verge.toml, else the name in package.json]
    #[arg(long, value_name = "NAME")]
    pub site: Option<SiteName>,
}

/// Which channel is moved, and how long that is followed.
#[derive(Debug, Args)]
pub struct Channel {
    /// The channel to move: `live`, or a preview such as `pr-12`
    #[arg(long, value_name = "NAME", default_value = ChannelName::LIVE)]
    pub channel: ChannelName,
    /// End as soon as it is released, without waiting for the edges
    #[arg(long)]
    pub no_wait: bool,
}

fn after_help() -> String {
    let codes: Vec<String> = Exit::ALL.iter().map(|exit| format!("  {}  {}", exit.code(), exit.meaning())).collect();
    format!(
        "Environment:
  VERGE_ORIGIN   the origin's URL, as --origin
  VERGE_TOKEN    the token; never a flag's value, which other users of the machine could read
  VERGE_NODE     the URL of a name server's private listener, for `verge dns explain`
  VERGE_PROFILE  the profile to use, instead of the one that `verge up` writes
  NO_COLOR       no colors

Exit codes:
{}",
        codes.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What `verge … --help` prints.
    fn help(command: &str) -> String {
        let typed = ["verge"].into_iter().chain(command.split_whitespace()).chain(["--help"]);
        Cli::command().term_width(100).try_get_matches_from(typed).unwrap_err().to_string()
    }

    #[test]
    #[cfg_attr(not(feature = "up"), ignore = "the snapshot is of the whole program")]
    fn help_of_the_whole() {
        Cli::command().debug_assert();
        insta::assert_snapshot!(help(""));
    }

    #[test]
    #[cfg_attr(not(feature = "up"), ignore = "the snapshot is of the whole program")]
    fn help_of_each_command() {
        let names = ["push", "releases", "rollback", "status", "sites", "edges", "domains", "dns", "up"];
        let verbs = [
            "sites fence",
            "edges add",
            "edges set",
            "edges force",
            "domains add",
            "domains check",
            "dns explain",
            "dns token",
        ];
        for name in names.into_iter().chain(verbs) {
            insta::assert_snapshot!(format!("help_of_{}", name.replace(' ', "_")), help(name));
        }
    }

    #[test]
    fn of_two_opposites_the_last_counts() {
        let push = |flags: &[&str]| {
            let Command::Push(push) = Cli::try_parse_from([&["verge", "push"], flags].concat()).unwrap().command else {
                panic!("not a push")
            };
            (push.spa, push.no_spa)
        };
        assert_eq!(push(&[]), (false, false));
        assert_eq!(push(&["--spa", "--no-spa"]), (false, true));
        assert_eq!(push(&["--no-spa", "--spa"]), (true, false));
    }

    #[test]
    fn what_makes_no_sense_is_not_taken() {
        let fits = |typed: &str| Cli::try_parse_from(["verge"].into_iter().chain(typed.split_whitespace())).is_ok();
        for good in [
            "edges add fra-1 --address 192.0.2.1,2001:db8::1 --at Frankfurt",
            "edges add syd-1 --address 192.0.2.1 --place -33.87,151.21 --region oc --weight 2 --port 8080",
            "edges set fra-1 --weight 1000",
            "sites fence demo eu na",
            "sites fence demo --none",
        ] {
            assert!(fits(good), "{good}");
        }
        for bad in [
            "edges add fra-1 --at Frankfurt",
            "edges add fra-1 --address 192.0.2.1",
            "edges add fra-1 --address 192.0.2.1 --at Frankfurt --place 50,8",
            "edges add fra-1 --address fra-1.example.com --at Frankfurt",
            "edges set fra-1",
            "edges set fra-1 --weight 0",
            "edges set fra-1 --weight 1001",
            "edges force fra-1 sideways",
            "sites fence demo",
            "sites fence demo eu --none",
            "dns",
        ] {
            assert!(!fits(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_mistyped_is_told_how_it_should_be() {
        let told = |typed: &str| {
            Cli::try_parse_from(["verge"].into_iter().chain(typed.split_whitespace())).unwrap_err().to_string()
        };
        let name = told("edges token Bad_Name");
        assert!(name.contains("`Bad_Name` cannot name an edge: use a-z, 0-9 and single hyphens inside"), "{name}");
        let place = told("edges set fra-1 --place 50,200");
        assert!(place.contains("latitude, from -90 to 90, and longitude, from -180 to 180"), "{place}");
    }

    #[test]
    fn a_token_is_never_a_flag() {
        assert!(Cli::try_parse_from(["verge", "status", "--token", "vrg_x"]).is_err());
    }
}
