//! Which stored events are wanted by name: an event keeps the name that it was written with, and today's is what readers know.

use std::collections::BTreeSet;

use crate::aggregate::DomainEvent;
use crate::envelope::NewEvent;
use crate::upcast::{RawEvent, Upcasters};
use crate::variant::{is_same_variant, variant_names};

/// Stored events of one aggregate type that are some of today's, or become them. Made by
/// [`EventCodec::select`](crate::EventCodec::select).
#[derive(Clone, Debug)]
pub struct EventSelection {
    /// Names of today, with their aliases.
    today: BTreeSet<String>,
    /// Whatever is stored under these is wanted.
    names: BTreeSet<String>,
    /// What is stored under these may become other events: their steps tell.
    split: BTreeSet<String>,
    upcasters: Upcasters,
}

impl EventSelection {
    /// Expects [settled](Upcasters::settled) steps.
    pub(crate) fn new<E: DomainEvent>(upcasters: &Upcasters, wanted: &[impl AsRef<str>]) -> Self {
        let variants = variant_names::<E>().unwrap_or_default();
        let known: BTreeSet<&str> = variants.iter().copied().chain(upcasters.names()).collect();
        let of_today = |name| upcasters.today(name).unwrap_or(name);
        let mut today = BTreeSet::new();
        for name in wanted.iter().filter_map(|wanted| known.get(wanted.as_ref())) {
            let name = of_today(name);
            today
                .extend(variants.iter().filter(|variant| is_same_variant::<E>(variant, name)).map(ToString::to_string));
            today.insert(name.to_owned());
        }
        let owned = |name: &&str| (*name).to_owned();
        let names = known.iter().filter(|name| today.contains(of_today(name))).map(owned).collect();
        let split = known.iter().filter(|name| upcasters.may_split(name)).map(owned).collect();
        let split = if today.is_empty() { BTreeSet::new() } else { split };
        Self { today, names, split, upcasters: upcasters.clone() }
    }

    /// Whether no event can be selected: none of the names is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.today.is_empty()
    }

    /// The names under which wanted events may be stored. Not all that is stored under them is [wanted](Self::includes).
    pub fn stored_names(&self) -> impl Iterator<Item = &str> {
        self.names.union(&self.split).map(String::as_str)
    }

    /// Whether a stored event is wanted. One that its steps cannot read goes by the name that it is stored under.
    #[must_use]
    pub fn includes(&self, event: &NewEvent) -> bool {
        let name = &*event.event_type;
        self.names.contains(name) || self.split.contains(name) && self.becomes_wanted(event)
    }

    fn becomes_wanted(&self, event: &NewEvent) -> bool {
        let raw = RawEvent {
            name: event.event_type.to_string(),
            schema_version: event.schema_version,
            fields: event.payload.clone(),
        };
        self.upcasters.apply(raw).is_ok_and(|parts| parts.iter().any(|part| self.today.contains(&part.name)))
    }
}
