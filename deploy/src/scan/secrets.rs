//! Files that may contain secrets: `.env` files, known by name, and private keys, known by name and content.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use verge_protocol::SitePath;

use super::problem::Problem;

/// How much of a file is searched for a private key, in bytes: certificates may precede it.
const HEAD_LEN: u64 = 64 * 1024;

/// Whether a file with this name is an environment file: `.env`, `.env.local`, `.envrc`.
pub(super) fn is_env_file(name: &str) -> bool {
    name.starts_with(".env")
}

/// Files that are named like a private key and contain one; `files` are paths on the site and on disk.
pub(super) fn private_keys<'a>(files: impl Iterator<Item = (&'a SitePath, &'a Path)>) -> Vec<Problem> {
    files
        .filter(|(path, source)| {
            // A symbolic link may have another name than its target.
            let name_on_disk = source.file_name().unwrap_or_default().to_string_lossy();
            has_private_key_name(path.file_name()) || has_private_key_name(&name_on_disk)
        })
        // Unreadable files are reported when they are hashed.
        .filter(|(_, source)| head(source).is_ok_and(|head| contains_private_key(&head)))
        .map(|(path, _)| Problem::PrivateKey(path.clone()))
        .collect()
}

fn head(source: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(source)?.take(HEAD_LEN).read_to_end(&mut head)?;
    Ok(head)
}

fn has_private_key_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let by_ending = Path::new(&name).extension().is_some_and(|extension| extension == "pem" || extension == "key");
    by_ending || ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"].iter().any(|start| name.starts_with(start))
}

/// Whether a line starts a private key (RFC 7468 §10, §11, and the labels of OpenSSL and OpenSSH).
fn contains_private_key(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).any(|line| {
        let label = line.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.strip_suffix(b"-----"));
        label.is_some_and(|label| label.ends_with(b"PRIVATE KEY"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_recognized_by_name_and_content() {
        for name in ["server.pem", "a.KEY", "id_rsa", "id_rsa.bak", "id_ed25519"] {
            assert!(has_private_key_name(name), "{name}");
        }
        for name in ["key", "keys.js", "pem.html", "rsa"] {
            assert!(!has_private_key_name(name), "{name}");
        }
        for key in ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "] {
            assert!(contains_private_key(format!("-----BEGIN {key}PRIVATE KEY-----\r\nMII").as_bytes()), "{key}");
        }
        assert!(contains_private_key(
            b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----"
        ));
        for other in ["", "-----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----", "PK\u{3}\u{4}"] {
            assert!(!contains_private_key(other.as_bytes()), "{other}");
        }
    }
}
