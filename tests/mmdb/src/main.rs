//! Writes the made-up internet of a seed as a `MaxMind` DB file.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use verge_mmdb::layout::Degrees;
use verge_mmdb::sample::{City, world};
use verge_mmdb::{Family, Layout, Options, RecordSize, Spot, Writer};

/// Writes a made-up internet, thousands of networks in real cities, as an .mmdb file: the same seed, the same bytes
#[derive(Debug, Parser)]
#[command(name = "verge-mmdb", version)]
struct Arguments {
    /// How records are spelt: in nested maps, or flat, with degrees as 64-bit or 32-bit floating point or as text
    #[arg(long, value_enum, default_value = "maxmind")]
    layout: LayoutName,
    /// Bits of a record of the search tree
    #[arg(long, value_parser = ["24", "28", "32"], default_value = "28")]
    record_size: String,
    /// 4: IPv4 only; 6: IPv6, and IPv4 within it
    #[arg(long, value_parser = ["4", "6"], default_value = "6")]
    family: String,
    /// Without IPv4-mapped and 6to4 addresses as other names of the IPv4 addresses
    #[arg(long)]
    no_aliases: bool,
    /// The database type that the metadata name
    #[arg(long, default_value = "Verge-Test-City")]
    database_type: String,
    /// Which internet
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Another network, such as 127.0.0.0/8=Frankfurt; may be repeated
    #[arg(long = "at", value_name = "NETWORK=CITY", value_parser = network_in_city)]
    extra: Vec<(IpNet, Spot)>,
    /// Where to write the database
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where to write the same as text: network, latitude, longitude, continent, country, city, separated by tabs, empty if unknown
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutName {
    Maxmind,
    Flat,
    FlatFloat,
    FlatText,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let options = arguments.options();
    let family = options.family;
    let mut writer = Writer::new(options);
    let mut list = String::new();
    let networks = world(arguments.seed).into_iter().chain(arguments.extra);
    for (network, spot) in networks.filter(|(network, _)| family == Family::V6 || network.addr().is_ipv4()) {
        writer.insert(network, &spot)?;
        list.push_str(&line(network, &spot));
    }
    let write = |path: &PathBuf, bytes: &[u8]| {
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    write(&arguments.out, &writer.to_bytes()?)?;
    arguments.list.iter().try_for_each(|path| write(path, list.as_bytes()))
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            family: if self.family == "4" { Family::V4 } else { Family::V6 },
            record_size: match self.record_size.as_str() {
                "24" => RecordSize::Bits24,
                "32" => RecordSize::Bits32,
                _ => RecordSize::Bits28,
            },
            layout: match self.layout {
                LayoutName::Maxmind => Layout::MaxMind,
                LayoutName::Flat => Layout::Flat(Degrees::Double),
                LayoutName::FlatFloat => Layout::Flat(Degrees::Float),
                LayoutName::FlatText => Layout::Flat(Degrees::Text),
            },
            aliases: !self.no_aliases,
            database_type: self.database_type.clone(),
            ..Options::default()
        }
    }
}

fn network_in_city(text: &str) -> Result<(IpNet, Spot)> {
    let (network, city) = text.split_once('=').context("expected NETWORK=CITY")?;
    let city = City::named(city).ok_or_else(|| anyhow!("there is no city `{city}` in the list"))?;
    Ok((network.parse()?, city.spot()))
}

fn line(network: IpNet, spot: &Spot) -> String {
    let (latitude, longitude) =
        spot.place.map(|place| (place.latitude().to_string(), place.longitude().to_string())).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (continent, country, city) = (text(&spot.continent), text(&spot.country), text(&spot.city));
    format!("{network}\t{latitude}\t{longitude}\t{continent}\t{country}\t{city}\n")
}
