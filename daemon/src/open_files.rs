//! The limit of open files and connections of this process.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit (`RLIMIT_NOFILE`) to the hard one: the usual 1,024 is too low for a server, which at the limit could not open
/// its own files either. Returns the limit; `None`: unlimited.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// How many connections a listener of this process may have that is to have `wanted`: half of the limit, so that files can be opened whatever the
/// number of its connections.
pub(crate) fn connections_max(wanted: usize) -> usize {
    within(wanted, getrlimit(Resource::Nofile).current)
}

/// Whether no file could be opened because this process has as many open as it may have.
pub(crate) fn is_out_of_files(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(Errno::MFILE.raw_os_error())
}

fn within(wanted: usize, limit: Option<u64>) -> usize {
    let half = limit.map_or(usize::MAX, |limit| usize::try_from(limit / 2).unwrap_or(usize::MAX));
    wanted.min(half.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_is_raised_to_hard_limit() {
        let raised = raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, raised);
        assert_eq!(raise_limit(), raised);
    }

    #[test]
    fn listener_has_at_most_half_of_the_open_files() {
        for (limit, connections) in [(None, 10_000), (Some(65_536), 10_000), (Some(1024), 512), (Some(2), 1)] {
            assert_eq!(within(10_000, limit), connections);
        }
    }

    #[test]
    fn only_the_own_limit_counts_as_out_of_files() {
        let is_out = |errno: Errno| is_out_of_files(&std::io::Error::from_raw_os_error(errno.raw_os_error()));
        assert!(is_out(Errno::MFILE) && !is_out(Errno::NFILE));
    }
}
