//! The memory of a process, as the kernel counts it.

use std::fs;

/// Resets the peak in the kernel.
const FORGET_PEAK: &str = "5";

/// The bytes that are resident now.
///
/// # Panics
/// When there is no such process.
#[must_use]
#[track_caller]
pub fn resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// The most bytes that were resident since the process started, or since [`forget_peak_resident_bytes`]. Unlike
/// samples, it misses no peak.
///
/// # Panics
/// When there is no such process.
#[must_use]
#[track_caller]
pub fn peak_resident_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

/// Resets [`peak_resident_bytes`].
///
/// # Panics
/// When there is no such process of this user.
#[track_caller]
pub fn forget_peak_resident_bytes(pid: u32) {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, FORGET_PEAK).unwrap_or_else(|error| panic!("{path}: {error}"));
}

#[track_caller]
fn status_bytes(pid: u32, field: &str) -> u64 {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or_else(|| panic!("{path} has no {field}")) * 1024
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn what_was_given_back_is_in_the_peak_only() {
        const LARGE: usize = 256 << 20;
        let _alone = crate::alone();
        let pid = std::process::id();
        // The kernel counts in batches, and other tests allocate a little meanwhile.
        let halfway = resident_bytes(pid) + LARGE as u64 / 2;
        drop(black_box(vec![1_u8; LARGE]));
        assert!(peak_resident_bytes(pid) > halfway);
        assert!(resident_bytes(pid) < halfway);
        forget_peak_resident_bytes(pid);
        assert!(peak_resident_bytes(pid) < halfway);
    }
}
