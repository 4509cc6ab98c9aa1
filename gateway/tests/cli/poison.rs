//! `projections parked`, `retry` and `skip`, on a server whose projection meets poison.

use std::sync::Mutex;

use dormouse::{
    Aggregate, App, Config, Context, DomainEvent, Event, JournalUrl, Key, Keys, Project, Projection, Running, Sources,
};
use dormouse_harness::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Ended, run};

/// The words of a talk.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Talk(u64);

#[derive(Serialize, Deserialize, JsonSchema)]
enum TalkCommand {
    Say { word: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum TalkEvent {
    Said { word: String },
}

impl DomainEvent for TalkEvent {}

impl Aggregate for Talk {
    const TYPE: &'static str = "talk";
    type Command = TalkCommand;
    type Event = TalkEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(
        &self,
        TalkCommand::Say { word }: TalkCommand,
        context: &mut Context<Self>,
    ) -> Result<(), Self::Rejection> {
        context.emit(TalkEvent::Said { word });
        Ok(())
    }

    fn evolve(&mut self, _: &TalkEvent) {
        self.0 += 1;
    }
}

/// The view: the words of each talk.
struct Words;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Spoken(Vec<String>);

/// Swear words that are projected nevertheless.
static MENDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Projection for Words {
    const NAME: &'static str = "words";
    type Document = Spoken;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Talk>()
    }
}

impl Project<Talk> for Words {
    fn keys(event: &Event<'_, Talk>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<Spoken>, event: &Event<'_, Talk>, _: &Key) -> Option<Spoken> {
        let TalkEvent::Said { word } = event.body();
        let mut spoken = current.unwrap_or_default();
        let is_fine = !word.starts_with("damn") || MENDED.lock().unwrap().contains(word);
        assert!(is_fine, "such a word is not written down");
        spoken.0.push(word.clone());
        Some(spoken)
    }
}

/// A server of its own, inside this process.
struct Parlour {
    runtime: Runtime,
    running: Running,
    url: String,
}

impl Parlour {
    fn open() -> Self {
        let runtime = Runtime::new().unwrap();
        let mut config = Config::embedded();
        config.journal.url = JournalUrl::Memory;
        config.gateway.listen = "127.0.0.1:0".parse().unwrap();
        config.projections.poison_attempts = 1.try_into().unwrap();
        let running = runtime.block_on(App::new("parlour").aggregate::<Talk>().projection::<Words>().start(config));
        let running = running.unwrap();
        let url = format!("http://{}", running.address());
        Self { runtime, running, url }
    }

    fn say(&self, id: &str, words: &[&str]) {
        let client = Client::new(&self.url);
        for word in words {
            let answer = client.post(&format!("/v1/talk/{id}/say"), &json!({ "word": word })).unwrap();
            assert_eq!(answer.status, 200, "{answer}");
            let position = answer.header("dormouse-position").unwrap();
            let read = [("dormouse-min-position", position)];
            let seen = client.request("GET", &format!("/v1/views/words/{id}"), &read, None).unwrap();
            assert!([200, 404].contains(&seen.status), "{seen}");
        }
    }

    fn document(&self, id: &str) -> Value {
        Client::new(&self.url).get(&format!("/v1/views/words/{id}")).unwrap().json()["document"].clone()
    }

    fn projections(&self, arguments: &[&str]) -> Ended {
        run(&[&["projections"], arguments, &["--server", &self.url]].concat())
    }

    fn close(self) {
        self.runtime.block_on(self.running.stop());
    }
}

#[test]
fn an_operator_finds_poison_and_removes_it() {
    let parlour = Parlour::open();
    parlour.say("t-1", &["well", "damn", "anyway"]);
    parlour.say("t-2", &["hello"]);
    parlour.say("t-3", &["damned", "so"]);

    let listed = parlour.projections(&["parked", "words"]).stdout;
    let line = listed.lines().find(|line| line.starts_with("talk/t-1")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().take(5).collect();
    assert_eq!(cells, ["talk/t-1", "2", "2", "2", "1"], "{listed}");
    assert!(line.contains("such a word is not written down") && listed.lines().count() == 3, "{listed}");

    let shown = parlour.projections(&["parked", "words", "talk/t-1"]).stdout;
    for output in
        ["version 2 at position 2: failed", "\"word\": \"damn\"", "version 3 at position 3: waits for an earlier event"]
    {
        assert!(shown.contains(output), "{output}: {shown}");
    }
    let events: Value =
        serde_json::from_str(&parlour.projections(&["parked", "words", "talk/t-1", "--json"]).stdout).unwrap();
    assert_eq!(events[0]["event"]["data"]["word"], "damn");

    let still = parlour.projections(&["retry", "words", "--all"]);
    assert_eq!((still.code, still.stderr.as_str()), (Some(1), "dormouse: 2 of 2 aggregates are still parked\n"));
    assert!(
        still.stdout.contains("talk/t-1 is still parked at version 2, 0 of its events were added to the view"),
        "{still:?}"
    );

    MENDED.lock().unwrap().push("damn".to_owned());
    let before = parlour.projections(&["parked", "words"]).stdout;
    let dry = parlour.projections(&["retry", "words", "--all", "--dry-run"]);
    assert_eq!(dry.code, Some(1), "{dry:?}");
    assert!(
        dry.stdout.ends_with("words: 1 of 2 aggregates are no longer parked (dry run: nothing was changed)\n"),
        "{dry:?}"
    );
    assert_eq!(parlour.projections(&["parked", "words"]).stdout, before);
    let mended = parlour.projections(&["retry", "words", "talk/t-1"]);
    let output = "words: talk/t-1 is no longer parked, 2 of its events were added to the view\n";
    assert_eq!((mended.code, mended.stdout.as_str()), (Some(0), output));
    assert_eq!(parlour.document("t-1"), json!(["well", "damn", "anyway"]));

    // A paused projection processes parked events and stays paused.
    assert_eq!(parlour.projections(&["pause", "words"]).code, Some(0));
    let dry = parlour.projections(&["skip", "words", "talk/t-3", "--dry-run"]).stdout;
    assert!(dry.starts_with("words: skipped version 1 of talk/t-3 (dry run: nothing was changed)\n"), "{dry}");
    assert_eq!(parlour.document("t-3"), Value::Null);
    let skipped = parlour.projections(&["skip", "words", "--all"]);
    assert_eq!(skipped.stdout, "words: 1 of 1 aggregates are no longer parked\n", "{skipped:?}");
    assert_eq!((skipped.code, parlour.document("t-3")), (Some(0), json!(["so"])));
    assert_eq!(parlour.projections(&["parked", "words"]).stdout, "words: nothing is parked\n");
    parlour.close();
}
