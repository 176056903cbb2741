use std::collections::BTreeMap;

use bytes::Bytes;
use verge_protocol::{Fallback, HtmlPaths};

use super::*;

/// A build of these files, with these sizes; contents differ by path.
fn build(files: &[(&str, usize)]) -> Build {
    let content = |path: &str, size: usize| {
        let bytes: Vec<u8> = path.bytes().cycle().take(size).collect();
        Content::cut(&Bytes::from(bytes)).0
    };
    let files: BTreeMap<SitePath, Content> =
        files.iter().map(|(path, size)| (path.parse().unwrap(), content(path, *size))).collect();
    Build {
        files,
        fallback: Fallback::NotFound,
        legacy_service_workers: Vec::new(),
        html: HtmlPaths::Auto,
        rules: verge_protocol::Rules::default(),
    }
}

/// Answers all questions about a build alike.
fn answer(build: &Build, is_text: bool, decoded: Decoded) -> Answers {
    let mut answers = Answers::default();
    for question in questions(build) {
        match question {
            Question::Text(content) => {
                answers.text.insert(content.digest(), is_text);
            }
            Question::Decode(content, coding, original) => {
                let decoded = match (original, decoded) {
                    (None, Decoded::ToOriginal) => Decoded::Valid,
                    _ => decoded,
                };
                answers.decoded.insert((content.digest(), coding, original), decoded);
            }
        }
    }
    answers
}

/// The type, the coding, and whether it is encoded, of each file.
fn text(formats: &FileFormats) -> String {
    let line = |(path, format): (&SitePath, &FileFormat)| {
        let coding = format.content_encoding.map_or(String::new(), |coding| format!("  in {coding}"));
        let encodable = if format.is_encodable { "  encodable" } else { "" };
        format!("{path}  {}{coding}{encodable}", format.media_type)
    };
    formats.by_path.iter().map(line).collect::<Vec<_>>().join("\n")
}

const ENCODED: [(&str, usize); 28] = [
    ("Build/game.data.br", 100),
    ("Build/game.framework.js.GZ", 100),
    ("Build/catalog.json.gz", 100),
    ("Build/game.symbols.json.br", 100),
    ("Build/game.wasm.gz", 100),
    ("_framework/app.wasm", 1000),
    ("_framework/app.wasm.br", 100),
    ("_framework/dotnet.js.gz", 100),
    ("app.css", 1000),
    ("app.css.br", 100),
    ("app.css.gz", 100),
    ("archive.tar.gz", 100),
    ("archive.tgz", 100),
    ("app.js.map.gz", 100),
    ("app.symbols.json.gz", 100),
    ("data.csv.gz", 100),
    ("data.json.gz", 100),
    ("deep/LICENSE", 1000),
    ("deep/LICENSE.gz", 100),
    ("deep/picture.svgz", 100),
    ("deep/picture.svgz.br", 100),
    ("other.svgz.gz", 100),
    ("photo.png", 1000),
    ("photo.png.gz", 100),
    ("sitemap.xml.gz", 100),
    ("tiny.js", 70),
    ("tiny.js.gz", 60),
    ("x.gz", 100),
];

#[test]
fn only_files_whose_names_leave_it_open_are_questions() {
    let build = build(&[
        ("index.html", 1),
        ("a.gz/b.js", 1),
        ("photo.png.gz", 1),
        ("x.tar.br", 1),
        ("LICENSE", 1),
        ("v1.2", 1),
    ]);
    let asked: Vec<Question<'_>> = questions(&build);
    assert_eq!(asked, [Question::Text(&build.files["LICENSE"]), Question::Text(&build.files["v1.2"])]);
}

#[test]
fn files_that_the_build_has_encoded_have_the_type_and_coding_that_pages_expect() {
    let build = build(&ENCODED);
    let formats = FileFormats::decide(&build, &answer(&build, true, Decoded::ToOriginal));
    insta::assert_snapshot!(text(&formats));
    assert_eq!(formats.warnings, Vec::<String>::new());
}

