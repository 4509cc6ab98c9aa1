//! The limits of hosting, each with its reason. Stored events comply with the limits of values: raising one needs
//! nothing else, lowering one needs an upcaster for larger values in stored events.

use std::time::Duration;

use dormouse_kernel::limits::AGGREGATE_ID_CHARS;

/// Characters in a domain in its ASCII form: a domain is the id of its reservation. DNS allows 253; longer ones than
/// this are not in use for sites.
pub const DOMAIN_CHARS: usize = AGGREGATE_ID_CHARS;

/// Characters between two dots of a domain in its ASCII form (RFC 1035, 2.3.4).
pub const LABEL_CHARS: usize = 63;

/// Bytes of a domain as a client writes it: four for each character of [`DOMAIN_CHARS`], because its letters may take
/// four bytes. The conversion to ASCII sees no longer text.
pub const NEW_DOMAIN_BYTES: usize = 4 * DOMAIN_CHARS;

/// Bytes of a backup, and milliseconds of a job: the largest whole number that every JSON reader takes exactly,
/// 2^53 - 1 (RFC 7493, 2.2).
pub const EXACT_NUMBER: u64 = (1 << 53) - 1;

/// How long a site waits for the result of its provisioning: three tries of a job that installs an application, with
/// the pauses between them. A later result is still accepted.
pub const PROVISIONING_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long a backup waits for its result. It takes longer than a provisioning, because a site may have grown to many
/// gigabytes. A later result is still accepted.
pub const BACKUP_LIMIT: Duration = Duration::from_secs(60 * 60);
