//! A quick check between two faults. It shows after which of them something was missing.

use std::collections::BTreeMap;

use super::finding::{Finding, Promise};
use super::probe::Probe;
use crate::{Client, Ledger, Outcome};

/// The number of aggregates that are checked: those with the latest acknowledgements.
const AGGREGATES: usize = 40;

/// Checks that these aggregates have at least the acknowledged versions. `since` is the number of attempts that the
/// ledger had at an earlier check.
///
/// The check at the end finds more; this one finds it earlier.
#[must_use]
pub fn quick_check(ledger: &Ledger, since: usize, client: &Client) -> Vec<Finding> {
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    for entry in ledger.entries_from(since).into_iter().rev() {
        let Outcome::Ok { version } = entry.outcome else { continue };
        if acknowledged.len() < AGGREGATES || acknowledged.contains_key(&entry.aggregate) {
            let highest = acknowledged.entry(entry.aggregate).or_default();
            *highest = version.max(*highest);
        }
    }
    let probe = Probe::of(client);
    let lost = acknowledged.into_iter().filter_map(|(aggregate, acknowledged)| match probe.version(&aggregate) {
        Ok(version) if version >= acknowledged => None,
        Ok(version) => {
            let seen = format!("its state has version {version}, and {acknowledged} was acknowledged");
            Some(Finding::new(Promise::AcknowledgedIsThere, &aggregate, seen))
        }
        Err(said) => Some(Finding::new(Promise::Readable, &aggregate, said)),
    });
    lost.collect()
}
