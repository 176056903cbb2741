//! Assets and subresources, as opposed to pages: they must not be answered with the single-page fallback.

use http::HeaderMap;

/// Extensions of files that pages load. A list, because `/users/jane.doe`, `/v1.2` and `/about.html` may be routes.
const EXTENSIONS: &str = "\
    aac apng atom avi avif bin bmp br bz2 cjs css csv cur dat data doc docx eot flac gif glb gltf gz \
    heic ico ics jpeg jpg js json json5 jsonld jsx jxl ktx2 less m3u8 m4a m4v map md mdx mid mjs mkv mov \
    mp3 mp4 mpd mpeg mpg oga ogg ogv opus otf pdf pmtiles png ppt pptx rar riv rss sass scss svg svgz \
    tar tgz tif tiff toml ts tsv tsx ttc ttf txt usdz vtt wasm wav weba webm webmanifest webp woff woff2 \
    xls xlsx xml xz yaml yml zip zst";

/// Destinations of the requests that a page makes for its subresources (Fetch Standard §2.2.5, Fetch Metadata §2.1).
const SUBRESOURCES: &str = "\
    audio audioworklet embed font image json manifest object paintworklet report script serviceworker \
    sharedworker speculationrules style text track video webidentity worker xslt";

/// Whether the path has the extension of a file that pages load.
pub(crate) fn is_asset(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let Some((_, extension)) = name.rsplit_once('.') else { return false };
    EXTENSIONS.split(' ').any(|known| known.eq_ignore_ascii_case(extension))
}

/// The destination of a request, as `Sec-Fetch-Dest` states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A navigation to a page.
    Document,
    /// A subresource of a page.
    Subresource,
    /// Not stated, or another: an old browser, a monitor, a script's own fetch.
    Unknown,
}

/// Parses `Sec-Fetch-Dest`.
pub(crate) fn destination(headers: &HeaderMap) -> Destination {
    let Some(value) = headers.get("sec-fetch-dest") else { return Destination::Unknown };
    let is = |word: &str| value.as_bytes().eq_ignore_ascii_case(word.as_bytes());
    if SUBRESOURCES.split(' ').any(is) {
        Destination::Subresource
    } else if is("document") {
        Destination::Document
    } else {
        Destination::Unknown
    }
}

/// Whether a page of the same site requests its script or style, as its browser states.
pub(crate) fn is_own_script_or_style(headers: &HeaderMap) -> bool {
    let is = |name: &str, word: &str| {
        headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
    };
    (is("sec-fetch-dest", "script") || is("sec-fetch-dest", "style")) && is("sec-fetch-site", "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asset_is_recognized_by_its_extension() {
        for asset in ["a.js", "assets/old-chunk.JS", "x/y.woff2", "app.webmanifest", ".js"] {
            assert!(is_asset(asset), "{asset}");
        }
        for page in ["", "about", "about.html", "users/jane.doe", "v1.2", "a.js/b", "x.", "2026.11.22"] {
            assert!(!is_asset(page), "{page}");
        }
    }

    #[test]
    fn tables_are_sorted() {
        assert!(EXTENSIONS.split(' ').is_sorted() && SUBRESOURCES.split(' ').is_sorted());
    }

    #[test]
    fn destination_not_listed_is_unknown() {
        let destination_of = |value: &'static str| {
            destination(&HeaderMap::from_iter([("sec-fetch-dest".parse().unwrap(), value.parse().unwrap())]))
        };
        assert_eq!(["script", "Worker", "image"].map(destination_of), [Destination::Subresource; 3]);
        assert_eq!(destination_of("document"), Destination::Document);
        assert_eq!(["empty", "iframe", "not-a-destination"].map(destination_of), [Destination::Unknown; 3]);
        assert_eq!(destination(&HeaderMap::new()), Destination::Unknown);
    }
}
