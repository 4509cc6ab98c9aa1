//! Each setting of an alarm rings once, unless it was replaced or cancelled before.

use std::collections::BTreeMap;

use super::{DeliveryCheck, Histories, number, text};
use crate::Promise;

pub(super) fn check(alarms: &Histories<'_>, check: &mut DeliveryCheck) {
    for (alarm, events) in alarms {
        // The setting of each timer that is set, by name.
        let mut pending: BTreeMap<&str, u64> = BTreeMap::new();
        for event in events {
            let data = &event["data"];
            let name = text(&data["name"]);
            match text(&event["type"]) {
                "Set" => _ = pending.insert(name, number(&data["setting"])),
                "Cancelled" => _ = pending.remove(name),
                "Rang" => {
                    let (rang, set) = (number(&data["setting"]), pending.remove(name));
                    check.rings += 1;
                    if set != Some(rang) {
                        let seen = format!("{name} rang for setting {rang} when {set:?} was set: {event}");
                        check.broken(Promise::TimersFireOnce, alarm, seen);
                    }
                }
                other => check.broken(Promise::TimersFireOnce, alarm, format!("{other} is no event of an alarm")),
            }
        }
        for (name, setting) in pending {
            check.missing(Promise::TimersFireOnce, alarm, format!("{name} never rang for setting {setting}"));
        }
    }
}
