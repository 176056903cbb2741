//! The media type of a file, by its name.

mod types;

use verge_protocol::SitePath;

use self::types::TYPES;

/// The type of bytes that nothing is known about.
pub(super) const BINARY: &str = "application/octet-stream";

/// The type of text that nothing else is known about.
pub(super) const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

const JSON: &str = "application/json";

/// Files that have no extension because their name is prescribed, with the type that those who ask for them expect.
const PRESCRIBED: [(&str, &str); 13] = [
    (".well-known/api-catalog", "application/linkset+json"), // RFC 9727
    (".well-known/host-meta", "application/xrd+xml"),        // RFC 6415
    (".well-known/nodeinfo", JSON),                          // NodeInfo
    (".well-known/oauth-authorization-server", JSON),        // RFC 8414
    (".well-known/oauth-protected-resource", JSON),          // RFC 9728
    (".well-known/openid-configuration", JSON),              // OpenID Connect Discovery
    (".well-known/openid-federation", "application/entity-statement+jwt"), // OpenID Federation
    (".well-known/passkey-endpoints", JSON),                 // WebAuthn relying parties
    (".well-known/traffic-advice", "application/trafficadvice+json"), // Private Prefetch Proxy
    (".well-known/web-identity", JSON),                      // FedCM
    (".well-known/webauthn", JSON),                          // Related Origin Requests
    (".well-known/webfinger", "application/jrd+json"),       // RFC 7033
    ("apple-app-site-association", JSON),                    // Universal Links, at the root
];

/// Below this, every file without an extension is JSON (Matrix specification, "Server discovery" and "Client discovery").
const MATRIX: &str = ".well-known/matrix/";

/// The media type that the name of a file tells; `None` if its bytes must tell, because it has no extension, or one that is not known. (A
/// dot does not make an extension: `v1.2` and `LICENSE.MIT` have none that means anything.)
pub(super) fn by_name(path: &SitePath) -> Option<String> {
    let name = path.file_name();
    match name.rsplit_once('.') {
        Some((_, extension)) => by_extension(extension),
        None => by_prescribed_path(path.as_str()).map(str::to_owned),
    }
}

/// The media type of files with this extension, if it is known.
fn by_extension(extension: &str) -> Option<String> {
    let extension = extension.to_ascii_lowercase();
    let index = TYPES.binary_search_by_key(&extension.as_str(), |(known, _)| known).ok()?;
    let (_, media_type) = TYPES[index];
    Some(if media_type.starts_with("text/") { format!("{media_type}; charset=utf-8") } else { media_type.to_owned() })
}

fn by_prescribed_path(path: &str) -> Option<&'static str> {
    // Apple asks in `.well-known/` first.
    let path_at_root = path.strip_prefix(".well-known/").filter(|name| *name == "apple-app-site-association");
    let path = path_at_root.unwrap_or(path);
    let prescribed = PRESCRIBED.iter().find(|(known, _)| *known == path).map(|(_, media_type)| *media_type);
    prescribed.or_else(|| path.starts_with(MATRIX).then_some(JSON))
}

/// Whether encoding files of this type is likely to save bytes. Images, video, WOFF fonts and archives are compressed already.
pub(super) fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/geo+json-seq"
                | "application/graphql"
                | "application/json"
                | "application/json5"
                | "application/jsonl"
                | "application/n-quads"
                | "application/n-triples"
                | "application/octet-stream"
                | "application/postscript"
                | "application/sparql-query"
                | "application/sql"
                | "application/toml"
                | "application/trig"
                | "application/vnd.apple.mpegurl"
                | "application/vnd.ms-fontobject"
                | "application/wasm"
                | "application/x-ndjson"
                | "application/x-sh"
                | "application/x-subrip"
                | "application/x-tex"
                | "application/xml"
                | "application/xml-dtd"
                | "application/yaml"
                | "font/collection"
                | "font/otf"
                | "font/sfnt"
                | "font/ttf"
                | "image/bmp"
                | "image/vnd.microsoft.icon"
                | "model/gltf-binary"
                | "model/mtl"
                | "model/obj"
                | "model/ply"
                | "model/step"
                | "model/stl"
                | "model/vnd.usda"
                | "model/vrml"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> String {
        by_name(&path.parse().unwrap()).unwrap_or_else(|| "(by its bytes)".to_owned())
    }

    #[test]
    fn types_are_sorted_by_extension_and_none_is_twice() {
        assert!(TYPES.is_sorted_by(|(one, _), (next, _)| one < next));
        assert!(TYPES.len() >= 150);
        assert!(PRESCRIBED.is_sorted_by(|(one, _), (next, _)| one < next));
    }

    /// RFC 9110 §8.3.1, with the characters that RFC 6838 §4.2 allows in names.
    #[test]
    fn types_are_valid_header_values_and_extensions_lowercase() {
        let is_name = |name: &str| {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
            name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(is_allowed)
        };
        for (extension, media_type) in TYPES {
            let is_lowercase = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!(!extension.is_empty() && extension.bytes().all(is_lowercase), "{extension}");
            let (essence, parameter) = media_type.split_once(';').unwrap_or((media_type, "x=y"));
            let (kind, subtype) = essence.split_once('/').unwrap();
            let (name, value) = parameter.split_once('=').unwrap();
            assert!([kind, subtype, name, value].into_iter().all(is_name), "{extension}: {media_type}");
        }
    }

    #[test]
    fn types_match_snapshot() {
        let compressible = |media_type: &str| if is_compressible(media_type) { "  (compressible)" } else { "" };
        let lines = TYPES.iter().map(|(extension, _)| {
            let media_type = of(&format!("a.{extension}"));
            format!("{extension}  {media_type}{}", compressible(&media_type))
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn name_of_a_file_tells_its_type_or_leaves_it_to_its_bytes() {
        let paths = [
            "a.JS",
            "a.tar.gz",
            "a.gz/b.css",
            ".js",
            "robots.txt",
            "a.unheard-of",
            "v1.2",
            "LICENSE",
            "LICENSE.MIT",
            "CNAME",
            "a.",
            "apple-app-site-association",
            ".well-known/apple-app-site-association",
            "x/apple-app-site-association",
            ".well-known/matrix/client",
            ".well-known/matrix/support.txt",
            ".well-known/webfinger",
            ".well-known/acme",
            "webfinger",
        ];
        let lines: Vec<String> = paths.iter().map(|path| format!("{path}  {}", of(path))).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
