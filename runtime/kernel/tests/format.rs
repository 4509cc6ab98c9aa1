//! The stored formats, byte for byte. A change here makes journals unreadable.

use std::fmt::Write as _;

use dormouse_kernel::{CommandRecord, DomainEvent, EventCodec, EventId, Fingerprint, Metadata, Uuid, decode, encode};
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
    let metadata = Metadata {
        event_id: EventId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
        correlation: None,
        causation: None,
        subject: None,
        tenant: None,
        traceparent: None,
        command: None,
    };
    is_pinned(&metadata, "81a86576656e745f6964c41001900000000070008000000000000001");
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
    };
    is_pinned(&metadata, METADATA);
}

const METADATA: &str = concat!(
    "87",                                                                   // a map of 7
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
