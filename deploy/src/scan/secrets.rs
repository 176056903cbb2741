//! Private keys, which nobody means to publish.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::problem::Problem;
use super::walk::Found;

/// How far into a file a key is looked for: others may precede it.
const HEAD: u64 = 64 * 1024;

/// Files that are named like a private key and hold one.
pub(super) fn private_keys(files: &[Found]) -> Vec<Problem> {
    files
        .iter()
        .filter(|file| is_named_like_a_key(file.path.file_name()) || is_named_like_a_key(&lies_as(file)))
        // What cannot be read is found out when it is to be hashed.
        .filter(|file| head(&file.source).is_ok_and(|head| holds_a_key(&head)))
        .map(|file| Problem::PrivateKey(file.path.clone()))
        .collect()
}

/// The name on disk, which a link may hide.
fn lies_as(file: &Found) -> String {
    file.source.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn head(source: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(source)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

fn is_named_like_a_key(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let by_ending = Path::new(&name).extension().is_some_and(|extension| extension == "pem" || extension == "key");
    by_ending || ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"].iter().any(|start| name.starts_with(start))
}

/// Whether a line says that a private key begins there (RFC 7468 §10, §11, and the older and OpenSSH's own labels).
fn holds_a_key(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).any(|line| {
        let label = line.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.strip_suffix(b"-----"));
        label.is_some_and(|label| label.ends_with(b"PRIVATE KEY"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_name_and_by_what_they_hold() {
        for name in ["server.pem", "a.KEY", "id_rsa", "id_rsa.bak", "id_ed25519"] {
            assert!(is_named_like_a_key(name), "{name}");
        }
        for name in ["key", "keys.js", "pem.html", "rsa"] {
            assert!(!is_named_like_a_key(name), "{name}");
        }
        for key in ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "] {
            assert!(holds_a_key(format!("-----BEGIN {key}PRIVATE KEY-----\r\nMII").as_bytes()), "{key}");
        }
        assert!(holds_a_key(
            b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----"
        ));
        for other in ["", "-----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----", "PK\u{3}\u{4}"] {
            assert!(!holds_a_key(other.as_bytes()), "{other}");
        }
    }
}
