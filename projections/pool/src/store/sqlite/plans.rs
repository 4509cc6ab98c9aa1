//! How SQLite reads lists: along an index, wherever there is one.

use dormouse_kernel::{Aggregate, Context, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::*;
use crate::fields::Fields;
use crate::key::Keys;
use crate::projection::{Project, Projection};
use crate::query::{Place, Test, Value};
use crate::sources::Sources;
use dormouse_kernel::Event;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Order;

#[derive(Serialize, Deserialize, JsonSchema)]
enum OrderEvent {
    Placed {},
}

impl DomainEvent for OrderEvent {}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderEvent;
    type Event = OrderEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, _: OrderEvent, _: &mut Context<Self>) -> Result<(), std::convert::Infallible> {
        Ok(())
    }

    fn evolve(&mut self, _: &OrderEvent) {}
}

struct Orders;

impl Projection for Orders {
    const NAME: &'static str = "orders";
    const VERSION: u32 = 1;
    type Document = String;

    fn fields() -> Fields {
        Fields::none().text("status").integer("total").real("weight").boolean("paid").integer("other")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Order>()
    }
}

impl Project<Order> for Orders {
    fn keys(_: &Event<'_, Order>) -> Keys {
        Keys::none()
    }

    fn project(current: Option<String>, _: &Event<'_, Order>, _: &Key) -> Option<String> {
        current
    }
}

/// A store of orders that explains the plans of lists.
struct Explained {
    _directory: tempfile::TempDir,
    store: Sqlite,
    view: Definition,
}

impl Explained {
    async fn orders() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path(), 1).await.unwrap();
        let view = Definition::of::<Orders>().unwrap();
        store.begin(&view, Offset::START, Begin::Instead).await.unwrap();
        Self { _directory: directory, store, view }
    }

    /// The steps of a plan that read documents, or sort.
    async fn list(&self, query: &Query) -> Vec<String> {
        let (sql, binds) = statements::list(&self.view, query);
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = self.store.read(Target::Store, async |connection| {
            let statement = sqlx::query(AssertSqlSafe(explain)).bind(self.view.name());
            binds.into_iter().fold(statement, statements::bind).fetch_all(connection).await
        });
        let steps: Vec<String> = rows.await.unwrap().iter().map(|row| row.get(3)).collect();
        // The documents that fit the page are read by their keys at the end.
        assert!(steps.iter().any(|step| step == BY_KEY), "{steps:?}");
        let is_of_interest = |step: &String| step.contains("view_orders") || step.contains("TEMP B-TREE");
        steps.into_iter().filter(|step| is_of_interest(step) && step != BY_KEY).collect()
    }

    fn by(&self, path: &str, is_descending: bool) -> Query {
        Query::all(100).sort(&self.view, path, is_descending).unwrap()
    }
}

fn behind(value: Option<Value>) -> Place {
    Place { values: vec![value], key: Key::from("a") }
}

const BY_KEY: &str = "SEARCH view_orders_1 USING INDEX sqlite_autoindex_view_orders_1_1 (key=?)";

const SORTS: &str = "USE TEMP B-TREE FOR ORDER BY";

#[tokio::test]
async fn a_list_by_one_field_is_the_beginning_of_an_index() {
    let orders = Explained::orders().await;
    for (path, value) in [
        ("status", Value::Text("open".to_owned())),
        ("total", Value::Integer(1)),
        ("weight", Value::Real(1.0)),
        ("paid", Value::Boolean(true)),
    ] {
        let index = format!("view_orders_1 USING INDEX view_orders_1__{path}");
        for is_descending in [false, true] {
            let first = orders.by(path, is_descending);
            assert_eq!(orders.list(&first).await, [format!("SCAN {index}")]);
            // Each part is a range of the index. Only the union of the parts is sorted, nothing within a part.
            let next = orders.list(&first.clone().after(behind(Some(value.clone()))).unwrap()).await;
            let than = if is_descending { "<" } else { ">" };
            let mut ranges = vec![format!("{path}=? AND key{than}?"), format!("{path}{than}?")];
            ranges.extend(is_descending.then(|| format!("{path}=?")));
            let ranges: Vec<String> = ranges.iter().map(|range| format!("SEARCH {index} ({range})")).collect();
            assert_eq!(found(&next), ranges);
            assert!(sorts(&next) <= ranges.len(), "{next:?}");
            let next = orders.list(&first.after(behind(None)).unwrap()).await;
            let mut ranges = vec![format!("SEARCH {index} ({path}=? AND key{than}?)")];
            ranges.extend((!is_descending).then(|| format!("SEARCH {index} ({path}>?)")));
            assert_eq!(found(&next), ranges);
            let two = orders.by(path, is_descending).sort(&orders.view, "other", true).unwrap();
            let ranges = [format!("SEARCH {index} ({path}=?)"), format!("SEARCH {index} ({path}>?)")];
            assert_eq!(found(&orders.list(&two).await), ranges);
        }
        let equal = Query::all(100).filter(&orders.view, path, Test::Equal(value.clone())).unwrap();
        assert_eq!(orders.list(&equal).await, [format!("SEARCH {index} ({path}=?)")]);
        let equal = equal.sort(&orders.view, path, true).unwrap();
        assert_eq!(orders.list(&equal).await, [format!("SEARCH {index} ({path}=?)")]);
        let least = Query::all(100).filter(&orders.view, path, Test::AtLeast(value)).unwrap();
        let least = least.sort(&orders.view, path, true).unwrap();
        assert_eq!(orders.list(&least).await, [format!("SEARCH {index} ({path}>?)")]);
    }
}

#[tokio::test]
async fn a_filter_with_few_matches_leads_and_the_order_leads_otherwise() {
    let orders = Explained::orders().await;
    let open = Test::Equal(Value::Text("open".to_owned()));
    let query = orders.by("total", true).filter(&orders.view, "status", open).unwrap();
    let by_status = "view_orders_1 USING INDEX view_orders_1__status (status=?)";
    let steps = orders.list(&query).await;
    let count = "SEARCH view_orders_1 USING COVERING INDEX view_orders_1__status (status=?)";
    let steps: Vec<&str> = steps.iter().map(String::as_str).filter(|step| *step != count).collect();
    assert_eq!(steps[..2], [format!("SEARCH {by_status}").as_str(), SORTS]);
    assert!(steps.contains(&"SCAN view_orders_1 USING INDEX view_orders_1__total"), "{steps:?}");
}

/// The number of sorts: one for each part, if there are several.
fn sorts(steps: &[String]) -> usize {
    steps.iter().filter(|step| *step == SORTS).count()
}

fn found(steps: &[String]) -> Vec<String> {
    steps.iter().filter(|step| step.contains("view_orders")).cloned().collect()
}
