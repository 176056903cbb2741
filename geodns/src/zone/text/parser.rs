//! Parses a zone file and the files it includes into records with their positions.

use std::io;
use std::path::{Path, PathBuf};

use crate::dns::name::Name;
use crate::dns::record::RecordType;
use crate::zone::diagnostics::{Diagnostics, Position};

use super::lexer::{Entry, Lexer};
use super::record_parser::{self, Context, Owner, RecordEntry};
use super::token::{SyntaxError, Token};

/// The most bytes of text of a zone, in all of its files.
const MAX_BYTES: usize = 64 << 20;
const MAX_RECORDS: usize = 1_000_000;
/// How deep `$INCLUDE` may be nested.
const MAX_DEPTH: usize = 8;
const MAX_FILES: usize = 1000;

/// A record of the zone, its data in wire format.
#[derive(Debug)]
pub(crate) struct ParsedRecord {
    pub(crate) owner: Name,
    pub(crate) record_type: RecordType,
    pub(crate) ttl: u32,
    pub(crate) data: Box<[u8]>,
    pub(crate) at: Position,
}

/// Parses the zone file at `path`, whose text `load` returns. Names are relative to `apex` until `$ORIGIN` changes that.
pub(crate) fn parse(
    path: &Path,
    apex: &Name,
    load: impl FnMut(&Path) -> io::Result<String>,
) -> (Vec<ParsedRecord>, Diagnostics) {
    let mut parser = Parser {
        apex,
        load,
        records: Vec::new(),
        diagnostics: Diagnostics::new(path),
        open: Vec::new(),
        bytes: 0,
        reported_missing_ttl: false,
        stop: false,
    };
    let context = Context { origin: apex.clone(), owner: Owner::Unset, default_ttl: None, last_ttl: None };
    if let Err(error) = parser.file(path, 0, context) {
        parser.diagnostics.zone_error(error, None);
    }
    (parser.records, parser.diagnostics)
}

struct Parser<'a, L> {
    apex: &'a Name,
    load: L,
    records: Vec<ParsedRecord>,
    diagnostics: Diagnostics,
    /// The current file, and those that include it.
    open: Vec<PathBuf>,
    bytes: usize,
    reported_missing_ttl: bool,
    stop: bool,
}

