//! A view with fields of all kinds, which tests fill, list and read page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, BuildNumber, Row};
use dormouse_projections::{
    Definition, Event, Fields, Key, Keys, Page, Place as Behind, Project, Projection, Query, Sources, Test, Value,
    ViewStore,
};
use serde_json::{Value as Json, json};

use crate::support::{Nothing, Place, begun, key, step};

/// A view with two fields of each kind, one of them within another.
pub(crate) struct Things;

impl Projection for Things {
    const NAME: &'static str = "things";
    const VERSION: u32 = 1;
    type Document = serde_json::Map<String, Json>;

    fn fields() -> Fields {
        let plain = Fields::none().text("name").integer("count").real("price").boolean("sold");
        plain.text("in.name").integer("in.count").real("in.deep_1.Price").boolean("in.deep_1.sold")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Nothing>()
    }
}

impl Project<Nothing> for Things {
    fn keys(_: &Event<'_, Nothing>) -> Keys {
        Keys::none()
    }

    fn project(current: Option<Self::Document>, _: &Event<'_, Nothing>, _: &Key) -> Option<Self::Document> {
        current
    }
}

/// A served build, and the documents that were put into it.
pub(crate) struct FilledView {
    pub(crate) store: Arc<dyn ViewStore>,
    pub(crate) view: Definition,
    pub(crate) build: BuildNumber,
    pub(crate) at: u64,
    pub(crate) documents: BTreeMap<String, Json>,
}

impl FilledView {
    pub(crate) async fn empty(place: &Place) -> Self {
        let (store, view) = (place.store().await, Definition::of::<Things>().unwrap());
        let build = begun(&store, &view).await;
        Self { store, view, build, at: 0, documents: BTreeMap::new() }
    }

    pub(crate) async fn with(place: &Place, documents: impl IntoIterator<Item = (impl Into<String>, Json)>) -> Self {
        let mut filled = Self::empty(place).await;
        filled.change(documents, []).await;
        filled
    }

    /// Documents with these values in a field, with numbers as keys.
    pub(crate) async fn of(place: &Place, field: &str, values: impl IntoIterator<Item = Json>) -> Self {
        let documents = values.into_iter().enumerate();
        Self::with(place, documents.map(|(number, value)| (format!("{number:03}"), json!({ field: value })))).await
    }

    pub(crate) async fn change(
        &mut self,
        documents: impl IntoIterator<Item = (impl Into<String>, Json)>,
        gone: impl IntoIterator<Item = &str>,
    ) {
        let documents: BTreeMap<String, Json> = documents.into_iter().map(|(name, json)| (name.into(), json)).collect();
        let at = self.at + 1;
        let rows = documents.iter().map(|(name, json)| row(name, json, at)).collect();
        let gone: BTreeSet<&str> = gone.into_iter().collect();
        let advance = Advance { rows, gone: gone.iter().map(|name| key(name)).collect(), ..step(self.at, at) };
        self.store.commit(&self.view, self.build, advance).await.unwrap();
        self.at = at;
        self.documents.extend(documents);
        self.documents.retain(|name, _| !gone.contains(name.as_str()));
    }

    pub(crate) async fn list(&self, query: &Query) -> Page {
        self.store.list(&self.view, query).await.unwrap()
    }

    /// The values of a field in the documents that pass the test.
    pub(crate) async fn found(&self, field: &str, test: Test) -> Vec<Json> {
        let query = Query::all(1_000).filter(&self.view, field, test).unwrap();
        self.list(&query).await.rows.iter().map(|row| document(row)[field].clone()).collect()
    }

    /// The keys in the order of these fields. A minus before a field means that it descends.
    pub(crate) async fn sorted(&self, by: &[&str]) -> Vec<String> {
        names(&self.list(&self.by(Query::all(10_000), by)).await)
    }

    pub(crate) fn by(&self, query: Query, fields: &[&str]) -> Query {
        fields.iter().fold(query, |query, field| {
            query.sort(&self.view, field.trim_start_matches('-'), field.starts_with('-')).unwrap()
        })
    }

    /// Checks that each test finds the values with these numbers (see [`of`](Self::of)).
    pub(crate) async fn expect(&self, field: &str, tests: impl IntoIterator<Item = (Test, &[usize])>) {
        for (test, expected) in tests {
            let asked = format!("{field} {test:?}");
            let query = Query::all(1_000).page_bytes(usize::MAX).filter(&self.view, field, test).unwrap();
            let expected: Vec<String> = expected.iter().map(|number| format!("{number:03}")).collect();
            assert_eq!(names(&self.list(&query).await), expected, "{asked}");
        }
    }
}

pub(crate) fn row(name: &str, json: &Json, at: u64) -> Row {
    Row { key: key(name), document: json.to_string(), position: Position(at) }
}

pub(crate) fn document(row: &Row) -> Json {
    serde_json::from_str(&row.document).unwrap()
}

pub(crate) fn names(page: &Page) -> Vec<String> {
    page.rows.iter().map(|row| row.key.to_string()).collect()
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A whole number of a document.
pub(crate) fn whole(number: i128) -> Json {
    match u64::try_from(number) {
        Ok(number) => json!(number),
        Err(_) => json!(i64::try_from(number).unwrap()),
    }
}

pub(crate) fn every_test(than: Value) -> [Test; 6] {
    [
        Test::Equal(than.clone()),
        Test::NotEqual(than.clone()),
        Test::Less(than.clone()),
        Test::AtMost(than.clone()),
        Test::Greater(than.clone()),
        Test::AtLeast(than),
    ]
}

/// Puts a value into a document at a path.
pub(crate) fn put(document: &mut Json, path: &str, value: Json) {
    let mut at = document;
    for name in path.split('.') {
        if at.is_null() {
            *at = json!({});
        }
        at = &mut at[name];
    }
    *at = value;
}

/// Texts with a special meaning in SQL, JSON or patterns, in the order of their code points.
pub(crate) const TEXTS: [&str; 29] = [
    "",
    "\t\r\n",
    " ",
    "\"",
    "\"; DROP TABLE builds; --",
    "%",
    "%a%",
    "'",
    "') OR 1=1 --",
    "10",
    "9",
    "?1",
    "A",
    "Z",
    "[\"a\"]",
    "\\",
    "\\'",
    "_",
    "a",
    "a\\",
    "b",
    "null",
    "true",
    "{\"a\":1}",
    "ß",
    "ä",
    "\u{d7ff}",
    "\u{ffff}",
    "\u{10ffff}",
];

/// Reads all pages of a list.
pub(crate) async fn walk(filled: &FilledView, query: impl Fn(usize) -> Query, limit: usize) -> Vec<String> {
    let (mut seen, mut next) = (Vec::new(), None::<Behind>);
    loop {
        let query = next.into_iter().fold(query(limit), |query, place| query.after(place).unwrap());
        let page = filled.list(&query).await;
        assert!(page.rows.len() <= limit);
        assert!(page.next.is_none() || page.rows.len() == limit, "a page that is not the last is full");
        seen.extend(names(&page));
        assert!(seen.len() <= filled.documents.len(), "a document is listed twice: {seen:?}");
        next = page.next;
        if next.is_none() {
            return seen;
        }
    }
}
