//! The command line's arguments.

mod arguments;
mod canary;
mod certs;
mod channels;
mod check;
mod domains;
mod edges;
mod explain;
mod global;
mod orphans;
mod purge;
mod releases;
mod scan;
mod site_https;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use verge_protocol::{NameServerName, Region, ReleaseNumber, SiteName};

pub use self::arguments::{ChannelArgs, JoinArgs, SiteArg, WaitArgs};
pub use self::canary::CanaryArgs;
pub use self::certs::Certs;
pub use self::channels::{Channels, Promote, PromoteSource};
pub use self::check::Check;
pub use self::domains::Domains;
pub use self::edges::{EdgeArgs, Edges, ForceArg};
pub use self::explain::Explain;
pub use self::global::{Color, Global, Json, TerminalInfo};
pub use self::orphans::Orphans;
pub use self::purge::{Erase, Log, Purge};
pub use self::releases::{Gc, Releases};
pub use self::scan::ScanArgs;
pub use self::site_https::SiteHttpsArgs;
use crate::channel::Lifetime;
use crate::exit::Exit;
use crate::unicode_domain::{self, UnicodeDomainError};

/// Verge: a static-site CDN that you run yourself.
#[derive(Debug, Parser)]
#[command(name = "verge", version, after_help = after_help(), disable_help_subcommand = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Upload a directory as a new release and make it live
    Push(Push),
    /// Say what a push would do and what is wrong with a build, without a network: rules, links, names
    Check(Check),
    /// List the releases of a site, newest first, or delete some
    #[command(args_conflicts_with_subcommands = true)]
    Releases {
        /// The site.
        #[command(flatten)]
        site: SiteArg,
        /// The subcommand; none: list the releases
        #[command(subcommand)]
        command: Option<Releases>,
    },
    /// Make an earlier release live again
    Rollback(Rollback),
    /// Make the release of a preview live, without uploading it again
    Promote(Promote),
    /// List the channels of a site, or delete a preview
    #[command(args_conflicts_with_subcommands = true)]
    Channels {
        /// The site.
        #[command(flatten)]
        site: SiteArg,
        /// The subcommand; none: list the channels
        #[command(subcommand)]
        command: Option<Channels>,
    },
    /// Explain what edges answer at a URL: the rule, the file and the headers, and why
    Explain(Explain),
    /// Drop what is inherited at some paths, and have every edge check what it serves there
    Purge(Purge),
    /// Remove bytes from the origin and every edge for good, as a takedown requires
    Erase(Erase),
    /// Delete releases that are not kept any longer, and bytes that nothing needs, as the origin does each hour
    Gc(Gc),
    /// List what was done to a site, newest first
    Log(Log),
    /// Keep an origin's URL, a token for it, and the pin of its key, for all later commands
    Login {
        /// The origin's URL, such as `https://203.0.113.1:7443`
        url: String,
    },
    /// Forget what `verge login` has kept
    Logout,
    /// Show the state of the origin, the edges and the sites
    Status,
    /// List sites, or restrict a site to regions
    Sites {
        /// The subcommand; none: list the sites
        #[command(subcommand)]
        command: Option<Sites>,
    },
    /// List edges, or register, change and remove them
    Edges {
        /// The subcommand; none: list the edges
        #[command(subcommand)]
        command: Option<Edges>,
    },
    /// List custom domains, or add, check and remove them
    Domains {
        /// The subcommand; none: list the domains
        #[command(subcommand)]
        command: Option<Domains>,
    },
    /// List certificates: issuer, key, expiry, next renewal, edges and problems; or replace their keys
    Certs {
        /// The subcommand; none: list the certificates
        #[command(subcommand)]
        command: Option<Certs>,
    },
    /// List or remove what edges still serve although the origin, restored from an older copy, does not know it
    Orphans {
        /// The subcommand; none: list them
        #[command(subcommand)]
        command: Option<Orphans>,
    },
    /// Explain DNS answers, or register and remove name servers
    Dns {
        /// The subcommand
        #[command(subcommand)]
        command: Dns,
    },
    /// Print a JSON schema of verge.toml, with which editors complete and check it
    Schema,
    /// Run an origin, edges and a name server on this machine, and push a site to them
    #[cfg(feature = "up")]
    Up(Up),
}

