//! `verge edges`.

use std::net::IpAddr;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use verge_protocol::fleet::{Force, ProbeScheme};
use verge_protocol::{EdgeName, GeoPoint, Region};

use super::arguments::JoinArgs;

/// `verge edges`.
#[derive(Debug, Subcommand)]
pub enum Edges {
    /// Register an edge, and print the command that makes a machine this edge
    #[command(
        mut_arg("address", |address| address.required(true)),
        group = ArgGroup::new("position").args(["location", "at"]).required(true),
    )]
    Add {
        /// The edge's name, such as fra-1
        edge: EdgeName,
        /// The edge's settings.
        #[command(flatten)]
        args: EdgeArgs,
        /// Do not make a join code
        #[arg(long)]
        no_join_code: bool,
        /// How the machine reaches the origin.
        #[command(flatten)]
        join: JoinArgs,
    },
    /// Print another command that makes a machine this edge, in place of the current one
    JoinCode {
        /// The edge's name
        edge: EdgeName,
        /// How the machine reaches the origin.
        #[command(flatten)]
        join: JoinArgs,
    },
    /// Change an edge's settings; options that are not given stay as they are
    #[command(
        override_usage = "verge edges set [OPTIONS] <EDGE>",
        mut_arg("weight", |weight| weight.help("Its share of readers, relative to edges within 50 km")),
        mut_arg("port", |port| port.help("The port of its HTTP listener")),
        group = ArgGroup::new("position").args(["location", "at"]),
        group = ArgGroup::new("settings").args(["address", "location", "at", "region", "weight", "port", "scheme"]).required(true).multiple(true),
    )]
    Set {
        /// The edge's name
        edge: EdgeName,
        /// The edge's settings.
        #[command(flatten)]
        args: EdgeArgs,
    },
    /// Remove an edge and revoke its token
    Remove {
        /// The edge's name
        edge: EdgeName,
        /// Do not ask, even if no other edge answers
        #[arg(long)]
        yes: bool,
        /// Replace all private keys and the secret of session tickets, which somebody may have read on the edge
        #[arg(long)]
        compromised: bool,
    },
    /// Override the health checks of an edge
    Force {
        /// The edge's name
        edge: EdgeName,
        /// `up`: treat as healthy; `down`: send no readers; `auto`: follow health checks
        #[arg(value_name = "up|down|auto", hide_possible_values = true)]
        to: ForceArg,
        /// Do not ask, even if no other edge answers
        #[arg(long)]
        yes: bool,
    },
    /// Issue a token for an edge, replacing its current one; `join-code` needs no copying of tokens
    Token {
        /// The edge's name, such as fra-1
        edge: EdgeName,
    },
}

/// The settings of an edge.
#[derive(Debug, Clone, Default, Args)]
pub struct EdgeArgs {
    /// Its public addresses, separated by commas
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub address: Option<Vec<IpAddr>>,
    /// Its latitude and longitude in degrees, such as 50.11,8.68
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true)]
    pub location: Option<GeoPoint>,
    /// Its city; sets its location, and its continent and country as regions
    #[arg(long, value_name = "CITY")]
    pub at: Option<String>,
    /// Its regions, separated by commas, such as eu,de
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    pub region: Option<Vec<Region>>,
    /// Its share of readers, relative to edges within 50 km [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub weight: Option<u16>,
    /// The port of its HTTP listener [default: 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The scheme of its health checks at that port [default: as the name servers are configured]
    #[arg(long, value_name = "http|https", hide_possible_values = true)]
    pub scheme: Option<SchemeArg>,
}

/// The argument of `--scheme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemeArg {
    /// Plain HTTP
    Http,
    /// HTTPS, with a certificate that readers accept
    Https,
}

impl From<SchemeArg> for ProbeScheme {
    fn from(scheme: SchemeArg) -> Self {
        match scheme {
            SchemeArg::Http => Self::Http,
            SchemeArg::Https => Self::Https,
        }
    }
}

/// The argument of `verge edges force`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ForceArg {
    /// Treat the edge as healthy
    Up,
    /// Send no readers to the edge
    Down,
    /// Follow health checks
    Auto,
}

impl From<ForceArg> for Force {
    fn from(forced: ForceArg) -> Self {
        match forced {
            ForceArg::Up => Self::Up,
            ForceArg::Down => Self::Down,
            ForceArg::Auto => Self::Auto,
        }
    }
}
