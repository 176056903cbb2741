//! Zones for tests.

use std::io;
use std::path::Path;

use crate::dns::name::Name;

use super::diagnostics::ZoneError;
use super::zone_data::ZoneFile;

/// The zone `example.com` from one file.
pub(super) fn parse(text: &str) -> Result<ZoneFile, ZoneError> {
    let apex = Name::parse("example.com").unwrap();
    ZoneFile::parse(Path::new("example.com.zone"), &apex, |path| {
        (path == Path::new("example.com.zone")).then(|| text.to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    })
}

/// The zone `example.com`, with the records that every zone must have before `text`.
pub(super) fn zone(text: &str) -> ZoneFile {
    parse(&format!("$TTL 1h\n@ SOA ns.example.net. admin 1 2h 15m 2w 5m\n@ NS ns.example.net.\n{text}")).unwrap()
}