#[test]
fn files_that_only_look_encoded_have_the_type_of_their_name_and_no_coding() {
    let build = build(&ENCODED);
    let formats = FileFormats::decide(&build, &answer(&build, false, Decoded::Invalid));
    insta::assert_snapshot!(format!("{}\n{}", text(&formats), formats.warnings.join("\n")));
}

#[test]
fn encoded_form_that_decodes_to_its_original_is_its_encoding_where_it_saves_bytes() {
    let build = build(&ENCODED);
    let given = |decoded| FileFormats::decide(&build, &answer(&build, true, decoded)).given;
    let of = |path: &str, coding| (build.files[path].digest(), coding);
    let encoded = |path: &str| build.files[path].clone();
    let expected = HashMap::from([
        (of("_framework/app.wasm", Coding::Br), encoded("_framework/app.wasm.br")),
        (of("app.css", Coding::Br), encoded("app.css.br")),
        (of("app.css", Coding::Gzip), encoded("app.css.gz")),
        (of("deep/LICENSE", Coding::Gzip), encoded("deep/LICENSE.gz")),
    ]);
    assert_eq!(given(Decoded::ToOriginal), expected);
    assert_eq!(given(Decoded::Valid), HashMap::new());
    assert_eq!(given(Decoded::Invalid), HashMap::new());
}

#[test]
fn encoded_form_of_another_file_is_named_and_stays_what_it_is() {
    let build = build(&[("app.js", 1000), ("app.js.br", 100), ("data.csv", 1000), ("data.csv.gz", 100)]);
    let formats = FileFormats::decide(&build, &answer(&build, true, Decoded::Valid));
    insta::assert_snapshot!(format!("{}\n{}", text(&formats), formats.warnings.join("\n")));
}

#[test]
fn encoded_forms_of_other_files_are_named_up_to_ten_and_then_counted() {
    let warning_of = |count: usize| {
        let names: Vec<String> =
            (0..count).flat_map(|number| [format!("{number:02}.css"), format!("{number:02}.css.br")]).collect();
        let files: Vec<(&str, usize)> = names.iter().map(|name| (&**name, 1000)).collect();
        let build = build(&files);
        let warnings = FileFormats::decide(&build, &answer(&build, true, Decoded::Valid)).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        warnings.concat()
    };
    assert!(warning_of(1).starts_with("00.css.br does not decode to 00.css: "));
    assert!(warning_of(10).contains(": 00.css.br, 01.css.br, ") && warning_of(10).contains(", 09.css.br. Build"));
    let many = warning_of(13);
    assert!(many.starts_with("13 files do not") && many.contains(", 09.css.br, and 3 more. Build"), "{many}");
}

#[test]
fn file_without_a_known_extension_is_text_or_binary_by_its_bytes() {
    let build = build(&[("CNAME", 9), ("LICENSE.MIT", 9), (".well-known/matrix/client", 9), ("index.html", 9)]);
    for (is_text, expected) in [(true, media_type::PLAIN_TEXT), (false, media_type::BINARY)] {
        let formats = FileFormats::decide(&build, &answer(&build, is_text, Decoded::Invalid)).by_path;
        assert_eq!(formats["CNAME"].media_type, expected);
        assert_eq!(formats["LICENSE.MIT"].media_type, expected);
        assert_eq!(formats[".well-known/matrix/client"].media_type, "application/json");
        assert_eq!(formats["index.html"].media_type, "text/html; charset=utf-8");
    }
}

#[test]
fn encoded_copy_beyond_the_budget_is_a_file_of_its_own_and_is_named() {
    let build = build(&[("x.js", 5000), ("x.js.gz", 100), ("game.wasm.br", 100)]);
    let formats = FileFormats::decide(&build, &answer(&build, true, Decoded::NotExamined));
    assert!(formats.given.is_empty());
    assert!(formats.by_path.values().all(|format| format.content_encoding.is_none()));
    assert!(!formats.by_path["x.js.gz"].is_encodable);
    assert_eq!(formats.warnings.len(), 1, "{:?}", formats.warnings);
    assert!(
        formats.warnings[0].starts_with("2 encoded files were not decoded, game.wasm.br first"),
        "{:?}",
        formats.warnings
    );
}
