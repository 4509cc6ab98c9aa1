//! Which events a client wants to see.

use dormouse_kernel::{AggregateRef, NewEvent};

use crate::http::Api;
use crate::http::address::{Parameters, invalid};
use crate::http::commands::unknown;
use crate::http::problem::{self, Problem};

/// Types of aggregates, and of events; those that were not named are all wanted.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Filter {
    types: Vec<String>,
    events: Vec<String>,
}

impl Filter {
    /// `?type=order,payment&event=OrderPlaced`: names that exist, separated by commas.
    pub(super) fn of(api: &Api, parameters: &Parameters<'_>) -> Result<Self, Problem> {
        let types = names(parameters, "type")?;
        for name in &types {
            api.resource(name)?;
        }
        let events = Self::events(api, &types, parameters)?;
        Ok(Self { types, events })
    }

    /// Of the events of one type, `?event=OrderPlaced`.
    pub(in crate::http) fn of_type(api: &Api, name: &str, parameters: &Parameters<'_>) -> Result<Self, Problem> {
        let events = Self::events(api, &[name.to_owned()], parameters)?;
        Ok(Self { types: Vec::new(), events })
    }

    /// The named events, all of which some of the types have; of all types, if there are none.
    fn events(api: &Api, types: &[String], parameters: &Parameters<'_>) -> Result<Vec<String>, Problem> {
        let events = names(parameters, "event")?;
        let resources =
            api.resources.iter().filter(|(name, _)| types.is_empty() || types.iter().any(|one| one == *name));
        let known: Vec<&str> = resources.flat_map(|(_, resource)| resource.events()).copied().collect();
        match events.iter().find(|event| !known.contains(&event.as_str())) {
            None => Ok(events),
            Some(event) => {
                let whose = if types.is_empty() { "no aggregate type".to_owned() } else { types.join(", ") + ": none" };
                let what = format!("{whose} has an event {event:?}");
                Err(unknown(&problem::UNKNOWN_EVENT_TYPE, &what, event, known.into_iter()))
            }
        }
    }

    /// Whether everything is wanted.
    pub(super) fn is_none(&self) -> bool {
        self.types.is_empty() && self.events.is_empty()
    }

    pub(in crate::http) fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool {
        let is_in = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        is_in(&self.types, aggregate.aggregate_type.as_str()) && is_in(&self.events, &event.event_type)
    }
}

fn names(parameters: &Parameters<'_>, parameter: &str) -> Result<Vec<String>, Problem> {
    let Some(value) = parameters.get(parameter) else { return Ok(Vec::new()) };
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err(invalid(parameter, "is not a list of names, separated by commas"));
    }
    Ok(names)
}
