//! A quick look between two faults, which tells after which of them something was missing.

use std::collections::BTreeMap;

use super::finding::{Finding, Promise};
use super::inquiry::Inquiry;
use crate::{Client, Ledger, Outcome};

/// Aggregates that are looked at: those acknowledged last.
const AGGREGATES: usize = 40;

/// Whether the aggregates that were acknowledged last have at least the versions that were told. `since` is how many
/// attempts the ledger had at an earlier glance.
///
/// The verdict at the end sees more; this one sees it earlier.
#[must_use]
pub fn glance(ledger: &Ledger, since: usize, client: &Client) -> Vec<Finding> {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for entry in ledger.entries_from(since).into_iter().rev() {
        let Outcome::Ok { version } = entry.outcome else { continue };
        if told.len() < AGGREGATES || told.contains_key(&entry.aggregate) {
            let highest = told.entry(entry.aggregate).or_default();
            *highest = version.max(*highest);
        }
    }
    let inquiry = Inquiry::of(client);
    let lost = told.into_iter().filter_map(|(aggregate, told)| match inquiry.version(&aggregate) {
        Ok(version) if version >= told => None,
        Ok(version) => {
            let seen = format!("its state has version {version}, and {told} was told");
            Some(Finding::new(Promise::AcknowledgedIsThere, &aggregate, seen))
        }
        Err(said) => Some(Finding::new(Promise::Readable, &aggregate, said)),
    });
    lost.collect()
}
