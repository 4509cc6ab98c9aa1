//! The declared fields of documents, which lists are filtered and sorted by.

/// The member of a stored document with the hashes of its personal values, by the paths of their fields. It is the
/// first one, and readers do not see it.
pub(crate) const HASHES: &str = "$hashes";

/// The declared fields of a view: each becomes a column with an index.
///
/// ```
/// use dormouse_projections::Fields;
///
/// Fields::none().text("status").text("customer.email").integer("total_cents");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<Field>);

/// A declared field. In a document it contains a value of its kind, or null, or is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The path in the document: the names in its JSON, with dots between them.
    pub path: &'static str,
    /// The kind of its values.
    pub kind: Kind,
    /// Whether its values are about a person: it is a [`Personal`](dormouse_kernel::Personal) field, or within one.
    /// Lists can be filtered only by values that it equals, and cannot be sorted by it.
    pub is_personal: bool,
    /// Whether its column has the hashes of its values, and not the values.
    pub(crate) is_hashed: bool,
}

impl Field {
    /// The same field as a store has it, if its values are sealed.
    pub(crate) const fn hashed(self) -> Self {
        Self { kind: Kind::Text, is_hashed: true, ..self }
    }

    /// The names that lead to its values in a stored document.
    pub(crate) fn steps(self) -> impl Iterator<Item = &'static str> {
        // A hash has the whole path as its name.
        let between: &[char] = if self.is_hashed { &[] } else { &['.'] };
        self.is_hashed.then_some(HASHES).into_iter().chain(self.path.split(between))
    }
}

/// The kind of the values of a field, which decides how they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, compared by code points. Also times, if all have the same format. Only the first 400 characters are
    /// compared: texts with the same first 400 characters are equal in lists.
    Text,
    /// Whole numbers of 64 bits, signed or unsigned: from -2^63 to 2^64 - 1.
    Integer,
    /// Numbers with a fraction.
    Real,
    /// True or false.
    Boolean,
}

impl Fields {
    /// No fields: documents are read by key only.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds a field with text.
    #[must_use]
    pub fn text(self, path: &'static str) -> Self {
        self.and(path, Kind::Text)
    }

    /// Adds a field with whole numbers.
    #[must_use]
    pub fn integer(self, path: &'static str) -> Self {
        self.and(path, Kind::Integer)
    }

    /// Adds a field with numbers that have a fraction.
    #[must_use]
    pub fn real(self, path: &'static str) -> Self {
        self.and(path, Kind::Real)
    }

    /// Adds a field that is true or false.
    #[must_use]
    pub fn boolean(self, path: &'static str) -> Self {
        self.and(path, Kind::Boolean)
    }

    /// All fields, in the order in which they were declared.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }

    fn and(mut self, path: &'static str, kind: Kind) -> Self {
        self.0.push(Field { path, kind, is_personal: false, is_hashed: false });
        self
    }

    /// The same fields, each changed.
    pub(crate) fn map(self, change: impl FnMut(Field) -> Field) -> Self {
        Self(self.0.into_iter().map(change).collect())
    }
}
