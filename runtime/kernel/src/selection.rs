//! Selects stored events by name. An event keeps the name that it was written with, but readers know the current one.

use std::collections::BTreeSet;

use crate::aggregate::DomainEvent;
use crate::envelope::NewEvent;
use crate::upcast::{RawEvent, Upcasters};
use crate::variant::{is_same_variant, variant_names};

/// A selection of stored events of one aggregate type by their current names.
/// [`EventCodec::select`](crate::EventCodec::select) makes it.
#[derive(Clone, Debug)]
pub struct EventSelection {
    /// The current names that are selected, with their aliases.
    current: BTreeSet<String>,
    /// All events that are stored under these names are selected.
    names: BTreeSet<String>,
    /// Events that are stored under these names may become several others, as their steps say.
    split: BTreeSet<String>,
    upcasters: Upcasters,
}

impl EventSelection {
    /// Needs [settled](Upcasters::settled) steps.
    pub(crate) fn new<E: DomainEvent>(upcasters: &Upcasters, wanted: &[impl AsRef<str>]) -> Self {
        let variants = variant_names::<E>().unwrap_or_default();
        let known: BTreeSet<&str> = variants.iter().copied().chain(upcasters.names()).collect();
        let current_name = |name| upcasters.current_name(name).unwrap_or(name);
        let mut current = BTreeSet::new();
        for name in wanted.iter().filter_map(|wanted| known.get(wanted.as_ref())) {
            let name = current_name(name);
            current
                .extend(variants.iter().filter(|variant| is_same_variant::<E>(variant, name)).map(ToString::to_string));
            current.insert(name.to_owned());
        }
        let owned = |name: &&str| (*name).to_owned();
        let names = known.iter().filter(|name| current.contains(current_name(name))).map(owned).collect();
        let split = known.iter().filter(|name| upcasters.may_split(name)).map(owned).collect();
        let split = if current.is_empty() { BTreeSet::new() } else { split };
        Self { current, names, split, upcasters: upcasters.clone() }
    }

    /// Whether it selects nothing, because none of the names is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current.is_empty()
    }

    /// The names under which selected events may be stored. Not all events under these names are
    /// [selected](Self::includes).
    pub fn stored_names(&self) -> impl Iterator<Item = &str> {
        self.names.union(&self.split).map(String::as_str)
    }

    /// Whether a stored event is selected. If its steps cannot read it, only the name that it is stored under counts.
    #[must_use]
    pub fn includes(&self, event: &NewEvent) -> bool {
        let name = &*event.event_type;
        self.names.contains(name) || self.split.contains(name) && self.becomes_selected(event)
    }

    fn becomes_selected(&self, event: &NewEvent) -> bool {
        let raw = RawEvent {
            name: event.event_type.to_string(),
            schema_version: event.schema_version,
            fields: event.payload.clone(),
        };
        self.upcasters.apply(raw).is_ok_and(|parts| parts.iter().any(|part| self.current.contains(&part.name)))
    }
}
