//! Reads files and describes them, a few at a time.

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use verge_protocol::content::Cutter;
use verge_protocol::{BLOB_MAX, Content};

use super::problem::Problem;
use super::walk::Found;

/// Describes every file, in the order given. A large one is read a blob at a time. All that cannot be read are named.
pub(super) fn describe<R: Read>(
    files: &[Found],
    open: &(impl Fn(&Path) -> io::Result<R> + Sync),
    progress: &(impl Fn(u64) + Sync),
) -> Result<Vec<Content>, Vec<Problem>> {
    // Reading waits for the disk: two threads are worth it even on one core.
    let threads = thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)).min(files.len().max(1));
    let next = AtomicUsize::new(0);
    let take = || {
        let mut described = Vec::new();
        while let Some((place, file)) = files.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
            described.push((place, open(&file.source).and_then(|reader| content(reader, file.size, progress))));
        }
        described
    };
    let mut described: Vec<(usize, io::Result<Content>)> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("hashing does not panic")).collect()
    });
    described.sort_by_key(|(place, _)| *place);
    let mut contents = Vec::new();
    let mut problems = Vec::new();
    for (place, content) in described {
        match content {
            Ok(content) => contents.push(content),
            Err(source) => problems.push(Problem::Unreadable { path: files[place].path.to_string(), source }),
        }
    }
    if problems.is_empty() { Ok(contents) } else { Err(problems) }
}

/// Files that cannot even be opened.
pub(super) fn unreadable<R>(files: &[Found], open: &impl Fn(&Path) -> io::Result<R>) -> Vec<Problem> {
    let refused = |file: &Found| open(&file.source).err().map(|source| (file.path.to_string(), source));
    files.iter().filter_map(refused).map(|(path, source)| Problem::Unreadable { path, source }).collect()
}

fn content(mut reader: impl Read, size: u64, progress: &impl Fn(u64)) -> io::Result<Content> {
    let mut cutter = Cutter::default();
    // A byte more than is expected, so that the end is found without another allocation.
    let capacity = usize::try_from(size + 1).unwrap_or(BLOB_MAX).min(BLOB_MAX);
    loop {
        let mut piece = Vec::with_capacity(capacity);
        let read = reader.by_ref().take(BLOB_MAX as u64).read_to_end(&mut piece)?;
        if read > 0 {
            cutter.push(Bytes::from(piece));
            progress(read as u64);
        }
        if read < BLOB_MAX {
            return Ok(cutter.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn found(path: &str, size: usize) -> Found {
        Found { path: path.parse().unwrap(), source: path.into(), size: size as u64 }
    }

    #[test]
    fn contents_come_in_the_order_of_the_files_and_every_byte_is_counted() {
        let sizes = [0, 1, BLOB_MAX - 1, BLOB_MAX, BLOB_MAX + 1, 3 * BLOB_MAX];
        let names: Vec<String> = (0..sizes.len()).map(|at| format!("{at}")).collect();
        let files: Vec<Found> = names.iter().zip(sizes).map(|(name, size)| found(name, size)).collect();
        let disk: BTreeMap<_, _> =
            files.iter().zip(sizes).map(|(file, size)| (file.source.clone(), vec![7; size])).collect();
        let counted = AtomicU64::new(0);
        let progress = |bytes| {
            counted.fetch_add(bytes, Ordering::Relaxed);
        };
        let contents = describe(&files, &|path| Ok(&disk[path][..]), &progress).unwrap();
        let expected: Vec<Content> = sizes.iter().map(|size| Content::cut(&vec![7; *size].into()).0).collect();
        assert_eq!(contents, expected);
        assert_eq!(counted.into_inner(), sizes.iter().sum::<usize>() as u64);
    }

    #[test]
    fn every_file_that_cannot_be_read_is_named() {
        let files = [found("a", 1), found("b", 1), found("c", 1)];
        let open = |path: &Path| {
            if path == Path::new("b") { Ok(&b"b"[..]) } else { Err(io::Error::from(io::ErrorKind::PermissionDenied)) }
        };
        let expected = ["a: cannot be read: permission denied", "c: cannot be read: permission denied"];
        let named = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(named(describe(&files, &open, &drop).unwrap_err()), expected);
        assert_eq!(named(unreadable(&files, &open)), expected);
    }

    #[test]
    fn a_file_that_breaks_off_in_the_middle_is_named() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let problems = describe(&[found("a", 9)], &|_: &Path| Ok(Broken), &drop).unwrap_err();
        assert_eq!(problems[0].to_string(), "a: cannot be read: the disk is gone");
    }
}
