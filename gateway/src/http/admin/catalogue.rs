//! `/admin/catalogue`: every event type of the application, and the projections, reactors and handlers that read it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_kernel::{Aggregate, EventCodec, is_same_variant};
use dormouse_messaging::{ConsumerInfo, ConsumerKind};
use dormouse_projections::{Definition, Projection};
use schemars::SchemaGenerator;

use super::answer;
use crate::admin::{Catalogue, CatalogueEvent, Consumer};
use crate::http::Api;
use crate::http::address::Parameters;
use crate::http::problem::Problem;
use crate::http::schema::{self, VariantSchemas};

/// The catalogue while types are added to it.
pub(in crate::http) struct CatalogueBuilder {
    generator: SchemaGenerator,
    events: Vec<CatalogueEvent>,
    /// The projections, each with the aggregate types that it reads.
    projections: Vec<(&'static str, Vec<&'static str>)>,
}

impl CatalogueBuilder {
    pub(in crate::http) fn new() -> Self {
        Self { generator: schema::generator("/definitions"), events: Vec::new(), projections: Vec::new() }
    }

    pub(in crate::http) fn aggregate<A: Aggregate>(&mut self) {
        // The engine refuses an event type that is not an enum.
        let Ok(codec) = EventCodec::<A::Event>::new() else { return };
        let schemas = VariantSchemas::of::<A::Event>(&mut self.generator);
        let names = || codec.events().iter().map(|(name, _)| *name);
        let is_alias_of = |alias: &str, name: &str| {
            schemas.get(alias).is_none() && schemas.get(name).is_some() && is_same_variant::<A::Event>(alias, name)
        };
        let current = codec.events().iter().filter(|(name, _)| !names().any(|other| is_alias_of(name, other)));
        self.events.extend(current.map(|&(name, schema_version)| {
            let aliases = names().filter(|alias| is_alias_of(alias, name));
            let mut former_names: Vec<_> =
                codec.former_names(name).into_iter().chain(aliases).map(str::to_owned).collect();
            former_names.sort_unstable();
            let schema = schemas.get(name).cloned().unwrap_or_else(schema::without_fields);
            CatalogueEvent {
                aggregate: A::TYPE.to_owned(),
                event: name.to_owned(),
                schema_version,
                former_names,
                schema,
                consumers: Vec::new(),
            }
        }));
    }

    pub(in crate::http) fn projection<P: Projection>(&mut self) {
        // The projections refuse a definition that is invalid.
        let Ok(definition) = Definition::of::<P>() else { return };
        self.projections.push((P::NAME, definition.sources().to_vec()));
    }

    /// The events, sorted by type and in the order of their enum, with their consumers: the projections and then the
    /// `listeners`, both sorted by name.
    pub(in crate::http) fn build(mut self, mut listeners: Vec<ConsumerInfo>) -> Catalogue {
        // The others deliver messages and timers, and read no events of the application.
        listeners.retain(|info| !matches!(info.kind, ConsumerKind::Messages | ConsumerKind::Timers));
        listeners.sort_by(|one, other| one.name.cmp(&other.name));
        self.projections.sort_unstable();
        self.events.sort_by(|one, other| one.aggregate.cmp(&other.aggregate));
        for event in &mut self.events {
            let aggregate = event.aggregate.as_str();
            let readers = self.projections.iter().filter(|(_, sources)| sources.contains(&aggregate));
            let listeners =
                listeners.iter().filter(|info| info.sources.is_empty() || info.sources.contains(&aggregate));
            let readers = readers.map(|(name, _)| Consumer::projection(name));
            event.consumers = readers.chain(listeners.map(Consumer::listener)).collect();
        }
        Catalogue { events: self.events, definitions: schema::definitions(&mut self.generator) }
    }
}

/// `GET /admin/catalogue`: all event types, or with `type` those of one aggregate type.
pub(super) async fn show(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let parameters = Parameters::of(request.uri(), &["type"])?;
    let Some(only) = parameters.get("type") else { return Ok(answer(&api.catalogue)) };
    api.resource(only)?;
    let Catalogue { events, definitions } = &api.catalogue;
    let events = events.iter().filter(|event| event.aggregate == only).cloned().collect();
    Ok(answer(&Catalogue { events, definitions: definitions.clone() }))
}
