//! The filter of a client: which events it wants.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_journal::LogFilter;
use dormouse_kernel::{AggregateRef, EventSelection, NewEvent};

use crate::http::Api;
use crate::http::address::{Parameters, invalid};
use crate::http::commands::unknown;
use crate::http::problem::{self, Problem};

/// Types of aggregates and of events. An empty selection means all.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Filter {
    types: Vec<String>,
    /// By aggregate type, for types that have at least one of the named events.
    events: Option<BTreeMap<String, EventSelection>>,
}

impl Filter {
    /// `?type=order,payment&event=OrderPlaced`: current or former names, separated by commas.
    pub(super) fn of(api: &Api, parameters: &Parameters<'_>) -> Result<Self, Problem> {
        let types = names(parameters, "type")?;
        for name in &types {
            api.resource(name)?;
        }
        let events = Self::events(api, &types, parameters)?;
        Ok(Self { types, events })
    }

    /// The filter `?event=OrderPlaced` for the events of one type.
    pub(in crate::http) fn of_type(api: &Api, name: &str, parameters: &Parameters<'_>) -> Result<Self, Problem> {
        let events = Self::events(api, &[name.to_owned()], parameters)?;
        Ok(Self { types: Vec::new(), events })
    }

    /// The selection of the named events among these types, or among all types if there are none. Each name must be a
    /// current or former event of one of the types.
    fn events(
        api: &Api,
        types: &[String],
        parameters: &Parameters<'_>,
    ) -> Result<Option<BTreeMap<String, EventSelection>>, Problem> {
        let events = names(parameters, "event")?;
        if events.is_empty() {
            return Ok(None);
        }
        let resources =
            || api.resources.iter().filter(|(name, _)| types.is_empty() || types.iter().any(|one| one == *name));
        let is_known = |event: &String| resources().any(|(_, resource)| !resource.select(&[event.as_str()]).is_empty());
        if let Some(unknown_event) = events.iter().find(|event| !is_known(event)) {
            let whose = if types.is_empty() {
                "no aggregate type".to_owned()
            } else {
                "none of ".to_owned() + &types.join(", ")
            };
            let what = format!("{whose} has an event {unknown_event:?}");
            let known = resources().flat_map(|(_, resource)| resource.events()).copied();
            return Err(unknown(&problem::UNKNOWN_EVENT_TYPE, &what, unknown_event, known));
        }
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let selections = resources().map(|(name, resource)| ((*name).to_owned(), resource.select(&events)));
        Ok(Some(selections.filter(|(_, selection)| !selection.is_empty()).collect()))
    }

    /// Whether every event is wanted.
    fn is_none(&self) -> bool {
        self.types.is_empty() && self.events.is_none()
    }

    /// The part of the log that must be read: wanted events, and events that may turn out to be wanted. `None`:
    /// everything.
    pub(super) fn stored(&self) -> Option<LogFilter> {
        if self.is_none() {
            return None;
        }
        let Some(events) = &self.events else {
            return Some(LogFilter { types: self.types.clone(), events: Vec::new() });
        };
        let names: BTreeSet<&str> = events.values().flat_map(EventSelection::stored_names).collect();
        Some(LogFilter {
            types: events.keys().cloned().collect(),
            events: names.into_iter().map(str::to_owned).collect(),
        })
    }

    pub(in crate::http) fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool {
        let name = aggregate.aggregate_type.as_str();
        if !self.types.is_empty() && !self.types.iter().any(|wanted| wanted == name) {
            return false;
        }
        self.events.as_ref().is_none_or(|events| events.get(name).is_some_and(|selected| selected.includes(event)))
    }
}

fn names(parameters: &Parameters<'_>, parameter: &str) -> Result<Vec<String>, Problem> {
    let Some(value) = parameters.get(parameter) else { return Ok(Vec::new()) };
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err(invalid(parameter, "is not a list of names separated by commas"));
    }
    Ok(names)
}
