//! The clients' ledger against the server's history. This code shares nothing with the product.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dormouse_harness::{Client, Entry, Ledger, Outcome};
use serde_json::Value;

use crate::history;

pub(crate) struct Verdict {
    entries: Vec<Entry>,
    /// Events of every aggregate that a client named.
    histories: BTreeMap<String, Vec<Value>>,
    states: BTreeMap<String, Option<Value>>,
}

impl Verdict {
    pub(crate) fn on(ledger: &Ledger, client: &Client) -> Self {
        let entries = ledger.entries();
        let named: BTreeSet<String> = entries.iter().map(|entry| entry.aggregate.clone()).collect();
        let histories = named.iter().map(|name| (name.clone(), history::read(client, name))).collect();
        let state = |name: &String| {
            let answer = client.get(&format!("/v1/{name}")).unwrap();
            (name.clone(), (answer.status == 200).then(|| answer.json()["state"].clone()))
        };
        let states = named.iter().map(state).collect();
        Self { entries, histories, states }
    }

    /// The event that each command began with, by its key.
    fn first_events(&self, aggregate: &str) -> HashMap<String, &Value> {
        let mut first = HashMap::new();
        for event in &self.histories[aggregate] {
            if let Some(key) = event["metadata"]["command"]["key"].as_str() {
                let before = first.insert(key.to_owned(), event);
                assert!(before.is_none(), "{aggregate} has the key {key} twice");
            }
        }
        first
    }

    pub(crate) fn acknowledged_is_there_once(&self) {
        let mut acknowledged = 0;
        for entry in &self.entries {
            let Outcome::Ok { version } = entry.outcome else { continue };
            acknowledged += 1;
            let first = self.first_events(&entry.aggregate);
            let event = first.get(&entry.key).unwrap_or_else(|| panic!("lost: {entry:?}"));
            assert_eq!(event["version"].as_u64(), Some(version), "{entry:?}");
        }
        assert!(acknowledged > 0, "nothing was acknowledged: this run shows nothing");
    }

    pub(crate) fn refused_is_absent_and_unknown_at_most_once(&self) {
        let mut by_key: HashMap<(&str, &str), Vec<Outcome>> = HashMap::new();
        for entry in &self.entries {
            by_key.entry((&entry.aggregate, &entry.key)).or_default().push(entry.outcome);
        }
        for ((aggregate, key), outcomes) in by_key {
            let events =
                self.histories[aggregate].iter().filter(|event| event["metadata"]["command"]["key"] == key).count();
            assert!(events <= 1, "{aggregate}: {key} happened {events} times");
            // A first attempt may have happened although its answer was lost; only if all were refused is it certain.
            if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Refused { .. })) {
                assert_eq!(events, 0, "{aggregate}: {key} was refused and happened");
            }
        }
    }

    pub(crate) fn versions_are_dense(&self) {
        for (aggregate, events) in &self.histories {
            let versions: Vec<u64> = events.iter().map(|event| event["version"].as_u64().unwrap()).collect();
            let dense: Vec<u64> = (1..=versions.len() as u64).collect();
            assert_eq!(versions, dense, "{aggregate}");
            let positions: Vec<u64> = events.iter().map(|event| event["position"].as_u64().unwrap()).collect();
            assert!(positions.is_sorted_by(|before, after| before < after), "{aggregate}: {positions:?}");
        }
    }

    pub(crate) fn what_was_answered_first_came_first(&self) {
        for aggregate in self.histories.keys() {
            let acknowledged = self.entries.iter().filter(|entry| entry.aggregate == *aggregate);
            let mut answered: Vec<(_, _, u64)> = acknowledged
                .filter_map(|entry| match (entry.outcome, entry.answered) {
                    (Outcome::Ok { version }, Some(answered)) => Some((entry.invoked, answered, version)),
                    _ => None,
                })
                .collect();
            answered.sort();
            for (index, (_, first_answered, first)) in answered.iter().enumerate() {
                for (later_sent, _, later) in &answered[index + 1..] {
                    // A retry is sent late and gets the version of long before: it is the same version then.
                    let retried = self.retried(aggregate, *later);
                    assert!(
                        first_answered > later_sent || first < later || retried,
                        "{aggregate}: {later} before {first}"
                    );
                }
            }
        }
    }

    fn retried(&self, aggregate: &str, version: u64) -> bool {
        let of_version = |entry: &&Entry| entry.aggregate == aggregate && entry.outcome == Outcome::Ok { version };
        let Some(key) = self.entries.iter().find(of_version).map(|entry| &entry.key) else { return false };
        self.entries.iter().filter(|entry| entry.aggregate == aggregate && entry.key == *key).count() > 1
    }

    pub(crate) fn state_is_the_fold_of_its_events(&self) {
        for (aggregate, events) in &self.histories {
            match &self.states[aggregate] {
                Some(state) => {
                    let shown = history::comparable(aggregate, state);
                    assert_eq!(shown, history::fold(aggregate, events), "{aggregate}");
                }
                None => assert!(events.is_empty(), "{aggregate} has events and no state"),
            }
        }
    }

    pub(crate) fn a_retry_gets_the_first_outcome(&self, client: &Client) {
        let acknowledged = self.entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Ok { .. }));
        for entry in acknowledged.step_by(7) {
            let (path, body) = (entry.command["path"].as_str().unwrap(), &entry.command["body"]);
            let answer = client.post_with(path, &[("Idempotency-Key", &entry.key)], body).unwrap();
            assert_eq!(Outcome::from(&Ok(answer)), entry.outcome, "{entry:?}");
        }
    }
}
