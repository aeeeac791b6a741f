//! How many files this process may have open: each tunnelled connection is one.

/// Takes as many as the system lets it have. Most systems give a process 1,024 at first, because of programs that use `select`;
/// nothing here does.
#[cfg(unix)]
pub(crate) fn raise() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without more, fewer connections are carried at a time.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// There is no such limit here.
#[cfg(not(unix))]
pub(crate) fn raise() {}
