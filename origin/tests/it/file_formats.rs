//! Media types and encodings that the bytes of a build decide.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use verge_protocol::{Coding, Manifest};
use verge_test_kit::noise;

use super::pushes::{manifest_of, release};
use super::test_origin::{TestOrigin, build_of_bytes};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn br(plain: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: 3, ..Default::default() };
    brotli::BrotliCompress(&mut &*plain, &mut encoded, &parameters).unwrap();
    encoded
}

/// Pushes these files; the manifest and the warnings of the release.
async fn push(origin: &TestOrigin, token: &str, files: &[(&str, &[u8])]) -> (Manifest, Vec<String>) {
    let (id, warnings) = release(&origin.push("demo", &build_of_bytes(files)).await);
    (manifest_of(origin, token, id).await, warnings)
}

async fn start() -> (TestOrigin, String) {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let token = origin.edge_token("fra-1").await;
    (origin, token)
}

#[tokio::test]
async fn file_without_a_known_extension_is_text_if_its_first_blob_is() {
    let (origin, token) = start().await;
    // The first blob ends within a character.
    let mut long = "ä".repeat(200_000).into_bytes();
    long.insert(0, b'a');
    let files: [(&str, &[u8]); 9] = [
        ("LICENSE", b"The MIT License"),
        ("CNAME", b"www.example.com"),
        ("v1.2", "ä".as_bytes()),
        ("empty", b""),
        ("LONG", &long),
        ("program", b"\x7fELF\0\0"),
        ("latin1.unheard-of", b"caf\xe9"),
        (".well-known/matrix/client", b"{}"),
        ("data.bin", b"text"),
    ];
    let (manifest, _) = push(&origin, &token, &files).await;
    let types = manifest.files.iter().map(|(path, file)| format!("{path}  {}", file.media_type));
    insta::assert_snapshot!(types.collect::<Vec<_>>().join("\n"));
    origin.stop().await;
}

#[tokio::test]
async fn encoding_that_the_build_brings_is_served_in_place_of_one_of_the_origin() {
    let (origin, token) = start().await;
    let (script, style) = (b"let a = 1;\n".repeat(100), b"p { color: red }\n".repeat(100));
    // Several blobs, so that what is decoded arrives in pieces.
    let mut large = noise(3, 600 << 10);
    large.extend(std::iter::repeat_n(b'x', 600 << 10));
    let files: [(&str, &[u8]); 8] = [
        ("a.js", &script),
        ("a.js.br", &br(&script)),
        ("b.css", &style),
        ("b.css.gz", &gzip(b"p { color: blue }\n")),
        ("game.wasm", &large),
        ("game.wasm.gz", &gzip(&large)),
        ("Build/game.data.br", &br(&large)),
        ("Build/broken.data.br", b"no brotli, whatever its name says"),
    ];
    let (manifest, warnings) = push(&origin, &token, &files).await;
    let file = |path: &str| manifest.files[path].clone();
    assert_eq!(file("a.js").encodings[&Coding::Br], file("a.js.br").identity, "the blob of the build");
    assert!(file("a.js").encodings.contains_key(&Coding::Gzip), "what the build lacks is made");
    assert_eq!(file("game.wasm").encodings[&Coding::Gzip], file("game.wasm.gz").identity);
    assert_ne!(file("b.css").encodings[&Coding::Gzip], file("b.css.gz").identity);
    let coded = |path: &str| (file(path).content_encoding, file(path).media_type, file(path).encodings.len());
    assert_eq!(coded("a.js.br"), (Some(Coding::Br), "text/javascript; charset=utf-8".to_owned(), 0));
    assert_eq!(coded("b.css.gz"), (Some(Coding::Gzip), "text/css; charset=utf-8".to_owned(), 0));
    assert_eq!(coded("game.wasm.gz"), (Some(Coding::Gzip), "application/wasm".to_owned(), 0));
    assert_eq!(coded("Build/game.data.br"), (Some(Coding::Br), "application/octet-stream".to_owned(), 0));
    assert_eq!(coded("Build/broken.data.br"), (None, "application/octet-stream".to_owned(), 0));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("b.css.gz does not decode to b.css: "), "{warnings:?}");

    // Neither what earlier pushes have made, nor a restart, changes what a build means.
    let without: Vec<(&str, &[u8])> = files.iter().filter(|(path, _)| *path != "a.js.br").copied().collect();
    let (own, _) = push(&origin, &token, &without).await;
    assert_ne!(own.files["a.js"].encodings[&Coding::Br], file("a.js.br").identity);
    let origin = origin.restart().await;
    assert_eq!(push(&origin, &token, &files).await, (manifest, warnings));
    origin.stop().await;
}
