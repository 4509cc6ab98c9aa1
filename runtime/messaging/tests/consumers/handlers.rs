//! Handlers: keys, panics, time, switches, where they begin, and what they see of old events.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dormouse_kernel::{Event, encode};
use dormouse_messaging::{
    Begin, BreakerState, ConsumerInfo, Delivered, Failure, Handle, Handler, HandlerSources, Job, Messaging, Retries,
    Sent, StartError,
};
use serde::Serialize;
use std::sync::Arc;

use crate::world::{Note, NoteEvent, World, eventually, options, write};

/// What a handler has seen.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<SeenState>);

#[derive(Default)]
struct SeenState {
    texts: Mutex<Vec<(String, String, u32)>>,
    is_broken: AtomicBool,
    hangs: AtomicBool,
    started: AtomicUsize,
}

impl Seen {
    fn texts(&self) -> Vec<String> {
        self.0.texts.lock().unwrap().iter().map(|(text, ..)| text.clone()).collect()
    }

    fn keys(&self, text: &str) -> Vec<(String, u32)> {
        let texts = self.0.texts.lock().unwrap();
        texts.iter().filter(|(seen, ..)| seen == text).map(|(_, key, attempt)| (key.clone(), *attempt)).collect()
    }
}

#[derive(Clone, Default)]
struct Recorder<const FROM_NOW: bool>(Seen);

impl<const FROM_NOW: bool> Handler for Recorder<FROM_NOW> {
    const NAME: &'static str = if FROM_NOW { "late-recorder" } else { "recorder" };
    const BEGIN: Begin = if FROM_NOW { Begin::Now } else { Begin::Beginning };

    fn retries() -> Option<Retries> {
        Some(Retries { tries: 4, pause: Duration::from_millis(3) })
    }

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.only::<Note>(&["Written"])
    }
}

impl<const FROM_NOW: bool> Handle<Note> for Recorder<FROM_NOW> {
    async fn handle(&self, event: &Event<'_, Note>, job: &Job) -> Result<(), Failure> {
        let NoteEvent::Written { text } = event.body() else { panic!("only this event is wanted") };
        let state = &self.0.0;
        state.started.fetch_add(1, Ordering::Relaxed);
        state.texts.lock().unwrap().push((text.clone(), job.key().to_owned(), job.attempt()));
        if state.hangs.load(Ordering::Relaxed) {
            job.cancelled().cancelled().await;
            std::future::pending::<()>().await;
        }
        match text.as_str() {
            "panic" => panic!("the handler panics"),
            "twice" if job.attempt() < 2 => Err(Failure::new("not yet")),
            _ if state.is_broken.load(Ordering::Relaxed) => Err(Failure::new("the outside is away")),
            _ => Ok(()),
        }
    }
}

async fn world(seen: &Seen) -> World {
    let recorder = Recorder::<false>(seen.clone());
    World::with(options(), |builder| builder.handler(recorder)).await
}

#[tokio::test]
async fn a_job_has_the_same_key_at_each_attempt_and_another_for_each_event() {
    let seen = Seen::default();
    let world = world(&seen).await;
    world.write("a", "twice").await;
    world.write("a", "once").await;
    world.idle("handler/recorder").await;
    assert_eq!(seen.texts(), ["twice", "twice", "once"]);
    let keys = seen.keys("twice");
    assert_eq!((keys[0].1, keys[1].1, &keys[0].0), (1, 2, &keys[1].0));
    assert_ne!(seen.keys("once")[0].0, keys[0].0);
    assert!(keys[0].0.starts_with("recorder-"), "{keys:?}");
}

#[tokio::test]
async fn a_panic_costs_its_sequence_and_nobody_else() {
    let seen = Seen::default();
    let world = world(&seen).await;
    world.write("a", "panic").await;
    world.write("a", "behind").await;
    world.write("b", "beside").await;
    eventually(async || world.info("handler/recorder").await.jobs.dead == 1).await;
    eventually(async || seen.texts().contains(&"beside".to_owned())).await;
    world.idle("handler/recorder").await;
    assert_eq!(seen.texts().iter().filter(|text| *text == "beside").count(), 1);
    assert!(!seen.texts().contains(&"behind".to_owned()));
    let dead = world.dead("handler/recorder").await.remove(0);
    assert_eq!(dead.attempts.len(), 4);
    assert_eq!(dead.attempts[0].error, "it panicked: the handler panics");
}

