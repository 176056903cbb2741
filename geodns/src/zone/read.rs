//! A zone file and what it includes, as records with their positions.

use std::io;
use std::path::{Path, PathBuf};

use crate::dns::name::Name;
use crate::dns::rdata::{Malformed, Word};
use crate::dns::record::RecordType;

use super::entry::{Entries, Entry};
use super::line::{self, Context, Line, Owner};
use super::report::{Position, Report};

/// Bytes of text in all files of a zone together.
pub(super) const MAX_BYTES: usize = 64 << 20;
const MAX_RECORDS: usize = 1_000_000;
/// Files that lead to an included one.
const MAX_DEPTH: usize = 8;
const MAX_FILES: usize = 1000;

/// A record as it is written, inside the zone.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) owner: Name,
    pub(super) record_type: RecordType,
    pub(super) ttl: u32,
    pub(super) data: Box<[u8]>,
    pub(super) at: Position,
}

/// Reads all records of the zone whose file `load` gives for `path`. Names are below `apex` until `$ORIGIN` says otherwise.
pub(super) fn read(path: &Path, apex: &Name, load: impl FnMut(&Path) -> io::Result<String>) -> (Vec<Written>, Report) {
    let mut reader = Reader {
        apex,
        load,
        records: Vec::new(),
        report: Report::new(path),
        open: Vec::new(),
        bytes: 0,
        told_of_ttl: false,
        stop: false,
    };
    let context = Context { origin: apex.clone(), owner: Owner::Nobody, default_ttl: None, last_ttl: None };
    if let Err(error) = reader.file(path, 0, context) {
        reader.report.fault_of_zone(error, None);
    }
    (reader.records, reader.report)
}

struct Reader<'a, L> {
    apex: &'a Name,
    load: L,
    records: Vec<Written>,
    report: Report,
    /// The file being read, and those that include it.
    open: Vec<PathBuf>,
    bytes: usize,
    told_of_ttl: bool,
    stop: bool,
}

