//! The rule of each address.

use std::collections::{BTreeSet, HashMap};

use axum::http::Method;
use dormouse_auth::{Permissions, Rule, Section};
use dormouse_kernel::{Aggregate, kebab_case, variant_names};
use dormouse_projections::Projection;

use crate::http::address::decoded;
use crate::http::openapi::{self, OperatorPath};
use crate::http::route::{Route, RouteAddress};

/// What a request needs.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum Required<'t> {
    /// Nothing: everybody may.
    Nothing,
    /// A caller that may do this, be it only with its own.
    Rule(&'t Rule),
    /// A caller that may do this with everything: what there is belongs to nobody.
    Whole(&'t Rule),
    /// A caller. Each line of the request has a rule of its own.
    OfEachLine,
    /// A caller. The request names a type, a command or a view that does not exist, and its handler says so.
    Nonexistent,
    /// Nothing is known of the address: nobody may.
    Unknown,
}

/// The rules of all addresses.
pub(in crate::http) struct AccessTable {
    types: HashMap<&'static str, TypeRules>,
    views: HashMap<&'static str, ViewRules>,
    routes: Vec<RouteRule>,
    operators: Vec<(OperatorPath, Rule)>,
    log: Rule,
    overview: Rule,
    operation: Rule,
}

/// The rules of one aggregate type.
struct TypeRules {
    /// By the command's path segment.
    commands: HashMap<String, Rule>,
    state: Rule,
    events: Rule,
    outcome: Rule,
}

/// The rules of one view.
struct ViewRules {
    one: Rule,
    all: Rule,
}

struct RouteRule {
    is_get: bool,
    address: RouteAddress,
    /// `None`: the route names no permission, so nobody may.
    rule: Option<Rule>,
}

/// Names of permissions that stand for no type, view or route.
const LOG: &str = "events";
const OVERVIEW: &str = "views";
const OPERATION: &str = "operation";

/// Collects the rules of an [`AccessTable`].
pub(in crate::http) struct AccessTableBuilder {
    permissions: Permissions,
    table: AccessTable,
}

impl AccessTableBuilder {
    pub(in crate::http) fn new(permissions: Permissions) -> Self {
        let query = |name| permissions.rule(Section::Queries, &[name]);
        let operators = openapi::operator_paths().into_iter().map(|path| {
            let rule = permissions.rule(Section::Admin, &[&path.permission]);
            (path, rule)
        });
        let table = AccessTable {
            types: HashMap::new(),
            views: HashMap::new(),
            routes: Vec::new(),
            operators: operators.collect(),
            log: query(LOG),
            overview: query(OVERVIEW),
            operation: query(OPERATION),
        };
        Self { permissions, table }
    }

    pub(in crate::http) fn aggregate<A: Aggregate>(&mut self) {
        let query = |name: &str| self.permissions.rule(Section::Queries, &[&format!("{}.{name}", A::TYPE)]);
        let commands = commands::<A>().map(|variant| {
            let qualified = format!("{}.{variant}", A::TYPE);
            (kebab_case(variant), self.permissions.rule(Section::Commands, &[&qualified, variant]))
        });
        let rules = TypeRules {
            commands: commands.collect(),
            state: query("state"),
            events: query("events"),
            outcome: query("outcome"),
        };
        self.table.types.insert(A::TYPE, rules);
    }

    pub(in crate::http) fn projection<P: Projection>(&mut self) {
        let query = |name: &str| self.permissions.rule(Section::Queries, &[name]);
        self.table.views.insert(P::NAME, ViewRules { one: query(&P::query_one()), all: query(&P::query_all()) });
    }

    pub(in crate::http) fn route(&mut self, route: &Route) {
        let section = if route.is_get() { Section::Queries } else { Section::Commands };
        let rule = route.permission_name().map(|name| self.permissions.rule(section, &[name]));
        self.table.routes.push(RouteRule { is_get: route.is_get(), address: route.address, rule });
    }

    pub(in crate::http) fn build(self) -> AccessTable {
        self.table
    }
}

impl AccessTable {
    /// What a request to this path needs.
    pub(in crate::http) fn required(&self, method: &Method, path: &str) -> Required<'_> {
        let mut segments = path.split('/');
        if segments.next() != Some("") {
            return Required::Unknown;
        }
        let segments: Vec<&str> = segments.collect();
        match *segments.as_slice() {
            ["health", "live" | "ready"] | ["openapi.json"] | ["docs"] | ["v1", "auth", "telegram"] => {
                Required::Nothing
            }
            ["v1", "events"] => Required::Whole(&self.log),
            ["v1", "commands"] => Required::OfEachLine,
            ["v1", "commands", of_type, _, _] => self.of_type(of_type, |rules| &rules.outcome),
            ["v1", "operations", _] => Required::Rule(&self.operation),
            ["v1", "views"] => Required::Whole(&self.overview),
            ["v1", "views", view] => self.of_view(view, |rules| &rules.all),
            ["v1", "views", view, _] => self.of_view(view, |rules| &rules.one),
            ["v1", of_type, _] => self.of_type(of_type, |rules| &rules.state),
            ["v1", of_type, _, "events"] => self.of_type(of_type, |rules| &rules.events),
            ["v1", of_type, _, command] => self.command(of_type, command).map_or(Required::Nonexistent, Required::Rule),
            _ => self.of_operators_or_routes(method, &segments),
        }
    }

    /// The rule of a command, by its path segment. `None`: there is no such command that clients may send.
    pub(super) fn command(&self, aggregate_type: &str, segment: &str) -> Option<&Rule> {
        self.types.get(aggregate_type)?.commands.get(segment)
    }

    /// The name of the operation of operators at an address.
    pub(super) fn operation(&self, method: &Method, path: &str) -> Option<&str> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let mut found = self.operators.iter().filter(|(path, _)| path.method == *method && path.fits(&segments));
        found.next().map(|(path, _)| path.permission.as_str())
    }

    fn of_type(&self, aggregate_type: &str, rule: impl Fn(&TypeRules) -> &Rule) -> Required<'_> {
        self.types.get(aggregate_type).map_or(Required::Nonexistent, |rules| Required::Rule(rule(rules)))
    }

    /// The handler of a view decodes its name, too.
    fn of_view(&self, segment: &str, rule: impl Fn(&ViewRules) -> &Rule) -> Required<'_> {
        let rules = decoded(segment).ok().and_then(|name| self.views.get(name.as_ref()));
        rules.map_or(Required::Nonexistent, |rules| Required::Rule(rule(rules)))
    }

    fn of_operators_or_routes(&self, method: &Method, segments: &[&str]) -> Required<'_> {
        // A HEAD request gets the answer of a GET request without its body.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        if let Some((_, rule)) = self.operators.iter().find(|(path, _)| path.method == *method && path.fits(segments)) {
            return Required::Whole(rule);
        }
        let is_get = method == Method::GET;
        let route = self.routes.iter().find(|route| route.is_get == is_get && route.address.fits(segments));
        route.and_then(|route| route.rule.as_ref()).map_or(Required::Unknown, Required::Whole)
    }
}

