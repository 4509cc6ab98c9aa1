//! Lists of documents: what is asked for, checked against what the view declares, and the page that comes of it.

use std::cmp::Ordering;

use dormouse_kernel::Position;

use crate::definition::Definition;
use crate::fields::{Field, Kind};
use crate::key::Key;
use crate::limits::{FILTERS, PAGE_BYTES, SORT_FIELDS, TEXT_CHARS, VALUES};
use crate::store::Row;

/// A question for a list of documents. It fits its view: fields are declared, and values are of their kinds.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    filters: Vec<Filter>,
    sort: Vec<Sort>,
    limit: usize,
    bytes: usize,
    after: Option<Place>,
    counts: bool,
}

/// A condition that documents must meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// What it looks at.
    pub field: Field,
    /// What must be true of it.
    pub test: Test,
}

/// What must be true of a field. A field that a document does not have, or that is null or of another kind there, equals
/// nothing: it is [`NotEqual`](Self::NotEqual) to everything, and meets no other test.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It is this.
    Equal(Value),
    /// It is not this.
    NotEqual(Value),
    /// It is smaller.
    Less(Value),
    /// It is not larger.
    AtMost(Value),
    /// It is larger.
    Greater(Value),
    /// It is not smaller.
    AtLeast(Value),
    /// It is one of these.
    In(Vec<Value>),
    /// It begins so. Only text does.
    Prefix(String),
}

/// What a field may be compared with.
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

/// What a list is sorted by. Documents without the field come first, or last if it descends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// What it looks at.
    pub field: Field,
    /// The largest first.
    pub is_descending: bool,
}

/// A place in a sorted list: right behind a document, whether it is still there or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// What the document has, or had, in the fields that the list is sorted by.
    pub values: Vec<Option<Value>>,
    /// Its key.
    pub key: Key,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The documents, in order.
    pub rows: Vec<Row>,
    /// How far the view was.
    pub at: Position,
    /// How many documents meet the filters, on this page or not. Only if that was asked for.
    pub total: Option<u64>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
}

/// Why a question does not fit its view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing is declared under that name.
    #[error("the field {path:?} is not declared; declared are: {}", declared(known))]
    UndeclaredField {
        /// What was named.
        path: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// The field is of another kind.
    #[error("the field {path:?} holds {}, and {given:?} is none", kind.plural())]
    WrongKind {
        /// The field.
        path: &'static str,
        /// What it holds.
        kind: Kind,
        /// What was to be compared with it.
        given: String,
    },
    /// Only text has a beginning.
    #[error("the field {path:?} holds {}, which have no prefix", kind.plural())]
    NoPrefix {
        /// The field.
        path: &'static str,
        /// What it holds.
        kind: Kind,
    },
    /// The list is sorted by it already.
    #[error("the list is sorted by {path:?} twice")]
    SortedTwice {
        /// The field.
        path: &'static str,
    },
    /// There is a limit to everything.
    #[error("at most {most} {what} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        most: usize,
    },
    /// The place is none in a list that is sorted so.
    #[error("the cursor is of another list: it must be used with the filters and the order it came from")]
    ForeignPlace,
}

/// The part of a text that lists compare.
fn beginning(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS) {
        text.truncate(end);
    }
    text
}

