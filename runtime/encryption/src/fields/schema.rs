//! Compiles a JSON schema into the places of personal values.
//!
//! A schema is a graph: references may lead back, and a value may have several schemas at once (`allOf`), or one of
//! several (`anyOf`). As with regular expressions, a first step makes nodes of the graph, and a second one makes
//! states, each of which stands for a set of nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dormouse_kernel::PERSONAL_EXTENSION;
use serde_json::{Map, Value};

use super::{State, StateId};

/// A schema from which no personal fields can be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A reference leads nowhere.
    #[error("the schema has the reference {0:?}, which leads nowhere")]
    Reference(String),
    /// A place is personal in one variant of an enum, and not in another. When the value is read back, nobody could
    /// tell which it was: a forgotten value would take the place of one that is not personal.
    #[error(
        "the schema at {0:?} is not personal, but another variant has a personal value there: \
         name one of them otherwise"
    )]
    Ambiguous(String),
    /// The names of fields cannot be sealed.
    #[error("the schema at {0:?} has personal keys of an object: use them as values")]
    PersonalKeys(String),
}

pub(super) fn compile(schema: &Value) -> Result<(Vec<State>, Option<StateId>), SchemaError> {
    let mut graph = Graph { schema, nodes: Vec::new(), known: HashMap::new() };
    let root = graph.node(String::new())?;
    let mut states = States { nodes: &graph.nodes, states: Vec::new(), known: BTreeMap::new() };
    let root = states.state(BTreeSet::from([root]))?;
    let mut states = states.states;
    let useful = useful(&states);
    let keep = |state: Option<StateId>| state.filter(|state| useful[*state]);
    for state in &mut states {
        state.fields.values_mut().for_each(|field| *field = keep(*field));
        state.first_elements.iter_mut().for_each(|element| *element = keep(*element));
        state.other_fields = keep(state.other_fields);
        state.other_elements = keep(state.other_elements);
    }
    Ok((states, keep(root)))
}

/// What one schema says, without those that it refers to.
#[derive(Debug, Default)]
struct Node {
    pointer: String,
    is_personal: bool,
    /// There are values other than null that have this schema.
    has_values: bool,
    /// Schemas of the same value.
    same: Vec<usize>,
    fields: BTreeMap<String, usize>,
    other_fields: Vec<usize>,
    first_elements: Vec<usize>,
    other_elements: Vec<usize>,
}

struct Graph<'s> {
    schema: &'s Value,
    nodes: Vec<Node>,
    /// The nodes by the JSON pointers of their schemas.
    known: HashMap<String, usize>,
}

impl Graph<'_> {
    fn node(&mut self, pointer: String) -> Result<usize, SchemaError> {
        if let Some(known) = self.known.get(&pointer) {
            return Ok(*known);
        }
        let schema = self.schema.pointer(&pointer).ok_or_else(|| SchemaError::Reference(pointer.clone()))?;
        let id = self.nodes.len();
        self.nodes.push(Node::default());
        self.known.insert(pointer.clone(), id);
        self.nodes[id] = match schema {
            Value::Object(schema) => self.read(schema, pointer)?,
            // `true` permits everything.
            schema => Node { pointer, has_values: *schema == Value::Bool(true), ..Node::default() },
        };
        Ok(id)
    }

    fn read(&mut self, schema: &Map<String, Value>, pointer: String) -> Result<Node, SchemaError> {
        let is_personal = schema.get(PERSONAL_EXTENSION) == Some(&Value::Bool(true));
        let mut node = Node { is_personal, has_values: has_values(schema), ..Node::default() };
        for (keyword, value) in schema {
            let at = format!("{pointer}/{}", escaped(keyword));
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef", Value::String(reference)) => node.same.push(self.referred(reference)?),
                ("anyOf" | "oneOf" | "allOf", Value::Array(all)) => node.same.extend(self.list(&at, all.len())?),
                ("if" | "then" | "else", _) => node.same.push(self.node(at)?),
                ("dependentSchemas", Value::Object(all)) => node.same.extend(self.object(&at, all)?.into_values()),
                ("properties", Value::Object(all)) => node.fields.extend(self.object(&at, all)?),
                ("patternProperties", Value::Object(all)) => {
                    node.other_fields.extend(self.object(&at, all)?.into_values());
                }
                ("additionalProperties" | "unevaluatedProperties", _) => node.other_fields.push(self.node(at)?),
                ("prefixItems", Value::Array(all)) => node.first_elements.extend(self.list(&at, all.len())?),
                // As lists were described before the draft of 2020.
                ("items", Value::Array(all)) => node.first_elements.extend(self.list(&at, all.len())?),
                ("items" | "additionalItems" | "unevaluatedItems" | "contains", _) => {
                    node.other_elements.push(self.node(at)?);
                }
                ("propertyNames", _) => {
                    let names = self.node(at)?;
                    if self.is_personal(names, &mut BTreeSet::new()) {
                        return Err(SchemaError::PersonalKeys(pointer));
                    }
                }
                _ => {}
            }
        }
        node.pointer = pointer;
        Ok(node)
    }

    fn list(&mut self, pointer: &str, length: usize) -> Result<Vec<usize>, SchemaError> {
        (0..length).map(|index| self.node(format!("{pointer}/{index}"))).collect()
    }

    fn object(&mut self, pointer: &str, all: &Map<String, Value>) -> Result<BTreeMap<String, usize>, SchemaError> {
        all.keys().map(|key| Ok((key.clone(), self.node(format!("{pointer}/{}", escaped(key)))?))).collect()
    }

    /// A reference is a JSON pointer after `#`, in which some characters are percent-encoded.
    fn referred(&mut self, reference: &str) -> Result<usize, SchemaError> {
        let broken = || SchemaError::Reference(reference.to_owned());
        let encoded = reference.strip_prefix('#').ok_or_else(broken)?;
        let mut bytes = Vec::with_capacity(encoded.len());
        let mut rest = encoded.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit().ok_or_else(broken)?, digit().ok_or_else(broken)?);
            bytes.push(u8::try_from(high * 16 + low).map_err(|_| broken())?);
        }
        self.node(String::from_utf8(bytes).map_err(|_| broken())?).map_err(|_| broken())
    }

    fn is_personal(&self, node: usize, seen: &mut BTreeSet<usize>) -> bool {
        let found = &self.nodes[node];
        seen.insert(node) && (found.is_personal || found.same.iter().any(|same| self.is_personal(*same, seen)))
    }
}

