//! Aggregate types that no engine runs.

use std::convert::Infallible;
use std::sync::Arc;

use dormouse_engine::{Engine, StartError};
use dormouse_journal::{Journal, Options};
use dormouse_kernel::{Aggregate, Context, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::world::{World, config};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
enum Only {
    Open {},
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
enum OfTheRuntime {
    #[serde(rename = "$outgoing")]
    Outgoing {},
}

impl DomainEvent for Only {}
impl DomainEvent for OfTheRuntime {}

macro_rules! aggregate {
    ($name:ident, $event:ty, $internal:expr) => {
        #[derive(Clone, Default, Serialize, Deserialize)]
        struct $name;

        impl Aggregate for $name {
            const TYPE: &'static str = "refused";
            const INTERNAL_COMMANDS: &'static [&'static str] = $internal;
            type Command = Only;
            type Event = $event;
            type Reply = ();
            type Rejection = Infallible;

            fn decide(&self, _: Only, _: &mut Context<Self>) -> Result<(), Infallible> {
                Ok(())
            }

            fn evolve(&mut self, _: &$event) {}
        }
    };
}

aggregate!(Misspelled, Only, &["Opne"]);
aggregate!(Reserved, OfTheRuntime, &[]);

async fn refused<A: Aggregate>() -> StartError {
    let world = World::new(config()).await;
    let journal = Journal::start(world.store.clone() as Arc<_>, Options::default()).await.unwrap();
    Engine::builder(config()).aggregate::<A>().start(journal).await.expect_err("refused")
}

#[tokio::test]
async fn an_internal_command_that_does_not_exist_is_refused() {
    let error = refused::<Misspelled>().await;
    assert_eq!(error, StartError::UnknownInternalCommand { aggregate: "refused", command: "Opne" });
}

#[tokio::test]
async fn an_event_with_a_name_of_the_runtime_is_refused() {
    let error = refused::<Reserved>().await;
    assert_eq!(error, StartError::ReservedEvent { aggregate: "refused", name: "$outgoing" });
}
