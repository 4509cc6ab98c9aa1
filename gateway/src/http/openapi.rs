//! `GET /openapi.json`: this API as OpenAPI 3.1, generated from the types of the application.

mod admin;
mod operators;
mod parameters;
mod paths;
mod routes;
mod security;
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

use super::access::Access;
use super::route::{Route, RouteAddress, RouteMethod};
use super::schema::{self, VariantSchemas};
use super::{Api, JSON};

pub(super) use operators::{OperatorPath, operator_paths};

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
    routes: Vec<RouteDescription>,
}

/// The description of one aggregate type.
struct AggregateDescription {
    name: &'static str,
    /// The schema of the fields of each command that clients may send, with the command's path segment.
    commands: Vec<(String, Value)>,
    reply: Value,
    state: Value,
    events: &'static [&'static str],
}

/// The description of one route of the application's own.
struct RouteDescription {
    method: &'static str,
    address: RouteAddress,
    summary: &'static str,
    /// The status of a success.
    status: &'static str,
    body: Option<Value>,
    answer: Value,
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
            routes: Vec::new(),
        }
    }

    /// The generator of the schemas. It keeps the definitions that the schemas refer to.
    pub(super) fn generator(&mut self) -> &mut SchemaGenerator {
        &mut self.generator
    }

    pub(super) fn aggregate<A: Aggregate>(&mut self, schemas: &VariantSchemas) {
        let variants = variant_names::<A::Command>().unwrap_or_default();
        let of_clients = variants.iter().filter(|variant| !A::INTERNAL_COMMANDS.contains(variant));
        let commands = of_clients.map(|variant| {
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

    pub(super) fn route(&mut self, route: &Route) {
        let (body, answer) = (route.describe)(&mut self.generator);
        let method = match route.method {
            RouteMethod::Get => "get",
            RouteMethod::Post => "post",
        };
        let status = if route.creates { "201" } else { "200" };
        let (address, summary) = (route.address, route.summary);
        self.routes.push(RouteDescription { method, address, summary, status, body, answer });
    }

    /// The finished document, as it is served. `access` has the permission of each operation.
    pub(super) fn document(mut self, access: &Access) -> Bytes {
        let mut components = schema::definitions(&mut self.generator);
        let mut paths = Map::new();
        for described in &self.types {
            paths::add_aggregate(described, &components, &mut paths);
        }
        for described in &self.views {
            views::add_view(described, &mut paths);
        }
        for described in &self.routes {
            routes::add_route(described, &components, &mut paths);
        }
        paths::add_common(&mut paths);
        security::describe(access, &mut paths);
        schema::keep_referenced(&paths, &mut components);
        components.extend(shared::schemas());
        let names = self.types.iter().map(|described| described.name);
        let tag_of =
            |name| json!({ "name": name, "description": format!("Commands, states and histories of {name}.") });
        let mut tags: Vec<Value> = names.map(tag_of).collect();
        tags.extend(shared::TAGS.iter().map(|(name, description)| json!({ "name": name, "description": description })));
        if !self.routes.is_empty() {
            let (name, description) = routes::TAG;
            tags.push(json!({ "name": name, "description": description }));
        }
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.name,
                "version": "1",
                "description": "Commands, states and histories of event-sourced aggregates, and views of them. Errors \
                                are problem details (RFC 9457). Clients should branch on the type of a problem.",
            },
            // The path is relative to where the document was read.
            "servers": [{ "url": "/" }],
            "security": security::default(access),
            "paths": paths,
            "components": {
                "schemas": components,
                "parameters": parameters::all(),
                "headers": shared::headers(),
                "responses": shared::responses(),
                "securitySchemes": security::schemes(access),
            },
            "tags": tags,
        });
        schema::plain_enumerations(&mut document);
        document.to_string().into()
    }
}
