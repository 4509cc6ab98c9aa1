//! An application whose letters are registered by a reactor and delivered by a handler, inside this process.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dormouse::{
    After, Aggregate, App, Config, Context, DomainEvent, Event, Every, Failure, Handle, Handler, HandlerSources, Job,
    JournalUrl, React, Reactions, Reactor, ReactorSources, Retries, Running,
};
use dormouse_harness::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Ended, SOON, run};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Letter;

#[derive(Serialize, Deserialize, JsonSchema)]
enum LetterCommand {
    Write { text: String },
    Remind { seconds: u64 },
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum LetterEvent {
    Written { text: String },
}

impl DomainEvent for LetterEvent {}

impl Aggregate for Letter {
    const TYPE: &'static str = "letter";
    type Command = LetterCommand;
    type Event = LetterEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, command: LetterCommand, context: &mut Context<Self>) -> Result<(), Self::Rejection> {
        match command {
            LetterCommand::Write { text } => {
                context.send::<Register>("all", RegisterCommand::Count {});
                context.emit(LetterEvent::Written { text });
            }
            LetterCommand::Remind { seconds } => {
                let delay = Duration::from_secs(seconds);
                let write = |text: &str| LetterCommand::Write { text: text.to_owned() };
                context.schedule("once", After(delay), write("reminder"));
                context.schedule("weekly", Every::new(7 * delay), write("again"));
            }
        }
        Ok(())
    }

    fn evolve(&mut self, _: &LetterEvent) {}
}

/// Counts all letters.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Register(u64);

#[derive(Serialize, Deserialize, JsonSchema)]
enum RegisterCommand {
    Count {},
    File {},
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum RegisterEvent {
    Counted,
}

impl DomainEvent for RegisterEvent {}

impl Aggregate for Register {
    const TYPE: &'static str = "register";
    type Command = RegisterCommand;
    type Event = RegisterEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, command: RegisterCommand, context: &mut Context<Self>) -> Result<(), Self::Rejection> {
        if let RegisterCommand::Count {} = command {
            context.emit(RegisterEvent::Counted);
        }
        Ok(())
    }

    fn evolve(&mut self, RegisterEvent::Counted: &RegisterEvent) {
        self.0 += 1;
    }
}

/// Files each letter. It panics for those that are illegible, until these can be read.
struct Filing;

/// While this is false, illegible letters cannot be filed.
static CAN_READ_ALL: Mutex<bool> = Mutex::new(false);

impl Reactor for Filing {
    const NAME: &'static str = "filing";

    fn sources(sources: ReactorSources<Self>) -> ReactorSources<Self> {
        sources.of::<Letter>()
    }
}

impl React<Letter> for Filing {
    fn react(event: &Event<'_, Letter>, reactions: &mut Reactions) {
        let LetterEvent::Written { text } = event.body();
        let can_read_all = *CAN_READ_ALL.lock().unwrap();
        assert!(text != "illegible" || can_read_all, "this cannot be read");
        if text == "smudged" && !can_read_all {
            // It fails as often and says less.
            reactions.send::<Register>("not/an/id", RegisterCommand::File {});
        }
        reactions.send::<Register>("files", RegisterCommand::File {});
    }
}

/// Delivers letters. It fails for those that begin with "bad", until that is mended.
#[derive(Clone, Default)]
struct Post(Arc<Delivered>);

#[derive(Default)]
struct Delivered {
    texts: Mutex<Vec<String>>,
    is_mended: Mutex<bool>,
}

impl Handler for Post {
    const NAME: &'static str = "post";

    fn retries() -> Option<Retries> {
        Some(Retries { tries: 2, pause: Duration::from_millis(1) })
    }

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Letter>()
    }
}

impl Handle<Letter> for Post {
    async fn handle(&self, event: &Event<'_, Letter>, _: &Job) -> Result<(), Failure> {
        let LetterEvent::Written { text } = event.body();
        if text.starts_with("bad") && !*self.0.is_mended.lock().unwrap() {
            return Err(Failure::new(format!("nobody takes \"{text}\"")));
        }
        self.0.texts.lock().unwrap().push(text.clone());
        Ok(())
    }
}

/// A server of its own, inside this process.
pub(super) struct Office {
    runtime: Runtime,
    running: Running,
    delivered: Arc<Delivered>,
    url: String,
}

impl Office {
    pub(super) fn open() -> Self {
        let runtime = Runtime::new().unwrap();
        let mut config = Config::embedded();
        config.journal.url = JournalUrl::Memory;
        config.gateway.listen = "127.0.0.1:0".parse().unwrap();
        config.messages.tries = 1.try_into().unwrap();
        let post = Post::default();
        let delivered = Arc::clone(&post.0);
        let app = App::new("office").aggregate::<Letter>().aggregate::<Register>().reactor::<Filing>().handler(post);
        let running = runtime.block_on(app.start(config)).unwrap();
        let url = format!("http://{}", running.address());
        Self { runtime, running, delivered, url }
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&self.url)
    }

    pub(super) fn send(&self, id: &str, command: &str, body: &serde_json::Value) {
        let answer = self.client().post(&format!("/v1/letter/{id}/{command}"), body).unwrap();
        assert_eq!(answer.status, 200, "{answer}");
    }

    pub(super) fn write(&self, id: &str, text: &str) {
        self.send(id, "write", &json!({ "text": text }));
    }

    /// From now on every letter can be delivered.
    pub(super) fn mend(&self) {
        *self.delivered.is_mended.lock().unwrap() = true;
    }

    /// From now on every letter of this process can be filed.
    pub(super) fn learn_to_read() {
        *CAN_READ_ALL.lock().unwrap() = true;
    }

    pub(super) fn delivered(&self) -> Vec<String> {
        self.delivered.texts.lock().unwrap().clone()
    }

    /// Waits until a listener has nothing to do, and has this many dead letters.
    pub(super) fn has_dead(&self, listener: &str, dead: u64) {
        let started = Instant::now();
        loop {
            let consumers = self.runtime.block_on(self.running.messaging().consumers()).unwrap();
            let info = consumers.into_iter().find(|info| info.name.as_str() == listener).unwrap();
            let is_idle = (info.lag, info.ready, info.running, info.jobs.waiting) == (0, 0, 0, 0);
            if is_idle && info.jobs.dead == dead && (dead > 0 || info.jobs.blocked == 0) {
                return;
            }
            assert!(started.elapsed() < SOON, "{info:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn dormouse(&self, arguments: &[&str]) -> Ended {
        run(&[arguments, &["--server", &self.url]].concat())
    }

    /// What a command printed. Panics if it failed.
    #[track_caller]
    pub(super) fn printed(&self, arguments: &[&str]) -> String {
        let ended = self.dormouse(arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}: {ended:?}");
        ended.stdout
    }

    pub(super) fn close(self) {
        self.runtime.block_on(self.running.stop());
    }
}