impl<L: FnMut(&Path) -> io::Result<String>> Parser<'_, L> {
    /// Parses the file with the index `file`. Fails if it cannot be read at all; other errors become diagnostics.
    fn file(&mut self, path: &Path, file: u16, mut context: Context) -> Result<(), String> {
        let text = (self.load)(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > MAX_BYTES {
            self.stop = true;
            return Err(format!("the zone is larger than {} MiB", MAX_BYTES >> 20));
        }
        self.open.push(path.to_owned());
        for entry in Lexer::new(&text) {
            let parsed = entry.and_then(|entry| self.entry(&entry, file, &mut context));
            if let Err(SyntaxError { line, message, hint }) = parsed {
                self.diagnostics.error(Position { file, line }, message, hint);
            }
            if self.stop || self.diagnostics.is_full() {
                break;
            }
        }
        self.open.pop();
        Ok(())
    }

    fn entry(&mut self, entry: &Entry<'_>, file: u16, context: &mut Context) -> Result<(), SyntaxError> {
        match entry.tokens.as_slice() {
            [directive, tokens @ ..] if !entry.indented && directive.text.starts_with('$') && !directive.quoted => {
                self.directive(directive, tokens, file, context)
            }
            _ => match record_parser::parse(entry, context)? {
                Some(record) => self.record(record, Position { file, line: entry.line }),
                None => Ok(()),
            },
        }
    }

    fn directive(
        &mut self,
        directive: &Token<'_>,
        tokens: &[Token<'_>],
        file: u16,
        context: &mut Context,
    ) -> Result<(), SyntaxError> {
        match tokens {
            [origin] if directive.is("$ORIGIN") => context.origin = origin.name(&context.origin)?,
            [ttl] if directive.is("$TTL") => context.default_ttl = Some(ttl.seconds()?),
            [path] if directive.is("$INCLUDE") => self.include(path, file, context.clone())?,
            [path, origin] if directive.is("$INCLUDE") => {
                let origin = origin.name(&context.origin)?;
                self.include(path, file, Context { origin, ..context.clone() })?;
            }
            _ if ["$ORIGIN", "$TTL", "$INCLUDE"].iter().any(|known| directive.is(known)) => {
                return Err(directive.error("has the wrong number of arguments").hint(DIRECTIVES));
            }
            _ if directive.is("$GENERATE") => {
                return Err(directive.error("is not supported").hint("write out the records that it generates"));
            }
            _ => return Err(directive.error("is not a known directive").hint(DIRECTIVES)),
        }
        Ok(())
    }

    fn include(&mut self, token: &Token<'_>, file: u16, context: Context) -> Result<(), SyntaxError> {
        let includer = self.diagnostics.files[usize::from(file)].clone();
        let path = includer.parent().unwrap_or(Path::new("")).join(token.text);
        if self.open.contains(&path) {
            return Err(token.error("includes itself, directly or through other files"));
        }
        if self.open.len() > MAX_DEPTH {
            return Err(token.error(&format!("is nested in more than {MAX_DEPTH} files")));
        }
        let file = self.file_index(&path).ok_or_else(|| {
            self.stop = true;
            token.error(&format!("is not included: a zone has at most {MAX_FILES} files"))
        })?;
        self.file(&path, file, context).map_err(|error| SyntaxError::new(token.line, error))
    }

    fn file_index(&mut self, path: &Path) -> Option<u16> {
        let files = &mut self.diagnostics.files;
        let index = files.iter().position(|file| **file == *path).unwrap_or_else(|| {
            files.push(path.into());
            files.len() - 1
        });
        u16::try_from(index).ok().filter(|_| index < MAX_FILES)
    }

    fn record(&mut self, record: RecordEntry, at: Position) -> Result<(), SyntaxError> {
        let RecordEntry { owner, record_type, ttl, data } = record;
        if !owner.is_within(self.apex) {
            let message = format!("`{owner}` is outside the zone `{}`", self.apex);
            return Err(SyntaxError::new(at.line, message).hint("a name without a trailing dot is relative to $ORIGIN"));
        }
        if self.records.len() == MAX_RECORDS {
            self.stop = true;
            return Err(SyntaxError::new(at.line, format!("the zone has more than {MAX_RECORDS} records")));
        }
        if ttl.is_none() && !std::mem::replace(&mut self.reported_missing_ttl, true) {
            return Err(
                SyntaxError::new(at.line, "no TTL specified").hint("begin the file with a line such as `$TTL 1h`")
            );
        }
        // Without a TTL the zone is rejected; its records are still checked.
        self.records.push(ParsedRecord { owner, record_type, ttl: ttl.unwrap_or_default(), data, at });
        Ok(())
    }
}

const DIRECTIVES: &str = "the directives are $ORIGIN <name>, $TTL <time> and $INCLUDE <file> [<origin>]";

/// Reads a file of a zone from disk: at most one byte more than a zone may have.
pub(crate) fn read_file(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    io::Read::read_to_end(&mut io::Read::take(std::fs::File::open(path)?, limit), &mut text)?;
    String::from_utf8(text).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records and the errors of the first of `files`, which are paths with their texts.
    fn parse_files(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let load = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        let (records, diagnostics) = parse(Path::new(files[0].0), &Name::parse("example.com").unwrap(), load);
        let line = |record: &ParsedRecord| {
            let Position { file, line } = record.at;
            format!("{}:{line} {} {}", diagnostics.files[usize::from(file)].display(), record.owner, record.ttl)
        };
        let records = records.iter().map(line).collect();
        let errors = diagnostics.finish().err().map(|error| error.errors).unwrap_or_default();
        (records, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn included_file_has_a_relative_path_and_its_own_context() {
        let (records, errors) = parse_files(&[
            (
                "etc/zone",
                "$TTL 60\na A 192.0.2.1\n$INCLUDE sub/one b\n A 192.0.2.1\n$ORIGIN c\n$INCLUDE sub/two\nd A 192.0.2.1",
            ),
            ("etc/sub/one", " A 192.0.2.2\n$TTL 30\n$ORIGIN x\n@ A 192.0.2.1\n$INCLUDE two"),
            ("etc/sub/two", "y A 192.0.2.1"),
        ]);
        assert_eq!(errors, [""; 0]);
        assert_eq!(
            records,
            [
                "etc/zone:2 a.example.com. 60",
                "etc/sub/one:1 a.example.com. 60",
                "etc/sub/one:4 x.b.example.com. 30",
                "etc/sub/two:1 y.x.b.example.com. 30",
                "etc/zone:4 a.example.com. 60",
                "etc/sub/two:1 y.c.example.com. 60",
                "etc/zone:7 d.c.example.com. 60",
            ]
        );
    }

    #[test]
    fn include_depth_is_limited() {
        let (_, errors) = parse_files(&[("a", "\n$INCLUDE b"), ("b", "$INCLUDE a\n$INCLUDE b\n$INCLUDE c")]);
        assert_eq!(
            errors,
            [
                "b:1: `a` includes itself, directly or through other files",
                "b:2: `b` includes itself, directly or through other files",
                "b:3: cannot read `c`: entity not found",
            ]
        );
        let nested: Vec<_> = (0..20).map(|level| (level.to_string(), format!("$INCLUDE {}", level + 1))).collect();
        let nested: Vec<_> = nested.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(parse_files(&nested).1, ["8:1: `9` is nested in more than 8 files"]);
    }

    #[test]
    fn zone_beyond_the_limits_is_an_error() {
        let (records, errors) = parse_files(&[("zone", &"$TTL 1\n@ A 192.0.2.1\n".repeat(MAX_RECORDS + 2))]);
        assert_eq!(records.len(), MAX_RECORDS);
        assert_eq!(errors, ["zone:2000002: the zone has more than 1000000 records"]);
        let (_, errors) = parse_files(&[("zone", &";".repeat(MAX_BYTES + 1))]);
        assert_eq!(errors, ["zone: the zone is larger than 64 MiB"]);
    }

    #[test]
    fn file_that_is_not_utf_8_is_an_error_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zone");
        std::fs::write(&path, b"; one\n; K\xf6ln\n").unwrap();
        assert_eq!(read_file(&path).unwrap_err().to_string(), "line 2 is not UTF-8");
        std::fs::write(&path, "; Köln\n").unwrap();
        assert_eq!(read_file(&path).unwrap(), "; Köln\n");
    }
}