/// The commands that clients may send.
fn commands<A: Aggregate>() -> impl Iterator<Item = &'static &'static str> {
    let variants = variant_names::<A::Command>().unwrap_or_default();
    variants.iter().filter(|variant| !A::INTERNAL_COMMANDS.contains(variant))
}

/// All names that a line of the permissions may have.
#[derive(Clone, Debug, Default)]
pub(crate) struct PermissionNames {
    commands: BTreeSet<String>,
    queries: BTreeSet<String>,
    admin: BTreeSet<String>,
    /// Those of routes: what a route does is not known here.
    routes: BTreeSet<String>,
}

impl PermissionNames {
    /// The names that every application has.
    pub(crate) fn common() -> Self {
        let queries = [LOG, OVERVIEW, OPERATION].map(str::to_owned);
        let admin = openapi::operator_paths().into_iter().map(|path| path.permission);
        Self { queries: queries.into(), admin: admin.collect(), ..Self::default() }
    }

    pub(crate) fn aggregate<A: Aggregate>(mut self) -> Self {
        self.commands.extend(commands::<A>().flat_map(|name| [(*name).to_owned(), format!("{}.{name}", A::TYPE)]));
        self.queries.extend(["state", "events", "outcome"].map(|name| format!("{}.{name}", A::TYPE)));
        self
    }

    pub(crate) fn projection<P: Projection>(mut self) -> Self {
        self.queries.extend([P::query_one().into_owned(), P::query_all().into_owned()]);
        self
    }

    pub(crate) fn route(mut self, route: &Route) -> Self {
        let names = if route.is_get() { &mut self.queries } else { &mut self.commands };
        names.extend(route.permission_name().map(str::to_owned));
        self.routes.extend(route.permission_name().map(str::to_owned));
        self
    }

    /// Whether something with this name can belong to a subject: commands, aggregates, documents of views, operations.
    pub(crate) fn can_be_own(&self, section: Section, name: &str) -> bool {
        section != Section::Admin && name != LOG && name != OVERVIEW && !self.routes.contains(name)
    }

    /// Whether there is something with this name.
    pub(crate) fn has(&self, section: Section, name: &str) -> bool {
        self.of(section).contains(name)
    }

    /// The names of a section, each thing once: a command has its name with its aggregate type.
    pub(crate) fn listed(&self, section: Section) -> impl Iterator<Item = &str> {
        let names = self.of(section);
        let is_short =
            move |name: &str| names.iter().any(|other| other.split_once('.').is_some_and(|(_, end)| end == name));
        names.iter().map(String::as_str).filter(move |name| section != Section::Commands || !is_short(name))
    }

    fn of(&self, section: Section) -> &BTreeSet<String> {
        match section {
            Section::Commands => &self.commands,
            Section::Queries => &self.queries,
            Section::Admin => &self.admin,
        }
    }
}
