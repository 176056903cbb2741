//! Hashes files, several at a time.

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use verge_protocol::content::Cutter;
use verge_protocol::{BLOB_MAX, Content};

use super::problem::Problem;
use super::walk::ScannedFile;

/// Hashes every file, in the order given. Large files are read blob by blob. All unreadable files are reported.
pub(super) fn hash_files<R: Read>(
    files: &[ScannedFile],
    open: &(impl Fn(&Path) -> io::Result<R> + Sync),
    progress: &(impl Fn(u64) + Sync),
) -> Result<Vec<Content>, Vec<Problem>> {
    // Threads wait for the disk, so two are useful even on one core.
    let threads = thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)).min(files.len().max(1));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut hashed = Vec::new();
        while let Some((index, file)) = files.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
            hashed.push((index, open(&file.source).and_then(|reader| read_content(reader, file.size, progress))));
        }
        hashed
    };
    let mut hashed: Vec<(usize, io::Result<Content>)> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("hashing does not panic")).collect()
    });
    hashed.sort_by_key(|(index, _)| *index);
    let mut contents = Vec::new();
    let mut problems = Vec::new();
    for (index, content) in hashed {
        match content {
            Ok(content) => contents.push(content),
            Err(source) => problems.push(Problem::Unreadable { path: files[index].path.to_string(), source }),
        }
    }
    if problems.is_empty() { Ok(contents) } else { Err(problems) }
}

/// Files that cannot be opened.
pub(super) fn unreadable<R>(files: &[ScannedFile], open: &impl Fn(&Path) -> io::Result<R>) -> Vec<Problem> {
    let error = |file: &ScannedFile| open(&file.source).err().map(|source| (file.path.to_string(), source));
    files.iter().filter_map(error).map(|(path, source)| Problem::Unreadable { path, source }).collect()
}

fn read_content(mut reader: impl Read, size: u64, progress: &impl Fn(u64)) -> io::Result<Content> {
    let mut cutter = Cutter::default();
    // One more byte than expected, so that the end of the file is detected without growing the buffer.
    let capacity = usize::try_from(size + 1).unwrap_or(BLOB_MAX).min(BLOB_MAX);
    loop {
        let mut chunk = Vec::with_capacity(capacity);
        let read = reader.by_ref().take(BLOB_MAX as u64).read_to_end(&mut chunk)?;
        if read > 0 {
            cutter.push(Bytes::from(chunk));
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

    fn scanned(path: &str, size: usize) -> ScannedFile {
        ScannedFile { path: path.parse().unwrap(), source: path.into(), size: size as u64 }
    }

    #[test]
    fn contents_are_in_file_order_and_progress_counts_every_byte() {
        let sizes = [0, 1, BLOB_MAX - 1, BLOB_MAX, BLOB_MAX + 1, 3 * BLOB_MAX];
        let names: Vec<String> = (0..sizes.len()).map(|at| format!("{at}")).collect();
        let files: Vec<ScannedFile> = names.iter().zip(sizes).map(|(name, size)| scanned(name, size)).collect();
        let disk: BTreeMap<_, _> =
            files.iter().zip(sizes).map(|(file, size)| (file.source.clone(), vec![7; size])).collect();
        let counted = AtomicU64::new(0);
        let progress = |bytes| {
            counted.fetch_add(bytes, Ordering::Relaxed);
        };
        let contents = hash_files(&files, &|path| Ok(&disk[path][..]), &progress).unwrap();
        let expected: Vec<Content> = sizes.iter().map(|size| Content::cut(&vec![7; *size].into()).0).collect();
        assert_eq!(contents, expected);
        assert_eq!(counted.into_inner(), sizes.iter().sum::<usize>() as u64);
    }

    #[test]
    fn each_unreadable_file_is_named() {
        let files = [scanned("a", 1), scanned("b", 1), scanned("c", 1)];
        let open = |path: &Path| {
            if path == Path::new("b") { Ok(&b"b"[..]) } else { Err(io::Error::from(io::ErrorKind::PermissionDenied)) }
        };
        let expected = ["a: failed to read: permission denied", "c: failed to read: permission denied"];
        let named = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(named(hash_files(&files, &open, &drop).unwrap_err()), expected);
        assert_eq!(named(unreadable(&files, &open)), expected);
    }

    #[test]
    fn file_with_read_error_is_named() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let problems = hash_files(&[scanned("a", 9)], &|_: &Path| Ok(Broken), &drop).unwrap_err();
        assert_eq!(problems[0].to_string(), "a: failed to read: the disk is gone");
    }
}
