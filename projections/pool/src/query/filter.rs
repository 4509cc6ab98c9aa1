//! The filters of a list: tests of fields, and the values that fields are compared with.

use std::cmp::Ordering;

use super::QueryError;
use crate::fields::{Field, Kind};
use crate::limits::{TEXT_CHARS, VALUES};

/// A filter of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The field that is tested.
    pub field: Field,
    /// The test that its value must pass.
    pub test: Test,
}

/// A test of a field. A field that is missing in a document, null, or of another kind equals nothing: it is
/// [`NotEqual`](Self::NotEqual) to everything, and passes no other test.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The field equals the value.
    Equal(Value),
    /// The field differs from the value, or is missing.
    NotEqual(Value),
    /// The field is smaller than the value.
    Less(Value),
    /// The field is smaller than or equal to the value.
    AtMost(Value),
    /// The field is larger than the value.
    Greater(Value),
    /// The field is larger than or equal to the value.
    AtLeast(Value),
    /// The field equals one of the values.
    In(Vec<Value>),
    /// The field begins with the prefix. Only for text.
    Prefix(String),
}

/// A value that a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, compared by code points.
    Text(String),
    /// A whole number that a `u64` or an `i64` can hold.
    Integer(i128),
    /// A finite number; both zeros are equal.
    Real(f64),
    /// True or false; false is smaller.
    Boolean(bool),
}

impl Test {
    /// The same test, with the part of each text that is compared.
    pub(super) fn compared(self) -> Self {
        match self {
            Self::Equal(value) => Self::Equal(value.compared()),
            Self::NotEqual(value) => Self::NotEqual(value.compared()),
            Self::Less(value) => Self::Less(value.compared()),
            Self::AtMost(value) => Self::AtMost(value.compared()),
            Self::Greater(value) => Self::Greater(value.compared()),
            Self::AtLeast(value) => Self::AtLeast(value.compared()),
            Self::In(values) => Self::In(values.into_iter().map(Value::compared).collect()),
            Self::Prefix(prefix) => Self::Prefix(beginning(prefix)),
        }
    }

    pub(super) fn check(&self, field: Field) -> Result<(), QueryError> {
        if field.is_personal && !matches!(self, Self::Equal(_) | Self::In(_)) {
            return Err(QueryError::Personal { path: field.path });
        }
        let values = match self {
            Self::Equal(value)
            | Self::NotEqual(value)
            | Self::Less(value)
            | Self::AtMost(value)
            | Self::Greater(value)
            | Self::AtLeast(value) => std::slice::from_ref(value),
            Self::In(values) if values.len() > VALUES => {
                return Err(QueryError::TooMany { what: "values", most: VALUES });
            }
            Self::In(values) => values,
            Self::Prefix(_) if field.kind != Kind::Text => {
                return Err(QueryError::NoPrefix { path: field.path, kind: field.kind });
            }
            Self::Prefix(_) => &[],
        };
        match values.iter().find(|value| !value.fits(field.kind)) {
            Some(value) => {
                Err(QueryError::WrongKind { path: field.path, kind: field.kind, given: format!("{value:?}") })
            }
            None => Ok(()),
        }
    }

    /// Whether the matching documents are one range of an index.
    pub(crate) fn has_range(&self) -> bool {
        !matches!(self, Self::NotEqual(_))
    }
}

impl Value {
    /// Parses a text as a value of this kind.
    #[must_use]
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        match kind {
            Kind::Text => Some(Self::Text(text.to_owned())),
            Kind::Integer => text.parse().ok().map(Self::Integer).filter(|number| number.fits(kind)),
            Kind::Real => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Real),
            Kind::Boolean => text.parse().ok().map(Self::Boolean),
        }
    }

    /// The part of the value that is compared.
    pub(crate) fn compared(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(beginning(text)),
            other => other,
        }
    }

    /// The kind of field that the value can be compared with.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Integer(_) => Kind::Integer,
            Self::Real(_) => Kind::Real,
            Self::Boolean(_) => Kind::Boolean,
        }
    }

    /// Whether the value can be compared with fields of a kind. JSON has no NaN and no infinities.
    pub(super) fn fits(&self, kind: Kind) -> bool {
        let is_within_bounds = match self {
            Self::Integer(number) => (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(number),
            Self::Real(number) => number.is_finite(),
            Self::Text(_) | Self::Boolean(_) => true,
        };
        self.kind() == kind && is_within_bounds
    }

    /// Compares two values of one kind.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Integer(one), Self::Integer(other)) => one.cmp(other),
            // Both zeros are equal. All other numbers are comparable, because a query refuses NaN.
            (Self::Real(one), Self::Real(other)) => one.partial_cmp(other).unwrap_or_else(|| one.total_cmp(other)),
            (Self::Boolean(one), Self::Boolean(other)) => one.cmp(other),
            _ => unreachable!("a query compares values of one kind"),
        }
    }
}

/// The beginning of a text, which lists compare.
fn beginning(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS) {
        text.truncate(end);
    }
    text
}
