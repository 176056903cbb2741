//! Searching files for secrets.

use std::path::Path;

use verge_protocol::Digest;

/// The files below `directory` that have `bytes` in them, in the raw, in hex or in base64.
pub fn files_with(directory: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    // A running origin writes and deletes files in between.
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if std::fs::read(&path).is_ok_and(|read| bytes_have(&read, bytes)) {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found
}

/// Whether a text has `bytes` in it, in the raw, in hex or in base64.
pub fn bytes_have(text: &[u8], bytes: &[u8]) -> bool {
    let hex = bytes.chunks(32).map(hex).collect::<String>();
    let base64 = base64(bytes);
    let contains = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    contains(bytes) || contains(hex.as_bytes()) || contains(base64.as_bytes())
}

/// At most 32 bytes in hex: what a digest of these bytes would be.
fn hex(bytes: &[u8]) -> String {
    let mut padded = [0; 32];
    padded[..bytes.len()].copy_from_slice(bytes);
    let mut text = Digest::from_bytes(padded).to_string();
    text.truncate(2 * bytes.len());
    text
}

/// All whole groups of three bytes, in base64.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let number = three.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[number >> shift & 63]))
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}
