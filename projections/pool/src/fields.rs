//! What of a document can be filtered and sorted by.

/// The declared fields of a view: each becomes a column with an index.
///
/// ```
/// use dormouse_projections::Fields;
///
/// Fields::none().text("status").text("customer.email").integer("total_cents");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<Field>);

/// A declared field. In a document it holds what it should, or null, or is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it is in the document: names with dots between them, as they stand in its JSON.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a field holds, which decides how it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, by code points. Also times, if they are all written in one way. The first 400 characters count: texts that
    /// begin alike for so long are equal in lists.
    Text,
    /// Whole numbers of 64 bits, with a sign or without: from -2^63 to 2^64 - 1.
    Integer,
    /// Numbers with a fraction.
    Real,
    /// True or false.
    Boolean,
}

impl Fields {
    /// Only reading by key.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// A field with text.
    #[must_use]
    pub fn text(self, path: &'static str) -> Self {
        self.and(path, Kind::Text)
    }

    /// A field with whole numbers.
    #[must_use]
    pub fn integer(self, path: &'static str) -> Self {
        self.and(path, Kind::Integer)
    }

    /// A field with numbers that have a fraction.
    #[must_use]
    pub fn real(self, path: &'static str) -> Self {
        self.and(path, Kind::Real)
    }

    /// A field that is true or false.
    #[must_use]
    pub fn boolean(self, path: &'static str) -> Self {
        self.and(path, Kind::Boolean)
    }

    /// All of them, in the order in which they were declared.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }

    fn and(mut self, path: &'static str, kind: Kind) -> Self {
        self.0.push(Field { path, kind });
        self
    }
}
