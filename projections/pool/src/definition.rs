//! The definition of a view: its name, its version, its declared fields, and the names of its queries.

use std::borrow::Cow;

use dormouse_encryption::{PersonalFields, SchemaError};

use crate::fields::{Field, Fields, Kind};
use crate::limits::{FIELD_CHARS, NAME_CHARS};
use crate::projection::Projection;
use crate::sources::Sources;
use crate::store::BuildNumber;

/// A view as its store knows it. All names are checked, so that they can be used in SQL as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    name: &'static str,
    version: u32,
    sources: Vec<&'static str>,
    fields: Fields,
    /// The same fields as the store has them.
    stored_fields: Fields,
    relation: String,
    query_one: Cow<'static, str>,
    query_all: Cow<'static, str>,
    owner_field: Option<&'static str>,
}

/// Why a projection cannot be run. Each is a mistake in its code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// The name is not allowed.
    #[error(
        "projection {name:?}: a name is lower-case words with dashes, each beginning with a letter, at most {NAME_CHARS} characters"
    )]
    Name {
        /// The name.
        name: &'static str,
    },
    /// A declared field is not allowed.
    #[error("projection {projection}: the field {path:?} {problem}")]
    Field {
        /// The projection.
        projection: &'static str,
        /// The field.
        path: &'static str,
        /// What is wrong, as the end of a sentence.
        problem: String,
    },
    /// The projection names no aggregate type.
    #[error("projection {projection} has no sources")]
    NoSources {
        /// The projection.
        projection: &'static str,
    },
    /// The projection names an aggregate type twice.
    #[error("projection {projection} names the aggregate type {aggregate} twice")]
    DuplicateSource {
        /// The projection.
        projection: &'static str,
        /// The aggregate type.
        aggregate: &'static str,
    },
    /// The events of an aggregate cannot be decoded by name.
    #[error("projection {projection}: the events of {aggregate} are not an enum: {reason}")]
    NotAnEnum {
        /// The projection.
        projection: &'static str,
        /// The aggregate type.
        aggregate: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// The personal fields of the documents cannot be found.
    #[error("projection {projection}: the personal fields of its documents: {reason}")]
    Personal {
        /// The projection.
        projection: &'static str,
        /// What is wrong with their JSON schema.
        reason: SchemaError,
    },
    /// Two projections have the same name.
    #[error("there are two projections {projection}")]
    Duplicate {
        /// The name.
        projection: &'static str,
    },
}

impl Definition {
    /// The definition of `P`.
    ///
    /// # Errors
    /// If its name or a declared field is not allowed, or the schema of its documents is wrong.
    pub fn of<P: Projection>() -> Result<Self, DefinitionError> {
        Ok(Self::with_personal::<P>()?.0)
    }

    /// The definition of `P`, and the personal fields of its documents.
    pub(crate) fn with_personal<P: Projection>() -> Result<(Self, PersonalFields), DefinitionError> {
        let personal = PersonalFields::of::<P::Document>()
            .map_err(|reason| DefinitionError::Personal { projection: P::NAME, reason })?;
        let (name, fields) = (P::NAME, P::fields());
        if !is_name(name) {
            return Err(DefinitionError::Name { name });
        }
        let mut paths: Vec<&str> = Vec::new();
        for field in fields.iter() {
            let path = field.path;
            let refused = |problem: String| DefinitionError::Field { projection: name, path, problem };
            if !is_path(path) {
                return Err(refused(format!(
                    "is not made of letters, digits and underscores with dots between them, at most {FIELD_CHARS} characters"
                )));
            }
            // The names of indexes ignore case and have no dots.
            if paths.iter().any(|known| folded(known) == folded(path)) {
                return Err(refused("is declared twice, or differs from another one only in case or dots".to_owned()));
            }
            paths.push(path);
        }
        let fields = fields.map(|field| Field { is_personal: is_personal(&personal, field.path), ..field });
        let owner_field = P::owner_field();
        if let Some(path) = owner_field
            && fields.iter().any(|field| field.path == path && field.is_personal)
        {
            let problem = "is that of the owner, so it must not be personal: use an id".to_owned();
            return Err(DefinitionError::Field { projection: name, path, problem });
        }
        if let Some(path) = owner_field
            && !fields.iter().any(|field| field.path == path && field.kind == Kind::Text)
        {
            let problem = "is that of the owner, but is no declared field with text".to_owned();
            return Err(DefinitionError::Field { projection: name, path, problem });
        }
        let (query_one, query_all) = (P::query_one(), P::query_all());
        let sources = Sources::<P>::aggregate_types();
        let definition = Self {
            name,
            version: P::VERSION,
            sources,
            stored_fields: fields.clone(),
            fields,
            relation: relation(name),
            query_one,
            query_all,
            owner_field,
        };
        Ok((definition, personal))
    }

