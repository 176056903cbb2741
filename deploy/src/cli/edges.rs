//! `verge edges`.

use std::net::IpAddr;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use verge_protocol::fleet::Force;
use verge_protocol::{EdgeName, GeoPoint, Region};

/// `verge edges`.
#[derive(Debug, Subcommand)]
pub enum Edges {
    /// Say how readers are sent to an edge, and issue a token for one that has none
    #[command(
        mut_arg("address", |address| address.required(true)),
        group = ArgGroup::new("where").args(["place", "at"]).required(true),
    )]
    Add {
        /// The edge's name, such as fra-1
        edge: EdgeName,
        /// How readers are sent to it
        #[command(flatten)]
        described: Described,
        /// Issue no token
        #[arg(long)]
        no_token: bool,
    },
    /// Change how readers are sent to an edge; what is not given stays as it is
    #[command(
        override_usage = "verge edges set [OPTIONS] <EDGE>",
        mut_arg("weight", |weight| weight.help("How many readers it takes, relative to other edges at its place")),
        mut_arg("port", |port| port.help("The port of its HTTP listener at its addresses")),
        group = ArgGroup::new("where").args(["place", "at"]),
        group = ArgGroup::new("what").args(["address", "place", "at", "region", "weight", "port"]).required(true).multiple(true),
    )]
    Set {
        /// The edge's name
        edge: EdgeName,
        /// How readers are sent to it
        #[command(flatten)]
        described: Described,
    },
    /// Take an edge out of the fleet; its token stops working
    Remove {
        /// The edge's name
        edge: EdgeName,
    },
    /// Send readers to an edge, or none, whatever probes say
    Force {
        /// The edge's name
        edge: EdgeName,
        /// `up`, `down`, or `auto`, which leaves it to the probes again
        #[arg(value_name = "up|down|auto", hide_possible_values = true)]
        to: Forced,
    },
    /// Issue a token by which an edge joins the fleet; an earlier one stops working
    Token {
        /// The edge's name, such as fra-1
        edge: EdgeName,
    },
}

/// How readers are sent to an edge.
#[derive(Debug, Clone, Default, Args)]
pub struct Described {
    /// Where readers reach it: its public addresses, joined by commas
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub address: Option<Vec<IpAddr>>,
    /// Where it stands: degrees of latitude and longitude, such as 50.11,8.68
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true)]
    pub place: Option<GeoPoint>,
    /// The city it stands in or near. Says its regions too: its continent and its country
    #[arg(long, value_name = "CITY")]
    pub at: Option<String>,
    /// The regions it is in, joined by commas, such as eu,de
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    pub region: Option<Vec<Region>>,
    /// How many readers it takes, relative to other edges at its place [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub weight: Option<u16>,
    /// The port of its HTTP listener at its addresses [default: 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
}

/// What is decided about an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Forced {
    /// Readers are sent to it
    Up,
    /// No reader is sent to it
    Down,
    /// Probes decide
    Auto,
}

impl From<Forced> for Force {
    fn from(forced: Forced) -> Self {
        match forced {
            Forced::Up => Self::Up,
            Forced::Down => Self::Down,
            Forced::Auto => Self::Auto,
        }
    }
}
