//! The identity of this program.

use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;

use dormouse_kernel::Fingerprint;

/// How much is read at a time, because the file may be large.
const CHUNK_BYTES: usize = 1 << 20;

/// A fingerprint of the executable file, which distinguishes programs. It is computed once, in about 50 ms. Zero if the
/// file cannot be read: then all programs look the same.
pub(crate) fn fingerprint() -> u64 {
    static FINGERPRINT: OnceLock<u64> = OnceLock::new();
    *FINGERPRINT.get_or_init(|| std::env::current_exe().and_then(File::open).and_then(hash).unwrap_or(0))
}

fn hash(mut file: File) -> io::Result<u64> {
    let (mut hash, mut chunk) = (0, Vec::with_capacity(CHUNK_BYTES + 8));
    loop {
        chunk.clear();
        chunk.extend_from_slice(&u64::to_le_bytes(hash));
        if file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)? == 0 {
            return Ok(hash);
        }
        hash = Fingerprint::of(&chunk).number();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_has_a_fingerprint() {
        assert_ne!(fingerprint(), 0);
    }
}