fn declared(known: &[&str]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

impl Query {
    /// All documents, by key, at most `limit` of them on a page (at least one, and no more than four billion).
    #[must_use]
    pub fn all(limit: usize) -> Self {
        Self {
            filters: Vec::new(),
            sort: Vec::new(),
            limit: limit.clamp(1, u32::MAX as usize),
            bytes: PAGE_BYTES,
            after: None,
            counts: false,
        }
    }

    /// Only documents that meet this, too.
    ///
    /// # Errors
    /// If the field is not declared, or does not hold such values.
    pub fn filter(mut self, view: &Definition, path: &str, test: Test) -> Result<Self, QueryError> {
        let field = view.field(path)?;
        test.check(field)?;
        if self.filters.len() == FILTERS {
            return Err(QueryError::TooMany { what: "filters", most: FILTERS });
        }
        self.filters.push(Filter { field, test: test.compared() });
        Ok(self)
    }

    /// Sorted by this, then by what comes next, then by key.
    ///
    /// # Errors
    /// If the field is not declared, or sorted by already.
    pub fn sort(mut self, view: &Definition, path: &str, is_descending: bool) -> Result<Self, QueryError> {
        let field = view.field(path)?;
        if self.sort.iter().any(|sort| sort.field == field) {
            return Err(QueryError::SortedTwice { path: field.path });
        }
        if self.sort.len() == SORT_FIELDS {
            return Err(QueryError::TooMany { what: "fields to sort by", most: SORT_FIELDS });
        }
        self.sort.push(Sort { field, is_descending });
        Ok(self)
    }

    /// Only what comes behind this place. Say how it is sorted before.
    ///
    /// # Errors
    /// If no list that is sorted so has this place.
    pub fn after(mut self, mut place: Place) -> Result<Self, QueryError> {
        let fits =
            |(sort, value): (&Sort, &Option<Value>)| value.as_ref().is_none_or(|value| value.fits(sort.field.kind));
        let fits = self.sort.iter().zip(&place.values).all(fits) && place.key.problem().is_none();
        if place.values.len() != self.sort.len() || !fits {
            return Err(QueryError::ForeignPlace);
        }
        place.values = place.values.into_iter().map(|value| value.map(Value::compared)).collect();
        self.after = Some(place);
        Ok(self)
    }

    /// With at most so many bytes of documents on a page rather than 1 MiB. A page that reaches them ends early; one document
    /// is there whatever its size.
    #[must_use]
    pub fn page_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Counts all documents that meet the filters. That takes the longer the more they are.
    #[must_use]
    pub fn counting(mut self) -> Self {
        self.counts = true;
        self
    }

    /// What documents must meet, all of it.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// What they are sorted by; the key decides where that leaves it open.
    #[must_use]
    pub fn sorted_by(&self) -> &[Sort] {
        &self.sort
    }

    /// Whether keys descend: they do as the last field does that the list is sorted by, so that one index serves both.
    #[must_use]
    pub fn keys_descend(&self) -> bool {
        self.sort.last().is_some_and(|sort| sort.is_descending)
    }

    /// How many documents a page has at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the page begins.
    #[must_use]
    pub fn begins_after(&self) -> Option<&Place> {
        self.after.as_ref()
    }

    /// Whether all documents are counted.
    #[must_use]
    pub fn is_counting(&self) -> bool {
        self.counts
    }

    /// A text that tells queries apart if their answers may differ. The order of conditions makes no difference.
    pub(crate) fn canonical(&self) -> String {
        // Whatever else will be in a query must be in its text.
        let Self { filters, sort, limit, bytes, after, counts } = self;
        let mut filters: Vec<String> = filters.iter().map(|filter| format!("{filter:?}")).collect();
        filters.sort_unstable();
        filters.dedup();
        format!("{filters:?} {sort:?} {limit} {bytes} {after:?} {counts}")
    }
}

impl Page {
    /// The page that comes of documents with what they are sorted by, in order. One more than the limit allows, or one that
    /// has no room and comes without its content, says that there is another page.
    pub(crate) fn of(
        query: &Query,
        listed: impl Iterator<Item = Option<(Row, Vec<Option<Value>>)>>,
        at: Position,
        total: Option<u64>,
    ) -> Self {
        let (mut shown, mut has_more) = (Vec::new(), false);
        for listed in listed {
            match listed {
                Some(listed) if shown.len() < query.limit => shown.push(listed),
                _ => {
                    has_more = true;
                    break;
                }
            }
        }
        let place = |(row, values): &(Row, Vec<Option<Value>>)| Place { values: values.clone(), key: row.key.clone() };
        let next = shown.last().filter(|_| has_more).map(place);
        Self { rows: shown.into_iter().map(|(row, _)| row).collect(), at, total, next }
    }
}

impl Test {
    /// The same, with as much of each text as is compared.
    fn compared(self) -> Self {
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

    fn check(&self, field: Field) -> Result<(), QueryError> {
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
}

impl Test {
    /// Whether what meets it lies together in an index.
    pub(crate) fn has_range(&self) -> bool {
        !matches!(self, Self::NotEqual(_))
    }
}

impl Value {
    /// What a text says, as a value of this kind.
    #[must_use]
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        match kind {
            Kind::Text => Some(Self::Text(text.to_owned())),
            Kind::Integer => text.parse().ok().map(Self::Integer).filter(|number| number.fits(kind)),
            Kind::Real => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Real),
            Kind::Boolean => text.parse().ok().map(Self::Boolean),
        }
    }

    /// As much of it as is compared.
    pub(crate) fn compared(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(beginning(text)),
            other => other,
        }
    }

    /// The kind of field it can be compared with.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Integer(_) => Kind::Integer,
            Self::Real(_) => Kind::Real,
            Self::Boolean(_) => Kind::Boolean,
        }
    }

    /// Whether it can be compared with fields of a kind. NaN and the infinities are no numbers that JSON knows.
    fn fits(&self, kind: Kind) -> bool {
        let is_within_bounds = match self {
            Self::Integer(number) => (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(number),
            Self::Real(number) => number.is_finite(),
            Self::Text(_) | Self::Boolean(_) => true,
        };
        self.kind() == kind && is_within_bounds
    }

    /// How it compares to another of its kind.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Integer(one), Self::Integer(other)) => one.cmp(other),
            // Both zeros are one number. Others are always comparable: a query refuses what is no number.
            (Self::Real(one), Self::Real(other)) => one.partial_cmp(other).unwrap_or_else(|| one.total_cmp(other)),
            (Self::Boolean(one), Self::Boolean(other)) => one.cmp(other),
            _ => unreachable!("a query compares values of one kind"),
        }
    }
}

impl Kind {
    const fn plural(self) -> &'static str {
        match self {
            Self::Text => "texts",
            Self::Integer => "whole numbers",
            Self::Real => "numbers",
            Self::Boolean => "true or false",
        }
    }
}

impl Definition {
    /// The declared field of this name.
    fn field(&self, path: &str) -> Result<Field, QueryError> {
        let found = self.fields().iter().find(|field| field.path == path);
        found.copied().ok_or_else(|| QueryError::UndeclaredField {
            path: path.to_owned(),
            known: self.fields().iter().map(|field| field.path).collect(),
        })
    }
}
