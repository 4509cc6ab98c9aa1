//! Stores of each kind, and views to keep in them.

use std::sync::Arc;

use dormouse_config::{Config, JournalUrl, PostgresUrl};
use dormouse_harness::Postgres as PostgresServer;
use dormouse_kernel::{Aggregate, Chain, Context, DomainEvent, Position};
use dormouse_projections::store::{Advance, Begin, Build, BuildNumber, Error, Memory, Offset, Postgres, Row, Sqlite};
use dormouse_projections::{
    Definition, DefinitionError, Event, Fields, Key, Keys, Project, Projection, Sources, ViewStore,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// Runs the tests, which take a [`Place`], in modules `memory`, `sqlite` and `postgres`.
macro_rules! on_every_store {
    ($($test:ident),+ $(,)?) => {
        on_every_store!(@in memory: $($test),+);
        on_every_store!(@in sqlite: $($test),+);
        on_every_store!(@in postgres: $($test),+);
    };
    (@in $store:ident: $($test:ident),+) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::support::Place::$store()).await;
                }
            )+
        }
    };
}

/// A place where views are kept. It can be opened more than once.
pub(crate) enum Place {
    Memory(Arc<Memory>),
    Sqlite(TempDir),
    Postgres(PostgresUrl),
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::new(Memory::new()))
    }

    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(postgres_url(&PostgresServer::shared().create_database()))
    }

    pub(crate) async fn store(&self) -> Arc<dyn ViewStore> {
        match self {
            Self::Memory(memory) => Arc::clone(memory) as _,
            Self::Sqlite(directory) => Arc::new(Sqlite::open(directory.path(), 4).await.unwrap()),
            Self::Postgres(url) => Arc::new(Postgres::open(url, &[], Postgres::SCHEMA, 4, &limits()).await.unwrap()),
        }
    }
}

pub(crate) fn postgres_url(url: &str) -> PostgresUrl {
    match url.parse() {
        Ok(JournalUrl::Postgres(url)) => url,
        other => panic!("not a PostgreSQL URL: {other:?}"),
    }
}

/// The default limits, but connections are opened only when needed, because many tests share one server.
pub(crate) fn limits() -> dormouse_config::Postgres {
    let mut limits = Config::embedded().journal.postgres;
    limits.connections_min = 0;
    limits
}

/// An aggregate of which only the name matters.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Nothing;

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) enum NothingHappened {
    Ever {},
}

impl DomainEvent for NothingHappened {}

impl Aggregate for Nothing {
    const TYPE: &'static str = "nothing";
    type Command = NothingHappened;
    type Event = NothingHappened;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, _: NothingHappened, _: &mut Context<Self>) -> Result<(), std::convert::Infallible> {
        Ok(())
    }

    fn evolve(&mut self, _: &NothingHappened) {}
}

/// A view with a number, a version and a choice of fields.
pub(crate) struct Numbered<const NUMBER: u8, const VERSION: u32, const FIELDS: u8>;

impl<const NUMBER: u8, const VERSION: u32, const FIELDS: u8> Projection for Numbered<NUMBER, VERSION, FIELDS> {
    const NAME: &'static str = if NUMBER == 1 { "first" } else { "second" };
    const VERSION: u32 = VERSION;
    type Document = serde_json::Map<String, serde_json::Value>;

    fn fields() -> Fields {
        match FIELDS {
            0 => Fields::none(),
            1 => Fields::none().text("status").integer("customer.age"),
            _ => Fields::none().integer("customer.age").boolean("paid"),
        }
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Nothing>()
    }
}

impl<const NUMBER: u8, const VERSION: u32, const FIELDS: u8> Project<Nothing> for Numbered<NUMBER, VERSION, FIELDS> {
    fn keys(_: &Event<'_, Nothing>) -> Keys {
        Keys::none()
    }

    fn project(current: Option<Self::Document>, _: &Event<'_, Nothing>, _: &Key) -> Option<Self::Document> {
        current
    }
}

pub(crate) fn view<const NUMBER: u8, const VERSION: u32, const FIELDS: u8>() -> Definition {
    let defined: Result<Definition, DefinitionError> = Definition::of::<Numbered<NUMBER, VERSION, FIELDS>>();
    defined.unwrap()
}

pub(crate) fn first() -> Definition {
    view::<1, 1, 1>()
}

pub(crate) fn second() -> Definition {
    view::<2, 1, 0>()
}

pub(crate) fn key(key: &str) -> Key {
    Key::from(key)
}

pub(crate) fn offset(position: u64) -> Offset {
    Offset { position: Position(position), chain: Chain([position as u8; 16]) }
}

pub(crate) fn row(name: &str, document: &str, position: u64) -> Row {
    Row { key: key(name), document: document.to_owned(), position: Position(position) }
}

/// A batch that changes only the offset.
pub(crate) fn step(from: u64, to: u64) -> Advance {
    Advance {
        from: Position(from),
        to: offset(to),
        rows: Vec::new(),
        gone: Vec::new(),
        parked: Vec::new(),
        released: Vec::new(),
    }
}

/// Begins a served build, which is empty.
pub(crate) async fn begun(store: &Arc<dyn ViewStore>, view: &Definition) -> BuildNumber {
    store.begin(view, Offset::START, Begin::Instead).await.unwrap().number
}

/// The served build and its offset.
pub(crate) async fn served(store: &Arc<dyn ViewStore>, view: &Definition) -> (BuildNumber, Offset) {
    let Build { number, offset, .. } = store.prepare(view).await.unwrap().serving.expect("something is served");
    (number, offset)
}

/// The documents of these keys, however large.
pub(crate) async fn loaded(
    store: &dyn ViewStore,
    view: &Definition,
    build: BuildNumber,
    keys: &[Key],
) -> Result<Vec<(Key, String)>, Error> {
    let found = store.load(view, build, keys, usize::MAX).await?;
    Ok(found.expect("all documents fit"))
}