#[tokio::test]
async fn a_handler_that_hangs_is_cut_off_at_its_timeout() {
    let seen = Seen::default();
    let mut options = options();
    options.queues[0].1.timeout = Duration::from_millis(20);
    let recorder = Recorder::<false>(seen.clone());
    let world = World::with(options, |builder| builder.handler(recorder)).await;
    seen.0.hangs.store(true, Ordering::Relaxed);
    world.write("a", "x").await;
    eventually(async || world.info("handler/recorder").await.jobs.dead == 1).await;
    let dead = world.dead("handler/recorder").await.remove(0);
    assert_eq!(dead.attempts[0].error, "it took longer than 20ms");
}

#[tokio::test]
async fn an_event_that_older_code_wrote_reaches_a_handler_in_todays_shape() {
    #[derive(Serialize)]
    struct Scribbled {
        words: Vec<&'static str>,
    }
    let seen = Seen::default();
    let world = world(&seen).await;
    let old = encode(&Scribbled { words: vec!["so", "long"] }).unwrap();
    world.append("a", "Scribbled", 1, old, Default::default()).await;
    world.append("a", "Forgotten", 1, vec![0x80], Default::default()).await;
    world.idle("handler/recorder").await;
    assert_eq!(seen.texts(), ["so long"]);
}

#[tokio::test]
async fn a_new_handler_begins_where_it_says() {
    let seen = Seen::default();
    let world = World::new().await;
    world.write("a", "before").await;
    let recorder = Recorder::<true>(seen.clone());
    let world = world.restarted(|builder| builder.handler(recorder)).await;
    world.write("a", "after").await;
    world.idle("handler/late-recorder").await;
    assert_eq!(seen.texts(), ["after"]);
    // And after the next start it continues.
    world.messaging.switch("handler/late-recorder", |switch| switch.paused = true).await.unwrap();
    world.write("a", "later").await;
    let recorder = Recorder::<true>(seen.clone());
    let world = world.restarted(|builder| builder.handler(recorder)).await;
    world.messaging.switch("handler/late-recorder", |switch| switch.paused = false).await.unwrap();
    world.idle("handler/late-recorder").await;
    assert_eq!(seen.texts(), ["after", "later"]);
}

#[tokio::test]
async fn a_paused_handler_keeps_its_place_and_a_disabled_one_passes_over() {
    let seen = Seen::default();
    let world = world(&seen).await;
    let name = "handler/recorder";
    world.messaging.switch(name, |switch| switch.paused = true).await.unwrap();
    eventually(async || world.info(name).await.state.name() == "paused").await;
    world.write("a", "while paused").await;
    world.messaging.switch(name, |switch| switch.paused = false).await.unwrap();
    eventually(async || seen.texts() == ["while paused"]).await;
    world.messaging.switch(name, |switch| switch.disabled = true).await.unwrap();
    eventually(async || world.info(name).await.state.name() == "disabled").await;
    world.write("a", "while disabled").await;
    world.idle(name).await;
    world.messaging.switch(name, |switch| switch.disabled = false).await.unwrap();
    eventually(async || world.info(name).await.state.name() == "running").await;
    world.write("a", "again").await;
    world.idle(name).await;
    assert_eq!(seen.texts(), ["while paused", "again"]);
}

#[tokio::test]
async fn an_operator_cannot_switch_on_what_the_configuration_switches_off() {
    let seen = Seen::default();
    let world = world(&seen).await;
    let name = "handler/recorder";
    world.messaging.configure(&[], &[name.to_owned()]).unwrap();
    let switch = world.messaging.switch(name, |switch| switch.disabled = false).await.unwrap();
    assert!(switch.disabled);
    assert!(world.messaging.configure(&["handler/nobody".to_owned()], &[]).is_err());
    world.messaging.configure(&[], &[]).unwrap();
    eventually(async || world.info(name).await.state.name() == "running").await;
}

