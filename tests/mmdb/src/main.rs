//! Writes the fictional internet of a seed as a `MaxMind` DB file.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use verge_mmdb::layout::Degrees;
use verge_mmdb::sample::{self, City};
use verge_mmdb::{IpVersion, Layout, NetworkInfo, Options, RecordSize, Writer};

/// Write a fictional internet, thousands of networks in real cities, as an .mmdb file. The same seed makes the same bytes
#[derive(Debug, Parser)]
#[command(name = "verge-mmdb", version)]
struct Arguments {
    /// The layout of records: nested maps, or flat with degrees as 64-bit floats, 32-bit floats or text
    #[arg(long, value_enum, default_value = "maxmind")]
    layout: LayoutName,
    /// Bits per record of the search tree
    #[arg(long, value_parser = ["24", "28", "32"], default_value = "28")]
    record_size: String,
    /// 4: IPv4 only; 6: IPv6 and IPv4
    #[arg(long, value_parser = ["4", "6"], default_value = "6")]
    family: String,
    /// Leave out the aliases of IPv4: IPv4-mapped addresses, Teredo and 6to4
    #[arg(long)]
    no_aliases: bool,
    /// The database type in the metadata
    #[arg(long, default_value = "Verge-Test-City")]
    database_type: String,
    /// The seed of the internet
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Add a network, such as 127.0.0.0/8=Frankfurt (repeatable)
    #[arg(long = "at", value_name = "NETWORK=CITY", value_parser = network_in_city)]
    extra: Vec<(IpNet, NetworkInfo)>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A file for the same as text: network, latitude, longitude, continent, country, city, separated by tabs, empty if unknown
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
    let ip_version = options.ip_version;
    let mut writer = Writer::new(options);
    let mut list = String::new();
    let networks = sample::networks(arguments.seed).into_iter().chain(arguments.extra);
    for (network, info) in networks.filter(|(network, _)| ip_version == IpVersion::V6 || network.addr().is_ipv4()) {
        writer.insert(network, &info);
        list.push_str(&line(network, &info));
    }
    let write = |path: &PathBuf, bytes: &[u8]| {
        fs::write(path, bytes).with_context(|| format!("failed to write {}", path.display()))
    };
    write(&arguments.out, &writer.to_bytes()?)?;
    arguments.list.iter().try_for_each(|path| write(path, list.as_bytes()))
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            ip_version: if self.family == "4" { IpVersion::V4 } else { IpVersion::V6 },
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

fn network_in_city(text: &str) -> Result<(IpNet, NetworkInfo)> {
    let (network, city) = text.split_once('=').context("expected NETWORK=CITY")?;
    let city = City::named(city).ok_or_else(|| anyhow!("unknown city `{city}`"))?;
    Ok((network.parse()?, city.info()))
}

fn line(network: IpNet, info: &NetworkInfo) -> String {
    let (latitude, longitude) = info
        .location
        .map(|location| (location.latitude().to_string(), location.longitude().to_string()))
        .unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (continent, country, city) = (text(&info.continent), text(&info.country), text(&info.city));
    format!("{network}\t{latitude}\t{longitude}\t{continent}\t{country}\t{city}\n")
}
