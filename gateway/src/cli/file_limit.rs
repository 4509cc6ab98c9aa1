//! Raises the limit on open files as far as this process may. Every connection needs one, and shells start processes
//! with 1,024, a limit that is kept for programs that use `select`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Open files besides connections: those of the journal and of the runtime.
const OTHERS: u64 = 64;

/// Makes room for this many connections, and warns if there is not enough. The server starts in any case: connections
/// beyond the limit wait.
pub(super) fn raise(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` means that there is no limit.
    let Some(current) = current else { return };
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if current >= wanted {
        return;
    }
    let possible = maximum.map_or(wanted, |maximum| wanted.min(maximum));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum }) {
        Ok(()) => debug!(from = current, to = possible, "raised the limit on open files"),
        Err(error) => warn!(current, wanted, %error, "cannot raise the limit on open files (ulimit -n)"),
    }
    if possible < wanted {
        warn!(possible, wanted, "the limit on open files is too low for gateway.max_connections: raise it (ulimit -n)");
    }
}
