//! Letters that are copied by a reactor and delivered by a handler, and an API that shows both.

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_config::Config;
use dormouse_kernel::{After, Aggregate, Context, DomainEvent, Event, Every};
use dormouse_messaging::{
    ConsumerInfo, Failure, Handle, Handler, HandlerSources, Job, React, Reactions, Reactor, ReactorSources, Retries,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::support::Server;

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Letter;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) enum LetterCommand {
    Write { text: String },
    Remind { seconds: u64, again: bool },
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) enum LetterEvent {
    Written { text: String },
}

impl DomainEvent for LetterEvent {}

impl Aggregate for Letter {
    const TYPE: &'static str = "letter";
    type Command = LetterCommand;
    type Event = LetterEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, command: LetterCommand, context: &mut Context<Self>) -> Result<(), std::convert::Infallible> {
        match command {
            LetterCommand::Write { text } => context.emit(LetterEvent::Written { text }),
            LetterCommand::Remind { seconds, again } => {
                let (delay, text) = (Duration::from_secs(seconds), "reminded".to_owned());
                let command = LetterCommand::Write { text };
                match again {
                    true => context.schedule("again", Every::new(delay), command),
                    false => context.schedule("once", After(delay), command),
                }
            }
        }
        Ok(())
    }

    fn evolve(&mut self, _: &LetterEvent) {}
}

/// Writes a copy of each letter into the archive, except for those that begin with "bad".
pub(super) struct Copies;

impl Reactor for Copies {
    const NAME: &'static str = "copies";

    fn sources(sources: ReactorSources<Self>) -> ReactorSources<Self> {
        sources.of::<Letter>()
    }
}

impl React<Letter> for Copies {
    fn react(event: &Event<'_, Letter>, reactions: &mut Reactions) {
        let LetterEvent::Written { text } = event.body();
        if event.id().as_str() != "archive" && !text.starts_with("bad") {
            reactions.send::<Letter>("archive", LetterCommand::Write { text: text.clone() });
        }
    }
}

/// Delivers letters, except to the archive. Fails for those that begin with "bad", until that is mended.
pub(super) struct Post(Arc<Delivered>);

/// What has been delivered.
#[derive(Default)]
struct Delivered {
    texts: Mutex<Vec<String>>,
    is_mended: Mutex<bool>,
}

impl Handler for Post {
    const NAME: &'static str = "post";

    fn retries() -> Option<Retries> {
        Some(Retries { tries: 1, pause: Duration::from_millis(1) })
    }

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Letter>()
    }
}

impl Handle<Letter> for Post {
    async fn handle(&self, event: &Event<'_, Letter>, _: &Job) -> Result<(), Failure> {
        let LetterEvent::Written { text } = event.body();
        if event.id().as_str() == "archive" {
            return Ok(());
        }
        if text.starts_with("bad") && !*self.0.is_mended.lock().unwrap() {
            return Err(Failure::new(format!("{text} cannot be delivered")));
        }
        self.0.texts.lock().unwrap().push(text.clone());
        Ok(())
    }
}

/// A server with both listeners.
pub(super) struct Office {
    server: Server,
    delivered: Arc<Delivered>,
}

impl Deref for Office {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Office {
    pub(super) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::embedded();
        configure(&mut config);
        let delivered = Arc::new(Delivered::default());
        let post = Post(Arc::clone(&delivered));
        let server = Server::listening::<Letter>(config, |builder| builder.reactor::<Copies>().handler(post)).await;
        Self { server, delivered }
    }

    /// Writes a letter. Returns the position of its event.
    pub(super) async fn write(&self, id: &str, text: &str) -> u64 {
        let written = self.post(&format!("/v1/letter/{id}/write"), &json!({ "text": text })).await;
        assert_eq!(written.status, 200, "{written:?}");
        written.json()["position"].as_u64().unwrap()
    }

    /// From now on every letter can be delivered.
    pub(super) fn mend(&self) {
        *self.delivered.is_mended.lock().unwrap() = true;
    }

    /// The texts of the letters that were delivered, in order.
    pub(super) fn delivered(&self) -> Vec<String> {
        self.delivered.texts.lock().unwrap().clone()
    }

    pub(super) async fn listener(&self, name: &str) -> Value {
        let listed = self.get("/admin/listeners").await.json();
        listed["listeners"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    }

    pub(super) async fn info(&self, name: &str) -> ConsumerInfo {
        let consumers = self.messaging.consumers().await.unwrap();
        consumers.into_iter().find(|info| info.name.as_str() == name).unwrap()
    }

    /// Waits until the handler has nothing to do, and has this many dead letters.
    pub(super) async fn has_dead(&self, dead: u64) {
        eventually(async || {
            let info = self.info("handler/post").await;
            let is_idle = (info.lag, info.ready, info.running, info.jobs.waiting) == (0, 0, 0, 0);
            is_idle && info.jobs.dead == dead && (dead > 0 || info.jobs.blocked == 0)
        })
        .await;
    }
}

/// Waits for a condition.
pub(super) async fn eventually(condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(30), holds).await.expect("the condition holds in time");
}
