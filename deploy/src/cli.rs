//! What may be typed.

mod manner;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use verge_protocol::{ChannelName, EdgeName, ReleaseNumber, SiteName};

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
    /// List all sites
    Sites,
    /// List the edges, or issue a token for one
    Edges {
        /// What to do; nothing lists them
        #[command(subcommand)]
        command: Option<Edges>,
    },
    /// Run an origin and its edges on this machine, and push a site to them
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

/// `verge edges`.
#[derive(Debug, Subcommand)]
pub enum Edges {
    /// Issue a token by which an edge joins the fleet; an earlier one stops working
    Token {
        /// The edge's name, such as fra-1
        edge: EdgeName,
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
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub edges: u16,
    /// The origin's port; the edges take the next ones, health and metrics are 100 above. 0 takes free ones
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
    fn help(command: Option<&str>) -> String {
        let typed = ["verge"].into_iter().chain(command).chain(["--help"]);
        Cli::command().term_width(100).try_get_matches_from(typed).unwrap_err().to_string()
    }

    #[test]
    #[cfg_attr(not(feature = "up"), ignore = "the snapshot is of the whole program")]
    fn help_of_the_whole() {
        Cli::command().debug_assert();
        insta::assert_snapshot!(help(None));
    }

    #[test]
    #[cfg_attr(not(feature = "up"), ignore = "the snapshot is of the whole program")]
    fn help_of_each_command() {
        for name in ["push", "releases", "rollback", "status", "sites", "edges", "up"] {
            insta::assert_snapshot!(format!("help_of_{name}"), help(Some(name)));
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
    fn a_token_is_never_a_flag() {
        assert!(Cli::try_parse_from(["verge", "status", "--token", "vrg_x"]).is_err());
    }
}