    /// The name of the projection and of its view.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The version of its code.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The aggregate types whose events it reads.
    #[must_use]
    pub fn sources(&self) -> &[&'static str] {
        &self.sources
    }

    /// The declared fields.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The declared fields as the store has them.
    pub(crate) fn stored_fields(&self) -> &Fields {
        &self.stored_fields
    }

    /// The same view, whose documents are sealed before they are stored.
    pub(crate) fn sealed(self) -> Self {
        let stored_fields = self.fields.clone().map(|field| if field.is_personal { field.hashed() } else { field });
        Self { stored_fields, ..self }
    }

    /// The name under which SQL shows the build that is served: `view_`, then the name with underscores.
    #[must_use]
    pub fn relation(&self) -> &str {
        &self.relation
    }

    /// The name of the query for one document, in metrics and permissions.
    #[must_use]
    pub fn query_one(&self) -> &str {
        &self.query_one
    }

    /// The name of the query for a list.
    #[must_use]
    pub fn query_all(&self) -> &str {
        &self.query_all
    }

    /// The field with the subject to whom a document belongs, if documents belong to subjects.
    #[must_use]
    pub fn owner_field(&self) -> Option<&'static str> {
        self.owner_field
    }

    /// The table of a build.
    pub(crate) fn table(&self, build: BuildNumber) -> String {
        format!("{}_{}", self.relation, build.0)
    }
}

/// The name in SQL of a view.
pub(crate) fn relation(name: &str) -> String {
    format!("view_{}", name.replace('-', "_"))
}

fn is_name(name: &str) -> bool {
    // A word does not begin with a digit: `view_orders_2` is the table of build 2 of `orders`, so no view is called
    // `orders-2`.
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= NAME_CHARS && name.split('-').all(is_word)
}

/// Whether the values of a field are sealed, alone or with what they are within.
fn is_personal(personal: &PersonalFields, path: &str) -> bool {
    if personal.is_empty() {
        return false;
    }
    let with_a_value = path.rsplit('.').fold("0".to_owned(), |inner, name| format!("{{\"{name}\":{inner}}}"));
    personal.has_values_json(&with_a_value).is_ok_and(|has| has)
}

fn is_path(path: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    path.len() <= FIELD_CHARS && path.split('.').all(is_name)
}

/// The path of a field in the name of its index.
pub(crate) fn folded(path: &str) -> String {
    path.to_ascii_lowercase().replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OrderTotals;

    impl Projection for OrderTotals {
        const NAME: &'static str = "order-totals";
        type Document = u64;

        fn sources(sources: Sources<Self>) -> Sources<Self> {
            sources
        }
    }

    /// Its name is a plural that is not made with an `s`.
    struct People;

    impl Projection for People {
        const NAME: &'static str = "people";
        type Document = String;

        fn sources(sources: Sources<Self>) -> Sources<Self> {
            sources
        }

        fn query_one() -> Cow<'static, str> {
            "GetPerson".into()
        }
    }

    #[test]
    fn queries_are_named_after_the_projection_unless_it_says_otherwise() {
        let totals = Definition::of::<OrderTotals>().unwrap();
        assert_eq!((totals.query_one(), totals.query_all()), ("GetOrderTotals", "GetAllOrderTotals"));
        let people = Definition::of::<People>().unwrap();
        assert_eq!((people.query_one(), people.query_all()), ("GetPerson", "GetAllPeople"));
    }

    #[test]
    fn names_are_lower_case_words() {
        for name in ["orders", "order-totals", "v2"] {
            assert!(is_name(name), "{name}");
        }
        for name in
            ["", "Orders", "order_totals", "-a", "a-", "a--b", "2a", "orders-2", "a;drop", "größe", &"a".repeat(25)]
        {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn paths_are_names_with_dots() {
        for path in ["status", "customer.email", "_x", "totalCents", "a1.b2.c3"] {
            assert!(is_path(path), "{path}");
        }
        for path in ["", ".", "a.", ".a", "a..b", "1a", "a b", "a'b", "a\"b", "a$", &"a".repeat(25)] {
            assert!(!is_path(path), "{path}");
        }
    }
}
