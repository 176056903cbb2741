//! The limit of open files and connections of this process.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_is_raised_to_hard_limit() {
        let raised = raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, raised);
        assert_eq!(raise_limit(), raised);
    }
}
