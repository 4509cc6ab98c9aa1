//! Each event of a transfer has its effect in the file, after the effects of the events before it, and always with the
//! same key.

use std::collections::{BTreeMap, HashMap};

use super::{DeliveryCheck, Histories, number};
use crate::Promise;

/// What the file says about one event.
#[derive(Default)]
struct Effect<'a> {
    key: &'a str,
    /// The line of the first attempt, and that of the first one that succeeded.
    first: usize,
    done: Option<usize>,
}

pub(super) fn check(transfers: &Histories<'_>, file: &str, check: &mut DeliveryCheck) {
    let mut effects: BTreeMap<(&str, u64), Effect<'_>> = BTreeMap::new();
    let mut keys: HashMap<&str, (&str, u64)> = HashMap::new();
    for (line, text) in file.lines().enumerate() {
        let words: Vec<&str> = text.split(' ').collect();
        let [key, _attempt, id, version, end] = words[..] else { panic!("line {line} of the effects: {text:?}") };
        let event = (id, version.parse().unwrap_or_else(|_| panic!("line {line} of the effects: {text:?}")));
        let effect = effects.entry(event).or_insert_with(|| Effect { key, first: line, done: None });
        if end == "done" {
            effect.done.get_or_insert(line);
        }
        let owner = *keys.entry(key).or_insert(event);
        if effect.key != key || owner != event {
            let seen = format!("version {version} has {key} and {}, {owner:?} has {key}", effect.key);
            check.broken(Promise::EffectsHaveOneKey, id, seen);
        }
    }
    check.effects = file.lines().count();
    for (id, events) in transfers {
        let mut before = None;
        for version in events.iter().map(|event| number(&event["version"])) {
            let Some(effect) = effects.remove(&(*id, version)) else {
                check.missing(Promise::EffectsHappen, id, format!("version {version} has no effect"));
                before = Some(usize::MAX);
                continue;
            };
            if before.is_some_and(|before| effect.first < before) {
                let seen = format!("version {version} was attempted before version {} was done", version - 1);
                check.broken(Promise::SequencesKeepOrder, id, seen);
            }
            before = effect.done.or(Some(usize::MAX));
            if effect.done.is_none() {
                check.missing(Promise::EffectsHappen, id, format!("no attempt at version {version} succeeded"));
            }
        }
    }
    for (id, version) in effects.into_keys() {
        check.broken(Promise::EffectsHappen, id, format!("version {version} has an effect, and does not exist"));
    }
}
