//! A daemon's state across restarts: a file of records, each with its checksum.
//!
//! Each line is a JSON array of a checksum and a record: the first 16 hex digits of the SHA-256 of the record's bytes, and the record.
//! The last record is the number of the others. So whatever bit of the file flips, the damage is noticed, and costs the records of
//! the line that has it, or of two lines if it joins them. The others are sound.

use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use verge_protocol::Digest;

/// How many invalid records are logged one by one.
const LOGGED: usize = 5;

const OPEN: &[u8] = b"[\"";
const SEPARATOR: &[u8] = b"\",";
const CLOSE: &[u8] = b"]";
const CHECKSUM_LEN: usize = 16;

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The sound records, in order.
    pub records: Vec<T>,
    /// Whether these are all. If not, the file is damaged, or has records of another version.
    pub is_complete: bool,
}

/// The contents of a file with these records.
pub fn encode<T: Serialize>(records: impl IntoIterator<Item = T>) -> serde_json::Result<Vec<u8>> {
    let (mut file, mut line, mut count) = (Vec::new(), Vec::new(), 0_usize);
    for record in records {
        line.clear();
        serde_json::to_writer(&mut line, &record)?;
        push_line(&mut file, &line);
        count += 1;
    }
    push_line(&mut file, count.to_string().as_bytes());
    Ok(file)
}

fn push_line(file: &mut Vec<u8>, record: &[u8]) {
    file.extend_from_slice(OPEN);
    file.extend_from_slice(checksum(record).as_bytes());
    file.extend_from_slice(SEPARATOR);
    file.extend_from_slice(record);
    file.extend_from_slice(CLOSE);
    file.push(b'\n');
}

fn checksum(record: &[u8]) -> String {
    const { assert!(CHECKSUM_LEN == 16, "the length of a digest's prefix") };
    Digest::of(record).prefix()
}

/// Loads a file. One that is missing has no records and is complete; `damaged` is called, before this returns, for one that is not
/// complete, to keep a copy for inspection. Blocks.
pub fn load<T: DeserializeOwned>(path: &Path, damaged: impl FnOnce()) -> Loaded<T> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Loaded { records: Vec::new(), is_complete: true },
        Err(error) => {
            tracing::error!(file = %path.display(), %error, "failed to read the saved state: starting without it");
            return Loaded { records: Vec::new(), is_complete: false };
        }
    };
    let loaded = decode(&bytes);
    if !loaded.is_complete {
        tracing::error!(
            file = %path.display(),
            sound_records = loaded.records.len(),
            "the saved state is damaged or of another version: using its sound records, requesting the rest from the origin"
        );
        damaged();
    }
    loaded
}

/// The sound records of a file with this contents.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Loaded<T> {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // A complete file ends with a line feed, after which there is nothing.
    let has_end = lines.pop().is_some_and(<[u8]>::is_empty);
    let count = lines.last().and_then(|line| serde_json::from_slice::<usize>(sound_record(line)?).ok());
    if count.is_some() {
        lines.pop();
    }
    let (mut records, mut invalid) = (Vec::new(), 0);
    for (index, line) in lines.iter().enumerate() {
        let record = sound_record(line).ok_or_else(|| "wrong checksum".to_owned());
        match record.and_then(|record| serde_json::from_slice(record).map_err(|error| error.to_string())) {
            Ok(record) => records.push(record),
            Err(reason) => {
                invalid += 1;
                if invalid <= LOGGED {
                    tracing::error!(line = index + 1, reason, "invalid record in the saved state: skipped");
                }
            }
        }
    }
    if invalid > LOGGED {
        tracing::error!(invalid, "invalid records in the saved state were skipped in total");
    }
    let is_complete = has_end && invalid == 0 && count == Some(records.len());
    Loaded { records, is_complete }
}

/// The record of a line, if its checksum is right.
fn sound_record(line: &[u8]) -> Option<&[u8]> {
    let (sum, rest) = line.strip_prefix(OPEN)?.split_at_checked(CHECKSUM_LEN)?;
    let record = rest.strip_prefix(SEPARATOR)?.strip_suffix(CLOSE)?;
    (checksum(record).as_bytes() == sum).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(records: &[&str]) -> Vec<u8> {
        encode(records).unwrap()
    }

    #[test]
    fn file_format() {
        let digits = |record: &str| Digest::of(record.as_bytes()).to_string()[..16].to_owned();
        let expected = format!("[\"{}\",\"one\"]\n[\"{}\",1]\n", digits("\"one\""), digits("1"));
        assert_eq!(String::from_utf8(encoded(&["one"])).unwrap(), expected);
    }

    #[test]
    fn records_survive_and_an_empty_file_is_damaged() {
        for records in [&[][..], &["one"], &["one", "two\n", "3"]] {
            let loaded: Loaded<String> = decode(&encoded(records));
            assert_eq!((loaded.records, loaded.is_complete), (records.iter().map(ToString::to_string).collect(), true));
        }
        assert!(!decode::<String>(b"").is_complete);
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_costs_at_most_two_records() {
        let records = ["one", "two", "three", "four"];
        let sound = encoded(&records);
        for bit in 0..sound.len() * 8 {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let loaded: Loaded<String> = decode(&damaged);
            assert!(!loaded.is_complete, "bit {bit}");
            assert!(loaded.records.len() >= 2, "bit {bit}: {:?}", loaded.records);
            assert!(loaded.records.iter().all(|record| records.contains(&record.as_str())), "{:?}", loaded.records);
        }
    }

    #[test]
    fn every_truncation_is_noticed() {
        let sound = encoded(&["one", "two"]);
        for length in 0..sound.len() {
            assert!(!decode::<String>(&sound[..length]).is_complete, "{length}");
        }
    }

    #[test]
    fn record_of_another_version_is_skipped() {
        let loaded: Loaded<u8> = decode(&encode([1, 300, 2]).unwrap());
        assert_eq!(loaded, Loaded { records: vec![1, 2], is_complete: false });
    }

    #[test]
    fn damaged_file_is_reported_and_missing_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut noticed = 0;
        let mut read = || load::<u8>(&path, || noticed += 1);
        assert!(read().is_complete);
        std::fs::write(&path, encode([1_u8]).unwrap()).unwrap();
        assert_eq!(read(), Loaded { records: vec![1], is_complete: true });
        std::fs::write(&path, "[1]").unwrap();
        assert_eq!(read(), Loaded { records: vec![], is_complete: false });
        // A directory: it cannot be read, and there is nothing to copy.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(!read().is_complete);
        assert_eq!(noticed, 1);
    }
}
