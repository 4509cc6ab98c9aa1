//! The stored formats, byte for byte. A change here makes journals unreadable.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in its helpers")]

use std::fmt::Write as _;

use dormouse_kernel::{
    AddressedCommand, AggregateId, AggregateRef, AggregateType, CatchUp, Chain, CommandRecord, Cron, DomainEvent,
    EventCodec, EventId, Fingerprint, Message, Metadata, NewEvent, OUTGOING_EVENT, OUTGOING_PAYLOAD, Outgoing,
    Position, RecordedEvent, Schedule, TimerChange, TimerName, Timestamp, Uuid, Version, decode, encode,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum TicketEvent {
    Opened {
        title: String,
        priority: u8,
        parent: Option<u64>,
        labels: Vec<String>,
    },
    Assigned(Assignee),
    Commented(String),
    Moved(i64, i64),
    Closed,
    #[serde(rename = "ticket-reopened")]
    Reopened {},
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Assignee {
    user: String,
    role: Role,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Role {
    Owner,
    Deputy { days: u16 },
}

impl DomainEvent for TicketEvent {}

#[test]
fn an_event_is_its_name_and_its_fields_by_name() {
    let opened = TicketEvent::Opened {
        title: "Broken".to_owned(),
        priority: 200,
        parent: None,
        labels: vec!["ui".to_owned(), "bug".to_owned()],
    };
    let owner = Assignee { user: "ada".to_owned(), role: Role::Owner };
    let deputy = Assignee { user: "bob".to_owned(), role: Role::Deputy { days: 300 } };
    let golden = [
        (
            opened,
            "Opened",
            "84a57469746c65a642726f6b656ea87072696f72697479ccc8a6706172656e74c0a66c6162656c7392a27569a3627567",
        ),
        (TicketEvent::Assigned(owner), "Assigned", "82a475736572a3616461a4726f6c65a54f776e6572"),
        (TicketEvent::Assigned(deputy), "Assigned", "82a475736572a3626f62a4726f6c6581a644657075747981a464617973cd012c"),
        (TicketEvent::Commented("hm".to_owned()), "Commented", "a2686d"),
        (TicketEvent::Moved(-1, 70_000), "Moved", "92ffce00011170"),
        (TicketEvent::Closed, "Closed", "c0"),
        (TicketEvent::Reopened {}, "ticket-reopened", "80"),
    ];
    let codec = EventCodec::new().unwrap();
    for (event, name, fields) in golden {
        let encoded = codec.encode(&event).unwrap();
        assert_eq!((encoded.name, encoded.schema_version, hex(&encoded.fields).as_str()), (name, 1, fields));
        assert_eq!(codec.decode(name, 1, &bytes(fields)).unwrap().as_slice(), [event]);
    }
}

#[test]
fn metadata_without_optional_parts_is_only_the_event_id() {
    is_pinned(&plain(), "81a86576656e745f6964c41001900000000070008000000000000001");
}

fn plain() -> Metadata {
    Metadata {
        event_id: EventId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
        correlation: None,
        causation: None,
        subject: None,
        tenant: None,
        traceparent: None,
        command: None,
        outgoing: None,
    }
}

#[test]
fn metadata_with_everything() {
    let metadata = Metadata {
        event_id: EventId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
        correlation: Some("c".to_owned()),
        causation: Some("k".to_owned()),
        subject: Some("s".to_owned()),
        tenant: Some("t".to_owned()),
        traceparent: Some("00-1-2-01".to_owned()),
        command: Some(CommandRecord {
            name: "CreateOrder".into(),
            events: 2,
            fingerprint: Some(Fingerprint::of(b"abc")),
            content: None,
            reply: vec![0xc0],
        }),
        outgoing: Some(Box::new(outgoing())),
    };
    is_pinned(&metadata, &[METADATA, OUTGOING].concat());
}

/// Every form of a message and of a timer.
fn outgoing() -> Outgoing {
    let aggregate = |id: &str| AggregateRef::new(AggregateType::new("bin").unwrap(), AggregateId::new(id).unwrap());
    let addressed = |id: &str, command: &[u8]| AddressedCommand::encoded(aggregate(id), command.to_vec());
    let name = |name: &str| TimerName::new(name).unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let set = |name, schedule| TimerChange::Set { name, schedule, command: vec![0xc0] };
    Outgoing {
        messages: vec![
            Message { to: addressed("a", b"\xa4Fill"), on_refused: None },
            Message { to: addressed("b", b"\xa4Fill"), on_refused: Some(addressed("c", b"\xa4Give")) },
        ],
        timers: vec![
            set(name("once"), Schedule::Once { due: at("2026-01-01T00:00:00Z") }),
            set(
                name("every"),
                Schedule::Every { first: at("2026-01-01T00:00:00Z"), interval_ms: 1000, catch_up: CatchUp::All },
            ),
            set(
                name("cron"),
                Schedule::Cron {
                    first: at("2026-01-01T00:00:00Z"),
                    cron: Cron::new("0 9 * * *").unwrap().in_time_zone("Europe/Berlin").unwrap(),
                    catch_up: CatchUp::None,
                },
            ),
            TimerChange::Cancelled { name: name("x") },
            TimerChange::Fired { name: name("y") },
        ],
    }
}

const OUTGOING: &str = concat!(
    "a86f7574676f696e6782",                                     // outgoing: a map of 2
    "a86d6573736167657392",                                     // messages: an array of 2
    "81a2746f83a474797065a362696ea26964a161",                   // a map of 1, to: a map of 3, type, id
    "a7636f6d6d616e64c405a446696c6c",                           // command
    "82a2746f83a474797065a362696ea26964a162",                   // the second one
    "a7636f6d6d616e64c405a446696c6c",                           // its command
    "aa6f6e5f7265667573656483a474797065a362696ea26964a163",     // on_refused: a map of 3, type, id
    "a7636f6d6d616e64c405a447697665",                           // command
    "a674696d65727395",                                         // timers: an array of 5
    "81a373657483a46e616d65a46f6e6365",                         // set: a map of 3, name
    "a87363686564756c6581a46f6e636581a3647565",                 // schedule: once, due
    "b4323032362d30312d30315430303a30303a30305a",               // a time
    "a7636f6d6d616e64c401c0",                                   // command
    "81a373657483a46e616d65a56576657279",                       // set, name
    "a87363686564756c6581a5657665727983a56669727374",           // schedule: every, a map of 3, first
    "b4323032362d30312d30315430303a30303a30305a",               // a time
    "ab696e74657276616c5f6d73cd03e8a863617463685f7570a3616c6c", // interval_ms, catch_up
    "a7636f6d6d616e64c401c0",                                   // command
    "81a373657483a46e616d65a463726f6e",                         // set, name
    "a87363686564756c6581a463726f6e83a56669727374",             // schedule: cron, a map of 3, first
    "b4323032362d30312d30315430303a30303a30305a",               // a time
    "a463726f6e82aa65787072657373696f6ea9302039202a202a202a",   // cron: expression
    "a974696d655f7a6f6e65ad4575726f70652f4265726c696e",         // time_zone
    "a863617463685f7570a46e6f6e65",                             // catch_up
    "a7636f6d6d616e64c401c0",                                   // command
    "81a963616e63656c6c656481a46e616d65a178",                   // cancelled
    "81a5666972656481a46e616d65a179",                           // fired
);

#[test]
fn what_is_outgoing_is_found_in_metadata_without_decoding_the_rest() {
    let metadata = Metadata { outgoing: Some(Box::new(outgoing())), ..plain() };
    assert_eq!(recorded(&metadata).outgoing().unwrap(), Some(outgoing()));
    assert_eq!(recorded(&plain()).outgoing().unwrap(), None);
    // A text that looks like the field costs a decoding, and is not taken for it.
    let misleading = Metadata { subject: Some("\u{628}outgoing".to_owned()), ..plain() };
    assert!(RecordedEvent::may_have_outgoing(&recorded(&misleading).event));
    assert_eq!(recorded(&misleading).outgoing().unwrap(), None);
}

#[test]
fn a_row_without_an_event_of_the_domain_decodes_to_none() {
    let codec = EventCodec::<TicketEvent>::new().unwrap();
    assert_eq!(codec.decode(OUTGOING_EVENT, 1, OUTGOING_PAYLOAD).unwrap().as_slice(), []);
}

const METADATA: &str = concat!(
    "88",                                                                   // a map of 8
    "a86576656e745f6964c41001900000000070008000000000000001",               // event_id
    "ab636f7272656c6174696f6ea163",                                         // correlation
    "a9636175736174696f6ea16b",                                             // causation
    "a77375626a656374a173",                                                 // subject
    "a674656e616e74a174",                                                   // tenant
    "ab7472616365706172656e74a930302d312d322d3031",                         // traceparent
    "a7636f6d6d616e6484a46e616d65ab4372656174654f72646572a66576656e747302", // command: a map of 4, name, events
    "ab66696e6765727072696e74cf33514638acb33764",                           // fingerprint
    "a57265706c79c401c0",                                                   // reply
);

#[test]
fn a_command_without_a_key_has_no_fingerprint() {
    let record = CommandRecord { name: "A".into(), events: 1, fingerprint: None, content: None, reply: vec![] };
    is_pinned(&record, "83a46e616d65a141a66576656e747301a57265706c79c400");
}

#[test]
fn a_command_that_was_written_by_its_sender_has_the_fingerprint_of_that_too() {
    let content = Some(Fingerprint::of(b"abc"));
    let record = CommandRecord { name: "A".into(), events: 1, fingerprint: content, content, reply: vec![] };
    is_pinned(
        &record,
        concat!(
            "85a46e616d65a141a66576656e747301",
            "ab66696e6765727072696e74cf33514638acb33764",
            "a7636f6e74656e74cf33514638acb33764",
            "a57265706c79c400",
        ),
    );
}

#[test]
fn metadata_of_a_later_version_is_read_without_what_it_added() {
    #[derive(Serialize)]
    struct Later {
        event_id: EventId,
        region: &'static str,
    }
    let event_id = EventId(Uuid::from_u128(7));
    let read: Metadata = decode(&encode(&Later { event_id, region: "eu" }).unwrap()).unwrap();
    assert_eq!(read.event_id, event_id);
}

#[test]
fn a_fingerprint_is_the_start_of_the_blake3_hash() {
    assert_eq!(hex(&encode(&Fingerprint::of(b"abc")).unwrap()), "cf33514638acb33764");
}

fn recorded(metadata: &Metadata) -> RecordedEvent {
    let event = NewEvent {
        event_type: "Closed".into(),
        schema_version: 1,
        payload: vec![0xc0],
        metadata: encode(metadata).unwrap(),
        recorded_at: Timestamp::UNIX_EPOCH,
        chain: Chain::ROOT,
    };
    let aggregate = AggregateRef::new(AggregateType::new("ticket").unwrap(), AggregateId::new("a").unwrap());
    RecordedEvent { position: Position(1), aggregate, version: Version(1), command_key: None, event }
}

fn is_pinned<T>(value: &T, golden: &str)
where
    T: std::fmt::Debug + PartialEq + Serialize + serde::de::DeserializeOwned,
{
    assert_eq!(hex(&encode(value).expect("encodable")), golden);
    assert_eq!(&decode::<T>(&bytes(golden)).expect("decodable"), value);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("strings take everything");
        hex
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}
