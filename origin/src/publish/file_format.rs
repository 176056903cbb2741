//! What each file of a build is to those that receive it: its media type, and whether the build has encoded it. Synchronous; what only
//! the bytes tell are answers that it is given (`examiner.rs`).

use std::collections::{BTreeMap, HashMap};

use verge_protocol::{Build, Coding, Content, Digest, SitePath};

use super::decoding::{Decoded, Original};
use super::encoder::SAVING_MIN;
use super::media_type;

/// Extensions of files that pages load by the name of their encoded form, as Unity, Godot and Emscripten build them (`game.wasm.br`).
/// Others are downloads that stay encoded: `data.csv.gz`, `sitemap.xml.gz`, `archive.tar.gz`. So are `json` and `map`, which pages load
/// and decode themselves.
const LOADED_ENCODED: [&str; 12] =
    ["cjs", "css", "data", "htm", "html", "js", "mem", "mjs", "pck", "svg", "wasm", "webmanifest"];

/// Extensions of files that pages load so if Unity has built them.
const LOADED_ENCODED_OF_UNITY: [&str; 2] = ["json", "map"];

/// Where Unity has its files.
const UNITY: &str = "Build";

/// The end of the name of a file of Unity, wherever it is.
const UNITY_SYMBOLS: &str = ".symbols.json";

/// Where Blazor has its files. Its pages load `x.wasm.br` and decode it themselves on hosts that do not.
const DECODED_BY_PAGE: &str = "_framework";

/// How a file is served, as far as it follows from its name and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileFormat {
    pub(super) media_type: String,
    /// The coding that its bytes are in.
    pub(super) content_encoding: Option<Coding>,
    /// Whether encodings of it are worth making.
    pub(super) is_encodable: bool,
}

/// A question that the bytes of a content answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Question<'a> {
    /// Is it UTF-8 text?
    Text(&'a Content),
    /// What does it decode to?
    Decode(&'a Content, Coding, Option<Original>),
}

/// The answers to the questions about a build.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) text: HashMap<Digest, bool>,
    pub(super) decoded: HashMap<(Digest, Coding, Option<Original>), Decoded>,
}

/// The formats of the files of a build.
#[derive(Debug, Default)]
pub(super) struct FileFormats {
    pub(super) by_path: BTreeMap<SitePath, FileFormat>,
    /// Encodings that the build has brought, by the content that they are encodings of.
    pub(super) given: HashMap<(Digest, Coding), Content>,
    /// What the client should know about accepted files.
    pub(super) warnings: Vec<String>,
}

/// A file whose name says that it is in a coding.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EncodedName<'a> {
    coding: Coding,
    /// The path of what it decodes to; its own for `.svgz`, which has no other.
    plain: &'a str,
    is_svgz: bool,
}

impl<'a> EncodedName<'a> {
    fn parse(path: &'a SitePath) -> Option<Self> {
        let path = path.as_str();
        let (plain, extension) = path.rsplit_once('.')?;
        let coding = match extension.to_ascii_lowercase().as_str() {
            "svgz" => return Some(Self { coding: Coding::Gzip, plain: path, is_svgz: true }),
            "gz" => Coding::Gzip,
            "br" => Coding::Br,
            _ => return None,
        };
        Some(Self { coding, plain, is_svgz: false })
    }

    /// The file that it would be an encoding of, if the build has it and it is one that is served encoded.
    fn original<'b>(&self, build: &'b Build) -> Option<(SitePath, &'b Content)> {
        let path: SitePath = self.plain.parse().ok()?;
        let content = build.files.get(&path).filter(|_| !self.is_svgz)?;
        // Text and what nothing is known about are both compressible.
        let is_encodable = media_type::by_name(&path).is_none_or(|media_type| media_type::is_compressible(&media_type));
        (is_encodable && EncodedName::parse(&path).is_none()).then_some((path, content))
    }

    /// The type of what it decodes to, if pages load it by the name of its encoded form.
    fn media_type_if_loaded(&self) -> Option<String> {
        let path: SitePath = self.plain.parse().ok()?;
        let (_, extension) = path.file_name().rsplit_once('.')?;
        let is_one_of = |extensions: &[&str]| extensions.iter().any(|one| one.eq_ignore_ascii_case(extension));
        let is_in = |folder| path.as_str().split('/').rev().skip(1).any(|segment| segment == folder);
        let is_of_unity = is_in(UNITY) || path.file_name().ends_with(UNITY_SYMBOLS);
        let is_loaded = is_one_of(&LOADED_ENCODED) || is_of_unity && is_one_of(&LOADED_ENCODED_OF_UNITY);
        let is_decoded_by_page = is_in(DECODED_BY_PAGE);
        (self.is_svgz || is_loaded && !is_decoded_by_page).then(|| media_type::by_name(&path))?
    }
}