/// `verge push`.
#[derive(Debug, Args)]
pub struct Push {
    /// The directory to upload [default: `dir` in verge.toml, else `publish` in netlify.toml, else the usual output directory of a build
    /// tool that has an index.html, such as build/, dist/, .output/public/]
    pub dir: Option<PathBuf>,
    /// The site.
    #[command(flatten)]
    pub site: SiteArg,
    /// The channel to update.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Update the channel of the pull request that CI runs for, such as pr-12, else of the branch
    #[arg(long, conflicts_with = "channel")]
    pub preview: bool,
    /// Delete the channel this long after the last push to it: 30m, 12h, 14d, 2w or never [default with --preview: `expires` under
    /// `[preview]` in verge.toml; else as at the last push to the channel]
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Lifetime>,
    /// Whether the release is tried first.
    #[command(flatten)]
    pub canary: CanaryArgs,
    /// Describe the release; shown by `verge releases`
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// The author of the release [default: git's user.name, else the current user]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// How the directory is read.
    #[command(flatten)]
    pub scan: ScanArgs,
}

/// `verge rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The release to make live, such as v3 [default: the previous release of the channel]
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<ReleaseNumber>,
    /// The site.
    #[command(flatten)]
    pub site: SiteArg,
    /// The channel to update.
    #[command(flatten)]
    pub channel: ChannelArgs,
}

/// `verge sites`.
#[derive(Debug, Subcommand)]
pub enum Sites {
    /// Restrict a site to edges in certain regions
    Regions {
        /// The site's name
        site: SiteName,
        /// The regions to allow, such as eu
        #[arg(value_name = "REGION", required_unless_present = "none")]
        regions: Vec<Region>,
        /// Remove the restriction
        #[arg(long, conflicts_with = "regions")]
        none: bool,
    },
    /// Show or change how readers reach a site over TLS
    Https(SiteHttpsArgs),
}

/// `verge dns`.
#[derive(Debug, Subcommand)]
pub enum Dns {
    /// Explain which edges a name server returns to a client, and why
    Explain {
        /// The address of a client, or of its resolver
        address: IpAddr,
        /// The name to look up, such as demo.verge.test [default: any site]
        #[arg(value_parser = host_name)]
        name: Option<String>,
        /// The URL of a name server's private listener, instead of `VERGE_NAME_SERVER` [default: the one started by `verge up`]
        #[arg(long, value_name = "URL")]
        name_server: Option<String>,
    },
    /// Print the command that makes a machine this name server
    Add {
        /// The name server's name, such as ns-1
        #[arg(value_name = "NAME")]
        name_server: NameServerName,
        /// Its public addresses, separated by commas, for its zone file
        #[arg(long, value_name = "IP", value_delimiter = ',')]
        address: Vec<IpAddr>,
        /// How the machine reaches the origin.
        #[command(flatten)]
        join: JoinArgs,
    },
    /// List the name servers that have a token
    Servers,
    /// Revoke a name server's token; it no longer receives updates
    Remove {
        /// The name server's name
        #[arg(value_name = "NAME")]
        name_server: NameServerName,
    },
    /// Issue a token for a name server, replacing its current one; `add` needs no copying of tokens
    Token {
        /// The name server's name, such as ns-1
        #[arg(value_name = "NAME")]
        name_server: NameServerName,
    },
}