/// Whether a schema itself, without those that it refers to, is that of values other than null.
fn has_values(schema: &Map<String, Value>) -> bool {
    let refers = ["$ref", "$dynamicRef", "anyOf", "oneOf", "allOf"].iter().any(|keyword| schema.contains_key(*keyword));
    match schema.get("type") {
        Some(only) => only != "null",
        None => match schema.get("const") {
            Some(only) => !only.is_null(),
            None => !refers,
        },
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A state for each set of nodes that a value can have.
struct States<'g> {
    nodes: &'g [Node],
    states: Vec<State>,
    known: BTreeMap<BTreeSet<usize>, StateId>,
}

impl States<'_> {
    fn state(&mut self, nodes: BTreeSet<usize>) -> Result<Option<StateId>, SchemaError> {
        let nodes = self.with_same(nodes);
        if nodes.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.known.get(&nodes) {
            return Ok(Some(*known));
        }
        let id = self.states.len();
        self.states.push(State::default());
        self.known.insert(nodes.clone(), id);
        let all: Vec<&Node> = nodes.iter().map(|node| &self.nodes[*node]).collect();
        self.states[id] = if all.iter().any(|node| node.is_personal) {
            if let Some(other) = all.iter().find(|node| !node.is_personal && node.has_values) {
                return Err(SchemaError::Ambiguous(other.pointer.clone()));
            }
            // What is inside is sealed with it.
            State { is_personal: true, ..State::default() }
        } else {
            self.inside(&all)?
        };
        Ok(Some(id))
    }

    fn inside(&mut self, all: &[&Node]) -> Result<State, SchemaError> {
        let names: BTreeSet<&String> = all.iter().flat_map(|node| node.fields.keys()).collect();
        let fields = names.into_iter().map(|name| {
            let of = |node: &&Node| match node.fields.get(name) {
                Some(field) => vec![*field],
                None => node.other_fields.clone(),
            };
            Ok((name.as_str().into(), self.state(all.iter().flat_map(of).collect())?))
        });
        let fields = fields.collect::<Result<_, SchemaError>>()?;
        let longest = all.iter().map(|node| node.first_elements.len()).max().unwrap_or(0);
        let first_elements = (0..longest).map(|index| {
            let of = |node: &&Node| match node.first_elements.get(index) {
                Some(element) => vec![*element],
                None => node.other_elements.clone(),
            };
            self.state(all.iter().flat_map(of).collect())
        });
        let first_elements = first_elements.collect::<Result<_, SchemaError>>()?;
        Ok(State {
            is_personal: false,
            fields,
            other_fields: self.state(all.iter().flat_map(|node| node.other_fields.clone()).collect())?,
            first_elements,
            other_elements: self.state(all.iter().flat_map(|node| node.other_elements.clone()).collect())?,
        })
    }

    /// The nodes, and those of the same value.
    fn with_same(&self, nodes: BTreeSet<usize>) -> BTreeSet<usize> {
        let mut open: Vec<usize> = nodes.into_iter().collect();
        let mut all = BTreeSet::new();
        while let Some(node) = open.pop() {
            // The two forms of a personal value are not looked at.
            if all.insert(node) && !self.nodes[node].is_personal {
                open.extend(&self.nodes[node].same);
            }
        }
        all
    }
}

/// Which states are personal, or lead to one that is.
fn useful(states: &[State]) -> Vec<bool> {
    let mut useful: Vec<bool> = states.iter().map(|state| state.is_personal).collect();
    loop {
        let before = useful.clone();
        for (id, state) in states.iter().enumerate() {
            let fields = state.fields.values().chain(&state.first_elements).copied();
            let mut next = fields.chain([state.other_fields, state.other_elements]).flatten();
            useful[id] = useful[id] || next.any(|next| before[next]);
        }
        if useful == before {
            return useful;
        }
    }
}
