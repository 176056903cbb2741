//! The media type of a file, by its extension.

use verge_protocol::SitePath;

/// The types of common web files, pinned: an update of the table in `mime_guess` must not change how a site is served.
const PINNED: [(&str, &str); 28] = [
    ("avif", "image/avif"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"), // RFC 9239
    ("json", "application/json"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mp4", "video/mp4"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

/// The media type that `path` is served with.
pub(super) fn of(path: &SitePath) -> String {
    let name = path.file_name();
    let Some((_, extension)) = name.rsplit_once('.') else {
        // Apple requires this name without an extension, in `.well-known/` or at the root.
        let json = name == "apple-app-site-association";
        return if json { "application/json" } else { "application/octet-stream" }.to_owned();
    };
    let extension = extension.to_ascii_lowercase();
    if let Ok(index) = PINNED.binary_search_by_key(&extension.as_str(), |(extension, _)| extension) {
        return PINNED[index].1.to_owned();
    }
    let guess = mime_guess::from_ext(&extension).first_or_octet_stream();
    let charset = if guess.type_() == "text" { "; charset=utf-8" } else { "" };
    format!("{}{charset}", guess.essence_str())
}

/// Whether encoding files of this type is likely to save bytes. Images, video, WOFF fonts and archives are compressed already.
pub(super) fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/json"
                | "application/xml"
                | "application/wasm"
                | "application/javascript"
                | "application/octet-stream"
                | "font/ttf"
                | "font/otf"
                | "image/x-icon"
                | "image/bmp"
                | "application/vnd.ms-fontobject"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_types_are_sorted_for_binary_search() {
        assert!(PINNED.is_sorted_by_key(|(extension, _)| extension));
    }

    #[test]
    fn media_types_of_web_files() {
        let of = |path: &str| of(&path.parse().unwrap());
        let paths = [
            "index.html",
            "a.JS",
            "a.mjs",
            "a.css",
            "a.json",
            "a.svg",
            "a.wasm",
            "a.woff2",
            "a.webmanifest",
            "a.xml",
            "robots.txt",
            "feed.rss",
            "a.tar.gz",
            "a.unheard-of",
            "LICENSE",
            ".well-known/apple-app-site-association",
            "subtitles.vtt",
        ];
        let lines: Vec<String> = paths.iter().map(|path| format!("{path}  {}", of(path))).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