/// `verge up`.
#[cfg(feature = "up")]
#[derive(Debug, Args)]
pub struct Up {
    /// The directory to push [default: a demo site]
    pub dir: Option<PathBuf>,
    /// The site.
    #[command(flatten)]
    pub site: SiteArg,
    /// The number of edges
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(crate::up::Ports::EDGES_MAX)))]
    pub edges: u16,
    /// The origin's port. Edges use the ports after it, DNS uses PORT + 53, and health and metrics are 100 above each. At their own addresses,
    /// 127.0.0.2 and up, edges use PORT + 80. 0: use free ports
    #[arg(long, value_name = "PORT", default_value_t = crate::up::Ports::DEFAULT_BASE)]
    pub port: u16,
    /// Serve the sites over HTTPS, on the ports 200 above those of the edges, with certificates of an authority that is made on this
    /// machine. No trust store is touched: import its root into your browser, or click through the warning
    #[arg(long)]
    pub https: bool,
    /// The data directory [default: the platform's directory for application data]
    #[arg(long, value_name = "DIR", conflicts_with = "temp")]
    pub data: Option<PathBuf>,
    /// Use a temporary data directory, deleted on exit
    #[arg(long)]
    pub temp: bool,
    /// The log filter, such as `info` or `info,verge_edge=debug`
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log: String,
}

/// A name to look up: in Unicode as a domain, in ASCII as it is, since DNS has names that are no domains.
fn host_name(text: &str) -> Result<String, UnicodeDomainError> {
    if text.is_ascii() { Ok(text.to_owned()) } else { unicode_domain::parse(text).map(|name| name.to_string()) }
}

