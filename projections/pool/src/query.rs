//! Lists of documents: queries, which are checked against the declared fields of the view, and the pages that they
//! find.

mod filter;

use dormouse_kernel::Position;

use crate::definition::Definition;
use crate::fields::{Field, Kind};
use crate::key::Key;
use crate::limits::{FILTERS, PAGE_BYTES, SORT_FIELDS};
use crate::store::Row;
pub use filter::{Filter, Test, Value};

/// A query for a list of documents. It matches its view: all fields are declared, and all values are of their kinds.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    filters: Vec<Filter>,
    sort: Vec<Sort>,
    limit: usize,
    bytes: usize,
    after: Option<Place>,
    counts: bool,
}

/// A field that a list is sorted by. Documents without the field come first, or last if the order descends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The field.
    pub field: Field,
    /// Whether the largest value comes first.
    pub is_descending: bool,
}

/// A place in a sorted list: directly after a document, whether the document still exists or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The values that the document had in the fields that the list is sorted by.
    pub values: Vec<Option<Value>>,
    /// The key of the document.
    pub key: Key,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The documents, in order.
    pub rows: Vec<Row>,
    /// The position of the view.
    pub at: Position,
    /// The number of documents that match the filters, on all pages. Only if the query counts.
    pub total: Option<u64>,
    /// The place where the next page begins. `None`: this is the last page.
    pub next: Option<Place>,
}

/// Why a query does not match its view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The view does not declare such a field.
    #[error("the field {path:?} is not declared; declared are: {}", declared(known))]
    UndeclaredField {
        /// The path in the query.
        path: String,
        /// The declared paths.
        known: Vec<&'static str>,
    },
    /// The value is of another kind than the field.
    #[error("the field {path:?} contains {}, and {given:?} is of another kind", kind.plural())]
    WrongKind {
        /// The field.
        path: &'static str,
        /// The kind of the field.
        kind: Kind,
        /// The value in the query.
        given: String,
    },
    /// A prefix is compared with a field that is not text.
    #[error("the field {path:?} contains {}, which have no prefix", kind.plural())]
    NoPrefix {
        /// The field.
        path: &'static str,
        /// The kind of the field.
        kind: Kind,
    },
    /// The values of the field are sealed, so that they can only be compared for equality.
    #[error(
        "the field {path:?} is personal: its values are stored encrypted, so lists cannot be sorted by it, and can be \
         filtered only by values that it equals (one of them, or a list)"
    )]
    Personal {
        /// The field.
        path: &'static str,
    },
    /// The query sorts by the same field twice.
    #[error("the list is sorted by {path:?} twice")]
    SortedTwice {
        /// The field.
        path: &'static str,
    },
    /// The query exceeds a limit.
    #[error("at most {most} {what} are allowed")]
    TooMany {
        /// What is limited.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// The place belongs to a list with another order.
    #[error("the cursor is of another list: it must be used with the filters and the order it came from")]
    ForeignPlace,
}

impl Query {
    /// All documents, by key, at most `limit` of them on a page. The limit is between one and four billion.
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

    /// Adds a filter. Documents must match all filters.
    ///
    /// # Errors
    /// If the field is not declared or is of another kind, if it is personal and the test is another one than
    /// [`Equal`](Test::Equal) or [`In`](Test::In), or if the query has too many filters or values.
    pub fn filter(mut self, view: &Definition, path: &str, test: Test) -> Result<Self, QueryError> {
        let field = view.field(path)?;
        test.check(field)?;
        if self.filters.len() == FILTERS {
            return Err(QueryError::TooMany { what: "filters", most: FILTERS });
        }
        self.filters.push(Filter { field, test: test.compared() });
        Ok(self)
    }

    /// Adds a field to sort by, after those that were added before. The key comes last.
    ///
    /// # Errors
    /// If the field is not declared or is personal, or the query sorts by it already or by too many fields.
    pub fn sort(mut self, view: &Definition, path: &str, is_descending: bool) -> Result<Self, QueryError> {
        let field = view.field(path)?;
        if field.is_personal {
            return Err(QueryError::Personal { path: field.path });
        }
        if self.sort.iter().any(|sort| sort.field == field) {
            return Err(QueryError::SortedTwice { path: field.path });
        }
        if self.sort.len() == SORT_FIELDS {
            return Err(QueryError::TooMany { what: "fields to sort by", most: SORT_FIELDS });
        }
        self.sort.push(Sort { field, is_descending });
        Ok(self)
    }

    /// Only documents after this place. Call [`sort`](Self::sort) first.
    ///
    /// # Errors
    /// If the place does not belong to a list with this order.
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

    /// Limits the bytes of the documents on a page, which is 1 MiB by default. A page ends before the document that
    /// exceeds it; the first document is returned whatever its size.
    #[must_use]
    pub fn page_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Counts all documents that match the filters. The time for it grows with their number.
    #[must_use]
    pub fn counting(mut self) -> Self {
        self.counts = true;
        self
    }

    /// The same query with other filters.
    pub(crate) fn with_filters(&self, filters: Vec<Filter>) -> Self {
        Self { filters, ..self.clone() }
    }

    /// The filters, all of which documents must match.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The fields that the list is sorted by. The key orders documents with equal fields.
    #[must_use]
    pub fn sorted_by(&self) -> &[Sort] {
        &self.sort
    }

    /// Whether keys descend. They do if the last field that the list is sorted by descends, so that one index serves
    /// both.
    #[must_use]
    pub fn keys_descend(&self) -> bool {
        self.sort.last().is_some_and(|sort| sort.is_descending)
    }

    /// The largest number of documents on a page.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place after which the page begins. `None`: at the beginning of the list.
    #[must_use]
    pub fn begins_after(&self) -> Option<&Place> {
        self.after.as_ref()
    }

    /// Whether all matching documents are counted.
    #[must_use]
    pub fn is_counting(&self) -> bool {
        self.counts
    }

    /// A text that is different for queries whose results may differ. The order of filters makes no difference.
    pub(crate) fn canonical(&self) -> String {
        // Every field: a field that is added later must be part of the text.
        let Self { filters, sort, limit, bytes, after, counts } = self;
        let mut filters: Vec<String> = filters.iter().map(|filter| format!("{filter:?}")).collect();
        filters.sort_unstable();
        filters.dedup();
        format!("{filters:?} {sort:?} {limit} {bytes} {after:?} {counts}")
    }
}

impl Page {
    /// The page of a list of documents, with the values that they are sorted by. There is another page if the list has
    /// one document more than the limit, or `None` for a document that has no room.
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

impl Definition {
    /// The declared field with this path.
    fn field(&self, path: &str) -> Result<Field, QueryError> {
        let found = self.fields().iter().find(|field| field.path == path);
        found.copied().ok_or_else(|| QueryError::UndeclaredField {
            path: path.to_owned(),
            known: self.fields().iter().map(|field| field.path).collect(),
        })
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

fn declared(known: &[&str]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}
