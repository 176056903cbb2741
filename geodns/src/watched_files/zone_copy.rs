//! A copy of a zone's files, as one file with a checksum.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use verge_protocol::{Digest, DomainName, Timestamp};

use crate::dns::name::Name;
use crate::zone::{ZoneError, ZoneFile, read_file};

/// The files of a zone as they were read, each once, in the order in which they were opened: the zone file, then those that it
/// includes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SourceFiles(Vec<SourceFile>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SourceFile {
    path: PathBuf,
    text: String,
}

impl SourceFiles {
    /// The text of a file, which is read from disk only the first time: a zone is parsed from one version of each of its files.
    /// Blocks.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<String> {
        if let Ok(text) = self.get(path) {
            return Ok(text);
        }
        let text = read_file(path)?;
        self.0.push(SourceFile { path: path.to_owned(), text: text.clone() });
        Ok(text)
    }

    fn get(&self, path: &Path) -> io::Result<String> {
        let file = self.0.iter().find(|file| file.path == path);
        file.map(|file| file.text.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A version of a zone that was loaded successfully: its files, from which it is parsed as it was from the originals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ZoneCopy {
    pub(super) zone: DomainName,
    /// When this version was first loaded.
    pub(super) loaded: Timestamp,
    pub(super) files: SourceFiles,
}

impl ZoneCopy {
    /// The name and version of the format.
    const FORMAT: &str = "verge-zone-copy 1";

    /// A first line with the format and the SHA-256 digest of the rest; the rest is JSON.
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        Ok([Self::first_line(&json).into_bytes(), json].concat())
    }

    /// `None` if the bytes are not exactly what [`ZoneCopy::to_bytes`] returned: no flipped bit and no truncation goes unnoticed.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')? + 1;
        let (first_line, json) = bytes.split_at(end);
        (first_line == Self::first_line(json).as_bytes()).then(|| serde_json::from_slice(json).ok())?
    }

    fn first_line(json: &[u8]) -> String {
        format!("{} {}\n", Self::FORMAT, Digest::of(json))
    }

    /// Parses the zone. Fails if this version of the program is stricter than the one that made the copy.
    pub(super) fn parse(&self) -> Result<ZoneFile, ZoneError> {
        let zone_file = self.files.0.first().map_or(Path::new(""), |file| &file.path);
        ZoneFile::parse(zone_file, &Name::from(&self.zone), |path| self.files.get(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy() -> ZoneCopy {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.to_owned() };
        let zone = "$TTL 60\n@ SOA ns a 1 2 3 4 5\n@ NS ns\n$INCLUDE hosts\n@ TXT \"Köln\\034\"\n";
        ZoneCopy {
            zone: "example.com".parse().unwrap(),
            loaded: Timestamp(1_795_892_684_000),
            files: SourceFiles(vec![file("etc/zone", zone), file("etc/hosts", "ns A 192.0.2.1\n")]),
        }
    }

    #[test]
    fn zone_copy_format() {
        let bytes = copy().to_bytes().unwrap();
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
    }

    #[test]
    fn zone_is_parsed_from_the_files_of_the_copy() {
        let read = ZoneCopy::from_bytes(&copy().to_bytes().unwrap()).unwrap();
        assert_eq!(read, copy());
        let zone = read.parse().unwrap();
        assert_eq!(zone.files.iter().map(|file| file.to_str().unwrap()).collect::<Vec<_>>(), ["etc/zone", "etc/hosts"]);
        let no_files = ZoneCopy { files: SourceFiles::default(), ..copy() };
        assert_eq!(no_files.parse().unwrap_err().to_string(), ": cannot read ``: entity not found");
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let whole = copy().to_bytes().unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ZoneCopy::from_bytes(&bytes), None, "bit {bit}");
        }
        for length in 0..whole.len() {
            assert_eq!(ZoneCopy::from_bytes(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(ZoneCopy::from_bytes(&[&whole[..], b"\n"].concat()), None);
    }

    #[test]
    fn file_is_read_from_disk_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zone");
        let mut files = SourceFiles::default();
        assert_eq!(files.read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        for text in ["one", "another"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(files.read(&path).unwrap(), "one");
        }
        assert_eq!(files.0.len(), 1);
    }
}
