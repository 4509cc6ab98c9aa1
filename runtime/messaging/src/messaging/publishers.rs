//! Publishers that come and go while messaging runs, and what the store keeps for them.

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;
use tracing::info;

use super::builder::{Added, no_queue};
use super::running::{Described, Running};
use super::{Messaging, Switches};
use crate::consumer::{Begin, Order, RequestError, Stop};
use crate::consumer_name::ConsumerName;
use crate::metric;
use crate::publisher::Publish;
use crate::start_error::StartError;
use crate::store;

impl Messaging {
    /// Adds a [publisher](crate::Publish) under a name such as `publisher/search` or `webhook/…`. Where it begins is
    /// durable when this returns: it gets all later events, also if the process is killed now.
    ///
    /// # Errors
    /// If the name or the queue is not valid, if the store does not answer, or if messaging is stopping.
    pub async fn add_publisher<P: Publish>(
        &self,
        name: &str,
        queue: &'static str,
        order: Order,
        begin: Begin,
        publisher: P,
    ) -> Result<(), StartError> {
        let inner = &self.inner;
        if self.find(name).is_ok() {
            return Err(StartError::Duplicate(name.to_owned()));
        }
        let Some((pool, options)) = inner.pools.iter().skip(1).find(|(pool, _)| pool.name() == queue) else {
            let known = inner.pools.iter().skip(1).map(|(pool, _)| pool.name());
            return Err(no_queue(format!("the publisher {name:?}"), queue, known));
        };
        let added = Added::publisher(name, queue, order, begin, publisher, Arc::clone(&inner.bus));
        let (kind, sources) = (added.kind, added.sources.clone());
        let consumer = added.into_consumer(pool, options)?;
        inner.shared.progress_or_begin(&consumer.name, begin).await?;
        let operators = inner.shared.store.switches().await?.remove(&consumer.name).unwrap_or_default();

        let mut consumers = inner.consumers.write().unwrap_or_else(PoisonError::into_inner);
        if inner.stop.borrow().is_some() {
            return Err(StartError::Stopped);
        }
        if consumers.iter().any(|other| other.name == consumer.name) {
            return Err(StartError::Duplicate(name.to_owned()));
        }
        let configured = inner.configured.lock().unwrap_or_else(PoisonError::into_inner).switch(name);
        let switches = Switches { configured, operators };
        let described = Described { kind, queue, sources, switches, position: None };
        let mut tasks = inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of publishers that were removed.
        while tasks.try_join_next().is_some() {}
        consumers.push(Arc::new(Running::start(consumer, described, &inner.shared, &mut tasks)));
        info!(consumer = name, "a publisher was added");
        Ok(())
    }

    /// Stops a publisher. Its jobs in progress are cut off. The store keeps its place: if it is added again, it goes on
    /// there. Nothing happens if there is no such publisher.
    ///
    /// # Errors
    /// If the application itself has the consumer.
    pub async fn stop_publisher(&self, name: &str) -> Result<(), RequestError> {
        let found = {
            let mut consumers = self.inner.consumers.write().unwrap_or_else(PoisonError::into_inner);
            let place = consumers.iter().position(|running| running.name.as_str() == name);
            match place {
                Some(place) if !consumers[place].kind.is_publisher() => {
                    return Err(RequestError::NotRemovable(name.to_owned()));
                }
                place => place.map(|place| consumers.remove(place)),
            }
        };
        if let Some(running) = found {
            running.stop(Stop { deadline: Instant::now() });
            running.ended().await;
            metric::ended(&running.name);
        }
        Ok(())
    }

    /// Removes a publisher, with its progress and its jobs: if it is added again, it begins anew. A publisher that does
    /// not run is forgotten, too.
    ///
    /// # Errors
    /// If the application itself has the consumer, or if the store does not answer. Then the publisher may have stopped
    /// already, and it is safe to repeat this.
    pub async fn remove(&self, name: &str) -> Result<(), RequestError> {
        let forgotten = ConsumerName::new(name).map_err(|_| RequestError::NoConsumer(name.to_owned()))?;
        self.stop_publisher(name).await?;
        self.inner.shared.store.forget(&forgotten).await?;
        info!(consumer = name, "a publisher was removed");
        Ok(())
    }

    /// The stored [settings](crate::QueueStore::settings) whose names begin with this text.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn settings(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, store::Error> {
        self.inner.shared.store.settings(prefix).await
    }

    /// Stores a [setting](crate::QueueStore::set_setting), or removes it.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn set_setting(&self, name: &str, value: Option<&[u8]>) -> Result<(), store::Error> {
        self.inner.shared.store.set_setting(name, value).await
    }
}
