//! Media types, and files that the build itself has encoded, from the folder to the reader.

use std::path::Path;

use verge_tests::World;

const JS: &str = "text/javascript; charset=utf-8";

const SCRIPT: &str = "console.log(\"loaded\");\n";

/// `SCRIPT`, 20 times, by gzip.
const SCRIPT_GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\xce\xcf\x2b\xce\xcf\x49\xd5\xcb\xc9\x4f\xd7\x50\xca\xc9\
    \x4f\x4c\x49\x4d\x51\xd2\xb4\xe6\x4a\x1e\x15\x1e\x7a\xc2\x00\x66\xf7\x3a\x00\xcc\x01\x00\x00";

/// `SCRIPT`, 20 times, by brotli.
const SCRIPT_BR: &[u8] =
    b"\x1b\xcb\x01\xf8\x1d\xa7\xc1\x9a\x9d\x3d\x71\x29\x82\x92\xd2\x0a\x3b\x6c\x6f\xca\xe5\x2c\x0b\xa1\x85\
    \xb4\x34\xe1\x16\x5e\x7c\xd1\x13\x7e\xb3\x00";

/// `<svg/>`, by gzip.
const PICTURE: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xb3\x29\x2e\x4b\xd7\xb7\x03\x00\x49\xfb\xb9\xac\x06\x00\x00\x00";

fn write(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reader_gets_files_that_the_build_has_encoded_with_their_coding_and_inner_type() {
    let world = World::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let plain = SCRIPT.repeat(20);
    for (path, bytes) in [
        ("index.html", &b"<title>game</title>"[..]),
        ("Build/game.framework.js.gz", SCRIPT_GZIP),
        ("Build/game.js.br", SCRIPT_BR),
        ("Build/no.js.br", b"not brotli, not even nearly"),
        ("app.js", plain.as_bytes()),
        ("app.js.br", SCRIPT_BR),
        ("picture.svgz", PICTURE),
        ("dump.csv.gz", SCRIPT_GZIP),
        ("LICENSE", b"The MIT License"),
    ] {
        write(folder.path(), path, bytes);
    }
    world.push_folder(&world.client(), "demo", folder.path()).await.unwrap();

    for (path, accepted, media_type, coding, body) in [
        ("/Build/game.framework.js.gz", "", JS, "gzip", SCRIPT_GZIP),
        ("/Build/game.framework.js.gz", "br", JS, "gzip", SCRIPT_GZIP),
        ("/Build/game.js.br", "gzip, br", JS, "br", SCRIPT_BR),
        ("/Build/no.js.br", "gzip, br", "application/octet-stream", "", b"not brotli, not even nearly"),
        ("/app.js", "gzip, br", JS, "br", SCRIPT_BR),
        ("/app.js", "", JS, "", plain.as_bytes()),
        ("/app.js.br", "", JS, "br", SCRIPT_BR),
        ("/picture.svgz", "", "image/svg+xml", "gzip", PICTURE),
        ("/dump.csv.gz", "gzip, br", "application/gzip", "", SCRIPT_GZIP),
        ("/LICENSE", "", "text/plain; charset=utf-8", "", b"The MIT License"),
    ] {
        let response = world.get_with(0, "demo", path, &[("accept-encoding", accepted)]).await.unwrap();
        assert_eq!(response.header("content-type"), media_type, "{path}");
        assert_eq!(response.header("content-encoding"), coding, "{path} for a reader of {accepted:?}");
        assert_eq!(&*response.body, body, "{path} for a reader of {accepted:?}");
    }
    let range = [("range", "bytes=2-4")];
    let part = world.get_with(0, "demo", "/Build/game.js.br", &range).await.unwrap();
    assert_eq!((part.status.as_u16(), part.header("content-encoding"), &*part.body), (206, "br", &SCRIPT_BR[2..5]));
    world.stop().await;
}