/// The original of a content, for a question about it.
fn as_original((_, content): &(SitePath, &Content)) -> Original {
    Original { digest: content.digest(), size: content.size() }
}

/// The questions about the files of a build: none about most files.
pub(super) fn questions(build: &Build) -> Vec<Question<'_>> {
    let mut questions = Vec::new();
    for (path, content) in &build.files {
        if let Some(name) = EncodedName::parse(path) {
            let original = name.original(build).as_ref().map(as_original);
            if original.is_some() || name.media_type_if_loaded().is_some() {
                questions.push(Question::Decode(content, name.coding, original));
            }
        } else if media_type::by_name(path).is_none() {
            questions.push(Question::Text(content));
        }
    }
    questions
}

impl FileFormats {
    /// Decides by the names of the files and the answers to the [`questions`] about them. What is not answered is not so.
    pub(super) fn decide(build: &Build, answers: &Answers) -> Self {
        let mut formats = Self::default();
        let (mut mismatches, mut not_examined) = (Vec::new(), Vec::new());
        for (path, content) in &build.files {
            let Some(name) = EncodedName::parse(path) else {
                formats.by_path.insert(path.clone(), plain_format(path, content, answers));
                continue;
            };
            let original = name.original(build);
            let question = (content.digest(), name.coding, original.as_ref().map(as_original));
            let decoded = answers.decoded.get(&question).copied().unwrap_or(Decoded::Invalid);
            if decoded == Decoded::NotExamined {
                not_examined.push(path);
            } else if let Some((original_path, original)) = original {
                if decoded != Decoded::ToOriginal {
                    mismatches.push((path, original_path));
                } else if content.size() + SAVING_MIN as u64 <= original.size() {
                    formats.given.entry((original.digest(), name.coding)).or_insert_with(|| content.clone());
                }
            }
            let loaded =
                name.media_type_if_loaded().filter(|_| !matches!(decoded, Decoded::Invalid | Decoded::NotExamined));
            let format = match loaded {
                Some(media_type) => FileFormat { media_type, content_encoding: Some(name.coding), is_encodable: false },
                // Whatever it is, it claims to be encoded already.
                None if !name.is_svgz => FileFormat { is_encodable: false, ..plain_format(path, content, answers) },
                None => plain_format(path, content, answers),
            };
            formats.by_path.insert(path.clone(), format);
        }
        formats.warnings.extend(warning(&mismatches));
        if let Some(path) = not_examined.first() {
            let count = not_examined.len();
            formats.warnings.push(format!(
                "{count} encoded files were not decoded, {path} first, since the others decode to far more than the build has: they are served as \
                 they are, as files of their own. Push again to have the rest examined"
            ));
        }
        formats
    }
}

/// The format of a file that the build has not encoded.
fn plain_format(path: &SitePath, content: &Content, answers: &Answers) -> FileFormat {
    let media_type = media_type::by_name(path).unwrap_or_else(|| {
        let is_text = answers.text.get(&content.digest()).copied().unwrap_or_default();
        if is_text { media_type::PLAIN_TEXT } else { media_type::BINARY }.to_owned()
    });
    FileFormat { is_encodable: media_type::is_compressible(&media_type), media_type, content_encoding: None }
}

/// How many files a warning names.
const NAMED_MAX: usize = 10;

/// What the client should know about files that are not what their names say.
fn warning(mismatches: &[(&SitePath, SitePath)]) -> Option<String> {
    let (path, original) = mismatches.first()?;
    if mismatches.len() == 1 {
        return Some(format!(
            "{path} does not decode to {original}: it is not served in its place. Build both again, or leave out the encoded one, \
             which is then made here"
        ));
    }
    let named: Vec<&str> = mismatches.iter().take(NAMED_MAX).map(|(path, _)| path.as_str()).collect();
    let others = match mismatches.len() - named.len() {
        0 => String::new(),
        others => format!(", and {others} more"),
    };
    Some(format!(
        "{} files do not decode to the files that they are named for, and are not served in their place: {}{others}. Build each pair \
         again, or leave out the encoded ones, which are then made here",
        mismatches.len(),
        named.join(", ")
    ))
}

#[cfg(test)]
mod tests;
