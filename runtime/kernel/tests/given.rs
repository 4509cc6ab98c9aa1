//! The given/when/then kit: an assertion that does not hold fails its test.

use std::time::Duration;

use dormouse_kernel::{
    After, Aggregate, At, Context, DomainEvent, Every, ExpectedTimer, Given, Message, Rejection, Timestamp, Upcasters,
    Uuid,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Door {
    open: bool,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
enum DoorCommand {
    Open,
    Slam,
    Look,
    /// Asks the next door to open, and looks whether somebody came.
    Knock {
        next: String,
    },
    /// Shuts in a moment, and every hour.
    Wait {
        times: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum DoorEvent {
    Opened { at: String, by: String, event: Uuid },
    Shut,
}

impl DomainEvent for DoorEvent {}

#[derive(Debug, thiserror::Error)]
#[error("the door is open")]
struct AlreadyOpen;

impl Rejection for AlreadyOpen {
    fn code(&self) -> &'static str {
        "already-open"
    }
}

impl Aggregate for Door {
    const TYPE: &'static str = "door";
    type Command = DoorCommand;
    type Event = DoorEvent;
    type Reply = String;
    type Rejection = AlreadyOpen;

    fn decide(&self, command: DoorCommand, context: &mut Context<Self>) -> Result<String, AlreadyOpen> {
        match command {
            DoorCommand::Open => {
                let (at, by) = (context.now().to_string(), context.id().to_string());
                context.emit(DoorEvent::Opened { at, by, event: context.new_id() });
                // It is rejected after an event was emitted, which must not happen.
                if self.open {
                    return Err(AlreadyOpen);
                }
            }
            DoorCommand::Slam => {
                while context.state().open {
                    context.emit(DoorEvent::Shut);
                }
            }
            DoorCommand::Look => {}
            DoorCommand::Knock { next } => {
                context.send::<Door>(&next, DoorCommand::Open).on_refused(DoorCommand::Look);
                context.send::<Door>(next, DoorCommand::Look);
                let code = context.refusal().map(|refusal| refusal.code.clone());
                return Ok(format!("{:?} {code:?}", context.subject()));
            }
            DoorCommand::Wait { times } => {
                for number in 0..times {
                    context.schedule(format!("shut-{number}"), Every::new(HOUR), DoorCommand::Slam);
                }
                context.schedule("shut-0", After(HOUR), DoorCommand::Slam);
                context.cancel("open");
            }
        }
        Ok(format!("{} after {}", if context.state().open { "open" } else { "shut" }, context.version()))
    }

    fn evolve(&mut self, event: &DoorEvent) {
        self.open = matches!(event, DoorEvent::Opened { .. });
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn opened() -> DoorEvent {
    DoorEvent::Opened { at: "1970-01-01T00:00:00Z".to_owned(), by: "test".to_owned(), event: Uuid::from_u128(1) }
}

#[test]
fn a_command_sees_the_time_the_id_and_the_ids_it_was_given() {
    let noon: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
    let expected =
        DoorEvent::Opened { at: "2026-11-01T12:00:00Z".to_owned(), by: "front".to_owned(), event: Uuid::from_u128(1) };
    let after = Given::<Door>::nothing().with_id("front").at(noon).when(DoorCommand::Open).then([expected]);
    assert!(after.state().open);
}

#[test]
fn a_decision_sees_what_it_emitted() {
    Given::<Door>::events([opened()])
        .when(DoorCommand::Slam)
        .then([DoorEvent::Shut])
        .and_replies(&"shut after 1".to_owned());
}

#[test]
fn events_emitted_before_a_rejection_do_not_happen() {
    let given = Given::<Door>::events([opened()]);
    assert!(given.state().open);
    let after = given.when(DoorCommand::Open).then_rejected("already-open");
    assert_eq!(after.state(), &Door { open: true });
}

#[test]
fn an_accepted_command_may_change_nothing() {
    Given::<Door>::nothing().when(DoorCommand::Look).then([]).and_replies(&"shut after 0".to_owned());
}

#[test]
fn a_command_sends_messages_and_knows_its_sender() {
    Given::<Door>::nothing()
        .for_subject("ada")
        .after_refusal("already-open")
        .when(DoorCommand::Knock { next: "back".to_owned() })
        .then([])
        .then_sent([
            Message::to::<Door>("back", DoorCommand::Open).on_refused::<Door>("test", DoorCommand::Look),
            Message::to::<Door>("back", DoorCommand::Look),
        ])
        .and_replies(&r#"Some("ada") Some("already-open")"#.to_owned());
}

#[test]
fn a_command_sets_and_cancels_timers_and_the_last_change_of_a_timer_counts() {
    let in_an_hour: Timestamp = "2026-11-01T13:00:00Z".parse().unwrap();
    Given::<Door>::nothing().at(in_an_hour - HOUR).when(DoorCommand::Wait { times: 2 }).then_scheduled([
        ExpectedTimer::set("shut-1", Every::new(HOUR), DoorCommand::Slam),
        ExpectedTimer::set("shut-0", At(in_an_hour), DoorCommand::Slam),
        ExpectedTimer::cancelled("open"),
    ]);
}

#[test]
#[should_panic(expected = "the aggregate id contains a slash")]
fn a_message_to_an_id_that_is_not_valid_fails() {
    Given::<Door>::nothing().when(DoorCommand::Knock { next: "a/b".to_owned() }).then([]);
}

#[test]
#[should_panic(expected = "the command changes more than 256 timers")]
fn too_many_timers_fail() {
    Given::<Door>::nothing().when(DoorCommand::Wait { times: 1000 }).then([]);
}

#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn then_sent_fails_on_another_message() {
    let knock = DoorCommand::Knock { next: "back".to_owned() };
    Given::<Door>::nothing().when(knock).then_sent([Message::to::<Door>("back", DoorCommand::Open)]);
}

#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn then_scheduled_fails_on_another_time() {
    Given::<Door>::nothing().when(DoorCommand::Wait { times: 0 }).then_scheduled([
        ExpectedTimer::set("shut-0", After(2 * HOUR), DoorCommand::Slam),
        ExpectedTimer::cancelled("open"),
    ]);
}

#[test]
#[should_panic(expected = "`when` without a `then`")]
fn a_when_without_a_then_fails() {
    drop(Given::<Door>::nothing().when(DoorCommand::Look));
}

#[test]
#[should_panic(expected = "the command was rejected: the door is open (already-open)")]
fn then_fails_if_the_command_was_rejected() {
    Given::<Door>::events([opened()]).when(DoorCommand::Open).then([]);
}

#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn then_fails_if_other_events_happened() {
    Given::<Door>::events([opened()]).when(DoorCommand::Slam).then([DoorEvent::Shut, DoorEvent::Shut]);
}

#[test]
#[should_panic(expected = "the command was accepted, with [Shut]")]
fn then_rejected_fails_if_the_command_was_accepted() {
    Given::<Door>::events([opened()]).when(DoorCommand::Slam).then_rejected("already-open");
}

#[test]
#[should_panic(expected = "the door is open")]
fn then_rejected_fails_on_another_code() {
    Given::<Door>::events([opened()]).when(DoorCommand::Open).then_rejected("locked");
}

#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn and_replies_fails_on_another_reply() {
    Given::<Door>::nothing().when(DoorCommand::Look).and_replies(&"open".to_owned());
}

#[test]
#[should_panic(expected = "the command was rejected")]
fn and_replies_fails_if_the_command_was_rejected() {
    Given::<Door>::events([opened()]).when(DoorCommand::Open).and_replies(&String::new());
}

#[test]
#[should_panic(expected = "the aggregate id contains a slash")]
fn an_id_that_is_not_valid_fails() {
    let _ = Given::<Door>::nothing().with_id("a/b");
}

/// An upcaster renames its event, but the event is still written under the former name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
enum Careless {
    Old,
}

impl DomainEvent for Careless {
    fn upcasters() -> Upcasters {
        Upcasters::new().rename("Old", "New")
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Forgetful;

impl Aggregate for Forgetful {
    const TYPE: &'static str = "forgetful";
    type Command = ();
    type Event = Careless;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, (): (), _context: &mut Context<Self>) -> Result<(), Self::Rejection> {
        Ok(())
    }

    fn evolve(&mut self, _event: &Careless) {}
}

#[test]
#[should_panic(expected = "cannot decode event New")]
fn an_event_that_does_not_survive_being_stored_fails() {
    let _ = Given::<Forgetful>::events([Careless::Old]);
}
