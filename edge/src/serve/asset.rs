//! Telling a subresource from a page, where only a page may be answered by the single-page fallback.

use http::HeaderMap;

/// Extensions of what pages load. Not all extensions: `/users/jane.doe` and `/v1.2` are routes, and so is `/about.html`.
const EXTENSIONS: &str = "\
    aac apng atom avi avif bin bmp br bz2 cjs css csv cur dat data doc docx eot flac gif glb gltf gz \
    heic ico ics jpeg jpg js json json5 jsonld jsx jxl ktx2 less m3u8 m4a m4v map md mdx mid mjs mkv mov \
    mp3 mp4 mpd mpeg mpg oga ogg ogv opus otf pdf pmtiles png ppt pptx rar riv rss sass scss svg svgz \
    tar tgz tif tiff toml ts tsv tsx ttc ttf txt usdz vtt wasm wav weba webm webmanifest webp woff woff2 \
    xls xlsx xml xz yaml yml zip zst";

/// Destinations of requests that a page makes for its parts (Fetch Standard §2.2.5, Fetch Metadata §2.1).
const SUBRESOURCES: &str = "\
    audio audioworklet embed font image json manifest object paintworklet report script serviceworker \
    sharedworker speculationrules style text track video webidentity worker xslt";

/// Whether the path names a kind of file that pages load.
pub(crate) fn is_asset(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let Some((_, extension)) = name.rsplit_once('.') else { return false };
    EXTENSIONS.split(' ').any(|known| known.eq_ignore_ascii_case(extension))
}

/// What a request is for, as far as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A page that a person goes to.
    Page,
    /// A part of a page.
    Part,
    /// It does not say: an old browser, a monitor, a script's own fetch.
    Unknown,
}

/// Reads `Sec-Fetch-Dest`.
pub(crate) fn destination(headers: &HeaderMap) -> Destination {
    let Some(value) = headers.get("sec-fetch-dest") else { return Destination::Unknown };
    let is = |word: &str| value.as_bytes().eq_ignore_ascii_case(word.as_bytes());
    if SUBRESOURCES.split(' ').any(is) {
        Destination::Part
    } else if is("document") {
        Destination::Page
    } else {
        Destination::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_told_by_their_extension() {
        for asset in ["a.js", "assets/old-chunk.JS", "x/y.woff2", "app.webmanifest", ".js"] {
            assert!(is_asset(asset), "{asset}");
        }
        for page in ["", "about", "about.html", "users/jane.doe", "v1.2", "a.js/b", "x.", "2026.11.22"] {
            assert!(!is_asset(page), "{page}");
        }
    }

    #[test]
    fn the_tables_are_in_order() {
        assert!(EXTENSIONS.split(' ').is_sorted() && SUBRESOURCES.split(' ').is_sorted());
    }

    #[test]
    fn only_what_is_named_is_a_part_or_a_page() {
        let ask = |value: &'static str| {
            destination(&HeaderMap::from_iter([("sec-fetch-dest".parse().unwrap(), value.parse().unwrap())]))
        };
        assert_eq!(["script", "Worker", "image"].map(ask), [Destination::Part; 3]);
        assert_eq!(ask("document"), Destination::Page);
        assert_eq!(["empty", "iframe", "from-the-future"].map(ask), [Destination::Unknown; 3]);
        assert_eq!(destination(&HeaderMap::new()), Destination::Unknown);
    }
}