fn after_help() -> String {
    let codes: Vec<String> = Exit::ALL.iter().map(|exit| format!("  {}  {}", exit.code(), exit.meaning())).collect();
    format!(
        "Environment variables:
  VERGE_ORIGIN       the origin's URL, like --origin
  VERGE_TOKEN        the token; has no flag, since other users can see command lines
  VERGE_PIN          the pin of the origin's key, like --pin
  VERGE_NAME_SERVER  the URL of a name server's private listener, for `verge dns explain`
  VERGE_PROFILE      the path of the profile, which `verge login` and `verge up` write
  NO_COLOR           disable colors

Exit codes:
{}",
        codes.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The output of `verge … --help`.
    fn help(command: &str) -> String {
        let typed = ["verge"].into_iter().chain(command.split_whitespace()).chain(["--help"]);
        Cli::command().term_width(100).try_get_matches_from(typed).unwrap_err().to_string()
    }

    #[test]
    #[cfg_attr(not(feature = "up"), ignore = "the snapshot includes `up`")]
    fn help_of_verge_matches_snapshot() {
        Cli::command().debug_assert();
        insta::assert_snapshot!(help(""));
    }

    #[test]
    #[cfg_attr(not(feature = "up"), ignore = "the snapshot includes `up`")]
    fn help_of_each_command_matches_snapshot() {
        let names = [
            "push", "releases", "rollback", "promote", "channels", "purge", "erase", "gc", "log", "login", "logout",
            "status", "sites", "edges", "domains", "certs", "dns", "schema", "up",
        ];
        let verbs = [
            "certs rekey",
            "channels delete",
            "releases delete",
            "sites regions",
            "edges add",
            "edges set",
            "edges remove",
            "edges force",
            "edges token",
            "edges join-code",
            "domains add",
            "domains check",
            "domains remove",
            "dns explain",
            "dns add",
            "dns servers",
            "dns remove",
            "dns token",
        ];
        for name in names.into_iter().chain(verbs) {
            insta::assert_snapshot!(format!("help_of_{}", name.replace(' ', "_")), help(name));
        }
    }

    #[test]
    fn last_of_spa_and_no_spa_wins() {
        let push = |flags: &[&str]| {
            let Command::Push(push) = Cli::try_parse_from([&["verge", "push"], flags].concat()).unwrap().command else {
                panic!("not a push")
            };
            (push.scan.spa, push.scan.no_spa)
        };
        assert_eq!(push(&[]), (false, false));
        assert_eq!(push(&["--spa", "--no-spa"]), (false, true));
        assert_eq!(push(&["--no-spa", "--spa"]), (true, false));
    }

    #[test]
    fn invalid_combinations_of_arguments_are_rejected() {
        let parses = |typed: &str| Cli::try_parse_from(["verge"].into_iter().chain(typed.split_whitespace())).is_ok();
        for good in [
            "edges add fra-1 --address 192.0.2.1,2001:db8::1 --at Frankfurt",
            "edges add syd-1 --address 192.0.2.1 --location -33.87,151.21 --region oc --weight 2 --port 8080",
            "edges set fra-1 --weight 1000",
            "edges join-code fra-1 --join-url https://192.0.2.1:7443 --join-url https://192.0.2.2:7443",
            "dns add ns-1 --address 192.0.2.1,2001:db8::1",
            "sites regions demo eu na",
            "sites regions demo --none",
            "push --channel feature/login-2 --expires 14d",
            "push --preview --expires never",
            "channels --site demo",
            "channels delete pr-12 --site demo --yes",
            "releases --site demo",
            "releases delete v3 v4 --yes",
            "gc --dry-run",
            "promote pr-12",
            "promote v43 --to staging",
            "push --wait",
            "push --wait dist",
            "push --wait=90% dist",
            "rollback --wait=strict",
            "rollback --no-wait",
            "purge /about.html -m leak",
            "purge assets/*",
            "purge --all",
            "erase /keys.json --yes",
            "erase --release v41",
            "certs rekey www.example.com example.com",
            "certs rekey --all",
            "edges remove fra-1 --compromised",
            "domains add bücher.example --redirect-to www.bücher.example",
            "dns explain 192.0.2.1 bücher.example",
            "dns explain 192.0.2.1 _verge.example.com",
        ] {
            assert!(parses(good), "{good}");
        }
        for bad in [
            "edges add fra-1 --at Frankfurt",
            "edges add fra-1 --address 192.0.2.1",
            "edges add fra-1 --address 192.0.2.1 --at Frankfurt --location 50,8",
            "edges add fra-1 --address fra-1.example.com --at Frankfurt",
            "edges set fra-1",
            "edges set fra-1 --weight 0",
            "edges set fra-1 --weight 1001",
            "edges force fra-1 sideways",
            "sites regions demo",
            "sites regions demo eu --none",
            "dns",
            "push --preview --channel pr-12",
            "push --expires soon",
            "channels --site demo delete pr-12",
            "channels delete",
            "releases delete",
            "releases delete 3.1",
            "promote",
            "push --wait=most",
            "push --wait=0%",
            "push --wait=all --no-wait",
            "push --json=lines",
            "purge",
            "purge a --all",
            "purge ../a",
            "log --limit 0",
            "erase",
            "erase assets/*",
            "erase a --release v1",
            "certs rekey",
            "certs rekey www.example.com --all",
        ] {
            assert!(!parses(bad), "{bad}");
        }
    }

    #[test]
    fn invalid_value_error_says_what_is_expected() {
        let error = |typed: &str| {
            Cli::try_parse_from(["verge"].into_iter().chain(typed.split_whitespace())).unwrap_err().to_string()
        };
        let name = error("edges token Bad_Name");
        assert!(
            name.contains("invalid edge name `Bad_Name`: expected a-z, 0-9 and single hyphens between them"),
            "{name}"
        );
        let wait = error("push --wait=101%");
        assert!(
            wait.contains("'--wait[=<HOW>]': expected all, strict, or a share of the edges from 1% to 100%"),
            "{wait}"
        );
        let (purge, erase) = (error("purge"), error("erase"));
        assert!(purge.contains("<PATH|--all>") && erase.contains("<PATH|--release <RELEASE>>"), "{purge}{erase}");
        let location = error("edges set fra-1 --location 50,200");
        assert!(location.contains("latitude, from -90 to 90, and longitude, from -180 to 180"), "{location}");
    }

    #[test]
    fn token_flag_does_not_exist() {
        assert!(Cli::try_parse_from(["verge", "status", "--token", "vrg_x"]).is_err());
    }
}
