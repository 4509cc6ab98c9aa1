//! `GET /openapi.json`: this API as OpenAPI 3.1, generated from the types of the application.

mod admin;
mod parameters;
mod paths;
mod shared;
mod views;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use dormouse_kernel::{Aggregate, kebab_case, variant_names};
use dormouse_projections::{Field, Projection};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::schema::{self, VariantSchemas};
use super::{Api, JSON};

pub(super) async fn document(State(api): State<Arc<Api>>) -> Response {
    let mut response = Response::new(Body::from(api.openapi.clone()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The document while types are added to it.
pub(super) struct OpenApi {
    name: String,
    generator: SchemaGenerator,
    types: Vec<AggregateDescription>,
    views: Vec<ViewDescription>,
}

/// The description of one aggregate type.
struct AggregateDescription {
    name: &'static str,
    /// The schema of a command's fields, with the command's path segment.
    commands: Vec<(String, Value)>,
    reply: Value,
    state: Value,
    events: &'static [&'static str],
}

/// The description of one view.
struct ViewDescription {
    name: &'static str,
    document: Value,
    fields: Vec<Field>,
}

impl OpenApi {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            generator: schema::generator("/components/schemas"),
            types: Vec::new(),
            views: Vec::new(),
        }
    }

    /// The generator of the schemas. It keeps the definitions that the schemas refer to.
    pub(super) fn generator(&mut self) -> &mut SchemaGenerator {
        &mut self.generator
    }

    pub(super) fn aggregate<A: Aggregate>(&mut self, schemas: &VariantSchemas) {
        let variants = variant_names::<A::Command>().unwrap_or_default();
        let commands = variants.iter().map(|variant| {
            let fields = schemas.get(variant).cloned().unwrap_or_else(schema::without_fields);
            (kebab_case(variant), fields)
        });
        self.types.push(AggregateDescription {
            name: A::TYPE,
            commands: commands.collect(),
            reply: self.generator.subschema_for::<A::Reply>().to_value(),
            state: A::state_schema(&mut self.generator).to_value(),
            events: variant_names::<A::Event>().unwrap_or_default(),
        });
    }

    pub(super) fn projection<P: Projection>(&mut self) {
        self.views.push(ViewDescription {
            name: P::NAME,
            document: self.generator.subschema_for::<P::Document>().to_value(),
            fields: P::fields().iter().copied().collect(),
        });
    }

    /// The finished document, as it is served.
    pub(super) fn document(mut self) -> Bytes {
        let mut components = schema::definitions(&mut self.generator);
        let mut paths = Map::new();
        for described in &self.types {
            paths::add_aggregate(described, &components, &mut paths);
        }
        for described in &self.views {
            views::add_view(described, &mut paths);
        }
        paths::add_common(&mut paths);
        components.extend(shared::schemas());
        let names = self.types.iter().map(|described| described.name);
        let tag_of =
            |name| json!({ "name": name, "description": format!("Commands, states and histories of {name}.") });
        let mut tags: Vec<Value> = names.map(tag_of).collect();
        tags.extend(shared::TAGS.iter().map(|(name, description)| json!({ "name": name, "description": description })));
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.name,
                "version": "1",
                "description": "Commands, states and histories of event-sourced aggregates, and views of them. Errors \
                                are problem details (RFC 9457). Clients should branch on the type of a problem.",
            },
            // The path is relative to where the document was read. There is no authentication yet.
            "servers": [{ "url": "/" }],
            "security": [],
            "paths": paths,
            "components": {
                "schemas": components,
                "parameters": parameters::all(),
                "headers": shared::headers(),
                "responses": shared::responses(),
            },
            "tags": tags,
        });
        schema::plain_enumerations(&mut document);
        document.to_string().into()
    }
}