impl<L: FnMut(&Path) -> io::Result<String>> Reader<'_, L> {
    /// Reads the file whose number is `file`. The error is that it cannot be read at all.
    fn file(&mut self, path: &Path, file: u16, mut context: Context) -> Result<(), String> {
        let text = (self.load)(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > MAX_BYTES {
            self.stop = true;
            return Err(format!("the zone is longer than {} MiB of text", MAX_BYTES >> 20));
        }
        self.open.push(path.to_owned());
        for entry in Entries::new(&text) {
            if let Err(Malformed { line, text, hint }) = entry.and_then(|entry| self.entry(&entry, file, &mut context))
            {
                self.report.fault(Position { file, line }, text, hint);
            }
            if self.stop || self.report.is_full() {
                break;
            }
        }
        self.open.pop();
        Ok(())
    }

    fn entry(&mut self, entry: &Entry<'_>, file: u16, context: &mut Context) -> Result<(), Malformed> {
        match entry.words.as_slice() {
            [directive, words @ ..] if !entry.indented && directive.text.starts_with('$') && !directive.quoted => {
                self.directive(directive, words, file, context)
            }
            _ => match line::read(entry, context)? {
                Some(line) => self.record(line, Position { file, line: entry.line }),
                None => Ok(()),
            },
        }
    }

    fn directive(
        &mut self,
        directive: &Word<'_>,
        words: &[Word<'_>],
        file: u16,
        context: &mut Context,
    ) -> Result<(), Malformed> {
        match words {
            [origin] if directive.is("$ORIGIN") => context.origin = origin.name(&context.origin)?,
            [ttl] if directive.is("$TTL") => context.default_ttl = Some(ttl.seconds()?),
            [path] if directive.is("$INCLUDE") => self.include(path, file, context.clone())?,
            [path, origin] if directive.is("$INCLUDE") => {
                let origin = origin.name(&context.origin)?;
                self.include(path, file, Context { origin, ..context.clone() })?;
            }
            _ if ["$ORIGIN", "$TTL", "$INCLUDE"].iter().any(|known| directive.is(known)) => {
                return Err(directive.malformed("has the wrong number of words after it").hint(DIRECTIVES));
            }
            _ if directive.is("$GENERATE") => {
                return Err(directive.malformed("is not understood").hint("write out the entries that it stands for"));
            }
            _ => return Err(directive.malformed("is not understood").hint(DIRECTIVES)),
        }
        Ok(())
    }

    fn include(&mut self, word: &Word<'_>, file: u16, context: Context) -> Result<(), Malformed> {
        let includer = self.report.files[usize::from(file)].clone();
        let path = includer.parent().unwrap_or(Path::new("")).join(word.text);
        if self.open.contains(&path) {
            return Err(word.malformed("includes itself, here or through others"));
        }
        if self.open.len() > MAX_DEPTH {
            return Err(word.malformed(&format!("is included at a depth of more than {MAX_DEPTH} files")));
        }
        let file = self.file_number(&path).ok_or_else(|| {
            self.stop = true;
            word.malformed(&format!("is one file too many: a zone has at most {MAX_FILES}"))
        })?;
        self.file(&path, file, context).map_err(|error| Malformed::new(word.line, error))
    }

    fn file_number(&mut self, path: &Path) -> Option<u16> {
        let files = &mut self.report.files;
        let number = files.iter().position(|file| **file == *path).unwrap_or_else(|| {
            files.push(path.into());
            files.len() - 1
        });
        u16::try_from(number).ok().filter(|_| number < MAX_FILES)
    }

    fn record(&mut self, line: Line, at: Position) -> Result<(), Malformed> {
        let Line { owner, record_type, ttl, data } = line;
        if !owner.is_within(self.apex) {
            let text = format!("`{owner}` is outside the zone `{}`", self.apex);
            return Err(Malformed::new(at.line, text).hint("a name that does not end in a dot is below $ORIGIN"));
        }
        if self.records.len() == MAX_RECORDS {
            self.stop = true;
            return Err(Malformed::new(at.line, format!("the zone has more than {MAX_RECORDS} records")));
        }
        if ttl.is_none() && !std::mem::replace(&mut self.told_of_ttl, true) {
            let text = "nothing says how long this record may be kept";
            return Err(Malformed::new(at.line, text).hint("begin the file with a line such as `$TTL 1h`"));
        }
        // Without a TTL the zone is refused anyway; its records still take part in the checks.
        self.records.push(Written { owner, record_type, ttl: ttl.unwrap_or_default(), data, at });
        Ok(())
    }
}

const DIRECTIVES: &str = "$ORIGIN <name>, $TTL <time> and $INCLUDE <file> [<origin>] are";

/// Reads a file of a zone from the disk, and no more of it than a zone may have.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
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

    /// Reads `zone`; other files are those given, by their paths.
    fn read_all(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let load = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        let (records, report) = read(Path::new(files[0].0), &Name::parse("example.com").unwrap(), load);
        let line = |record: &Written| {
            let Position { file, line } = record.at;
            format!("{}:{line} {} {}", report.files[usize::from(file)].display(), record.owner, record.ttl)
        };
        let records = records.iter().map(line).collect();
        let faults = report.finish().err().map(|error| error.faults).unwrap_or_default();
        (records, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn included_files_are_relative_to_their_includer_and_leave_nothing_behind() {
        let (records, faults) = read_all(&[
            (
                "etc/zone",
                "$TTL 60\na A 192.0.2.1\n$INCLUDE sub/one b\n A 192.0.2.1\n$ORIGIN c\n$INCLUDE sub/two\nd A 192.0.2.1",
            ),
            ("etc/sub/one", " A 192.0.2.2\n$TTL 30\n$ORIGIN x\n@ A 192.0.2.1\n$INCLUDE two"),
            ("etc/sub/two", "y A 192.0.2.1"),
        ]);
        assert_eq!(faults, [""; 0]);
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
    fn cycles_and_towers_of_files_end() {
        let (_, faults) = read_all(&[("a", "\n$INCLUDE b"), ("b", "$INCLUDE a\n$INCLUDE b\n$INCLUDE c")]);
        assert_eq!(
            faults,
            [
                "b:1: `a` includes itself, here or through others",
                "b:2: `b` includes itself, here or through others",
                "b:3: cannot read `c`: entity not found",
            ]
        );
        let tower: Vec<_> = (0..20).map(|level| (level.to_string(), format!("$INCLUDE {}", level + 1))).collect();
        let tower: Vec<_> = tower.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(read_all(&tower).1, ["8:1: `9` is included at a depth of more than 8 files"]);
    }

    #[test]
    fn a_zone_has_limits() {
        let (records, faults) = read_all(&[("zone", &"$TTL 1\n@ A 192.0.2.1\n".repeat(MAX_RECORDS + 2))]);
        assert_eq!(records.len(), MAX_RECORDS);
        assert_eq!(faults, ["zone:2000002: the zone has more than 1000000 records"]);
        let (_, faults) = read_all(&[("zone", &";".repeat(MAX_BYTES + 1))]);
        assert_eq!(faults, ["zone: the zone is longer than 64 MiB of text"]);
    }

    #[test]
    fn text_that_is_not_utf_8_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zone");
        std::fs::write(&path, b"; one\n; K\xf6ln\n").unwrap();
        assert_eq!(read_text(&path).unwrap_err().to_string(), "line 2 is not UTF-8");
        std::fs::write(&path, "; Köln\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "; Köln\n");
    }
}