#[tokio::test]
async fn the_circuit_breaker_spares_the_outside_and_closes_when_it_is_back() {
    let seen = Seen::default();
    let world = world(&seen).await;
    seen.0.is_broken.store(true, Ordering::Relaxed);
    for number in 0..30 {
        world.write(&format!("n-{number}"), "x").await;
    }
    let is_open = |info: &ConsumerInfo| matches!(info.breaker, Some(BreakerState::Open(_)));
    eventually(async || is_open(&world.info("handler/recorder").await)).await;
    let started = seen.0.started.load(Ordering::Relaxed);
    seen.0.is_broken.store(false, Ordering::Relaxed);
    assert!(started < 30 * 4, "{started} attempts were started while everything failed");
    // Jobs that were started before it opened do not close it, and nothing else starts.
    eventually(async || {
        let info = world.info("handler/recorder").await;
        info.running == 0 && is_open(&info)
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_is_wrong_is_refused_at_the_start() {
    struct Wrong<const WHAT: u8>;

    impl<const WHAT: u8> Handler for Wrong<WHAT> {
        const NAME: &'static str = if WHAT == 0 { "No Name" } else { "wrong" };
        const QUEUE: &'static str = if WHAT == 1 { "fast" } else { "default" };

        fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
            match WHAT {
                2 => sources,
                3 => sources.only::<Note>(&["Painted"]),
                4 => sources.of::<Note>().of::<Note>(),
                _ => sources.of::<Note>(),
            }
        }
    }

    impl<const WHAT: u8> Handle<Note> for Wrong<WHAT> {
        async fn handle(&self, _: &Event<'_, Note>, _: &Job) -> Result<(), Failure> {
            Ok(())
        }
    }

    async fn refused<const WHAT: u8>(types: &[&str], twice: bool) -> StartError {
        let world = World::new().await;
        let bus: Arc<dyn dormouse_messaging::CommandBus> = world.bus.clone();
        let store = Arc::new(dormouse_messaging::store::Memory::new());
        let types = types.iter().map(ToString::to_string);
        let builder = Messaging::builder(world.journal.clone(), store, bus, types, options());
        let builder = builder.handler(Wrong::<WHAT>);
        let builder = if twice { builder.handler(Wrong::<WHAT>) } else { builder };
        builder.start(world.journal.epoch()).await.unwrap_err()
    }

    assert!(matches!(refused::<0>(&["note"], false).await, StartError::Name(_)));
    let no_queue = refused::<1>(&["note"], false).await.to_string();
    assert_eq!(
        no_queue,
        r#"the handler "wrong" runs in the queue "fast", but there are only default, modules, commands"#
    );
    assert!(matches!(refused::<2>(&["note"], false).await, StartError::NoSources { .. }));
    assert!(matches!(refused::<3>(&["note"], false).await, StartError::NoSuchEvent { .. }));
    assert!(matches!(refused::<4>(&["note"], false).await, StartError::DuplicateSource { .. }));
    assert!(matches!(refused::<5>(&[], false).await, StartError::UnknownSource { .. }));
    assert!(matches!(refused::<5>(&["note"], true).await, StartError::Duplicate(_)));
}

#[tokio::test]
async fn what_an_earlier_attempt_has_sent_stands() {
    struct Reporter;

    impl Handler for Reporter {
        const NAME: &'static str = "reporter";

        fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
            sources.of::<Note>()
        }
    }

    impl Handle<Note> for Reporter {
        async fn handle(&self, _: &Event<'_, Note>, job: &Job) -> Result<(), Failure> {
            match job.send::<Note>("result", write("took 7 ms")).await? {
                Sent::Accepted => Ok(()),
                Sent::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
    }

    let world = World::with(options(), |builder| builder.handler(Reporter)).await;
    // The earlier attempt measured another time.
    world.bus.answer("result", Some(Delivered::Superseded));
    world.write("a", "work").await;
    eventually(async || world.bus.deliveries().len() == 1).await;
    world.idle("handler/reporter").await;
    assert!(world.dead("handler/reporter").await.is_empty());
}
