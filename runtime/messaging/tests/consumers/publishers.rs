//! Publishers: stored events of any type, and consumers that come and go while messaging runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_journal::LogFilter;
use dormouse_kernel::{AggregateRef, Message, NewEvent, RecordedEvent};
use dormouse_messaging::store::JobStateName;
use dormouse_messaging::{Begin, ConsumerKind, Failure, Job, Order, Publish, RequestError, StartError};
use tokio::time::Instant;

use crate::world::{Note, World, eventually, options, write};

const NAME: &str = "webhook/one";

/// Keeps what it is given. It refuses events of the notes that are named so.
#[derive(Clone, Default)]
struct Outside(Arc<Mutex<Vec<(String, u64, String)>>>);

impl Outside {
    /// The notes and versions that arrived.
    fn arrived(&self) -> Vec<(String, u64)> {
        self.0.lock().unwrap().iter().map(|(note, version, _)| (note.clone(), *version)).collect()
    }
}

impl Publish for Outside {
    fn wants(&self, aggregate: &AggregateRef, _: &NewEvent) -> bool {
        aggregate.id.as_str() != "private"
    }

    fn filter(&self) -> Option<LogFilter> {
        Some(LogFilter { types: Vec::new(), events: vec!["Written".to_owned(), "Scribbled".to_owned()] })
    }

    fn tries(&self) -> Option<u32> {
        Some(2)
    }

    async fn publish(&self, event: &RecordedEvent, job: &Job) -> Result<(), Failure> {
        let note = event.aggregate.id.to_string();
        if note == "broken" {
            return Err(Failure::new("the outside does not want it"));
        }
        if note == "slow" {
            std::future::pending::<()>().await;
        }
        self.0.lock().unwrap().push((note, event.version.0, job.key().to_owned()));
        Ok(())
    }
}

async fn add(world: &World, begin: Begin) -> Outside {
    let outside = Outside::default();
    world.messaging.add_publisher(NAME, "default", Order::Ordered, begin, outside.clone()).await.unwrap();
    outside
}

#[tokio::test]
async fn a_publisher_that_is_added_gets_later_events_or_all() {
    let world = World::new().await;
    world.write("a", "early").await;
    let late = add(&world, Begin::Now).await;
    let all = Outside::default();
    world
        .messaging
        .add_publisher("webhook/all", "modules", Order::Ordered, Begin::Beginning, all.clone())
        .await
        .unwrap();
    world.write("a", "late").await;
    world.write("private", "secret").await;
    world.idle(NAME).await;
    world.idle("webhook/all").await;
    assert_eq!(late.arrived(), [("a".to_owned(), 2)]);
    assert_eq!(all.arrived(), [("a".to_owned(), 1), ("a".to_owned(), 2)]);
    let info = world.info(NAME).await;
    assert_eq!((info.kind, info.queue), (ConsumerKind::Webhook, "default"));
    let key = all.0.lock().unwrap()[0].2.clone();
    assert!(key.starts_with("webhook/all-"), "{key}");
}

#[tokio::test]
async fn a_publisher_begins_durably_before_it_is_said_to_exist() {
    let world = World::new().await;
    add(&world, Begin::Now).await;
    // As if the process were killed now.
    world.messaging.stop(Instant::now()).await;
    let world = world.started_again(|builder| builder).await;
    world.write("a", "meanwhile").await;
    let outside = add(&world, Begin::Now).await;
    world.idle(NAME).await;
    assert_eq!(outside.arrived(), [("a".to_owned(), 1)]);
}

#[tokio::test]
async fn what_only_sends_does_not_leave_the_house() {
    let world = World::new().await;
    let outside = Outside::default();
    let everything = Everything(outside.clone());
    world.messaging.add_publisher("publisher/all", "default", Order::Ordered, Begin::Now, everything).await.unwrap();
    world.send("a", vec![Message::to::<Note>("b", write("hello"))]).await;
    world.write("a", "x").await;
    world.idle("publisher/all").await;
    assert_eq!(outside.arrived(), [("a".to_owned(), 2)]);
    assert_eq!(world.info("publisher/all").await.kind, ConsumerKind::Publisher);
}

struct Everything(Outside);

impl Publish for Everything {
    async fn publish(&self, event: &RecordedEvent, job: &Job) -> Result<(), Failure> {
        self.0.publish(event, job).await
    }
}

#[tokio::test]
async fn a_publisher_that_is_removed_leaves_nothing_behind() {
    let world = World::new().await;
    add(&world, Begin::Beginning).await;
    world.write("broken", "x").await;
    world.write("broken", "behind").await;
    world.write("slow", "x").await;
    eventually(async || world.info(NAME).await.jobs.dead == 1).await;
    assert_eq!(world.dead(NAME).await[0].attempts.len(), 2, "its own tries");
    tokio::time::timeout(Duration::from_secs(30), world.messaging.remove(NAME)).await.unwrap().unwrap();
    assert_eq!(
        world.messaging.jobs(NAME, JobStateName::Dead, None, 9).await,
        Err(RequestError::NoConsumer(NAME.to_owned()))
    );
    assert!(world.store().job_counts().await.unwrap().is_empty());
    world.messaging.remove(NAME).await.unwrap();

    world.write("a", "x").await;
    let again = add(&world, Begin::Beginning).await;
    eventually(async || again.arrived() == [("a".to_owned(), 1)]).await;
}

#[tokio::test]
async fn a_publisher_that_is_stopped_goes_on_where_it_was() {
    let world = World::new().await;
    let first = add(&world, Begin::Now).await;
    world.write("a", "one").await;
    world.idle(NAME).await;
    world.messaging.stop_publisher(NAME).await.unwrap();
    world.write("a", "two").await;
    let second = add(&world, Begin::Now).await;
    world.idle(NAME).await;
    assert_eq!((first.arrived(), second.arrived()), (vec![("a".to_owned(), 1)], vec![("a".to_owned(), 2)]));
}

#[tokio::test]
async fn what_cannot_be_added_or_removed_is_refused() {
    let world = World::with(options(), |builder| {
        builder.publisher("publisher/search", "default", Order::Independent, Begin::Now, Outside::default())
    })
    .await;
    let refused = async |name: &str, queue| {
        let added = world.messaging.add_publisher(name, queue, Order::Ordered, Begin::Now, Outside::default()).await;
        added.unwrap_err().to_string()
    };
    assert_eq!(refused("publisher/search", "default").await, r#"two listeners are called "publisher/search""#);
    assert_eq!(
        refused("publisher/x", "messages").await,
        r#"the publisher "publisher/x" runs in the queue "messages", but there are only default, modules, commands"#
    );
    assert!(refused("Publisher", "default").await.contains("cannot be the name of a consumer"));
    let messages = world.messaging.remove("messages").await.unwrap_err().to_string();
    assert_eq!(messages, r#"the application has the consumer "messages": it cannot be removed"#);
    world.messaging.stop(Instant::now()).await;
    let late = world.messaging.add_publisher("webhook/x", "default", Order::Ordered, Begin::Now, Outside::default());
    assert!(matches!(late.await, Err(StartError::Stopped | StartError::Store(_))));
}
