//! An application with years of history. Each test reads an event as an older version of the application wrote it, byte
//! for byte. Journals contain the hex below: it is never changed, only extended.

use dormouse_kernel::{
    Aggregate, Chain, CodecError, Context, Decoded, DomainEvent, EventCodec, NewEvent, NotAnEnum, RawEvent, Timestamp,
    Upcasters,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The current events of a member of a library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum MemberEvent {
    /// A later version added `newsletter`. In events of earlier versions it is false.
    Joined {
        name: String,
        #[serde(default)]
        newsletter: bool,
    },
    /// Version 1 had no country.
    Moved { city: String, country: String },
    /// Called `Resigned` until the library started to expel members.
    Left { reason: String },
    /// This event and the next one were `ProfileChanged` until version 2 of it, which was never written.
    EmailChanged { email: String },
    /// See above.
    PhoneChanged { phone: String },
    /// Version 1 had whole euros, version 2 cents, version 3 any currency.
    FeePaid { cents: u64, currency: String },
    /// Called `Admonished` when its only step was written.
    Warned { text: String, points: u32 },
}

impl DomainEvent for MemberEvent {
    fn upcasters() -> Upcasters {
        Upcasters::new()
            .upcast("Moved", 1, |old: MovedV1| MovedV2 { city: old.city, country: "GB".to_owned() })
            .rename("Resigned", "Left")
            .split("ProfileChanged", 1, |old: ProfileChangedV1| {
                [
                    RawEvent::new("EmailChanged", 1, &EmailChangedV1 { email: old.email }),
                    RawEvent::new("PhoneChanged", 1, &PhoneChangedV1 { phone: old.phone }),
                ]
            })
            .upcast("FeePaid", 1, |old: FeePaidV1| FeePaidV2 { cents: old.euros * 100 })
            .upcast("FeePaid", 2, |old: FeePaidV2| FeePaidV3 { cents: old.cents, currency: "EUR".to_owned() })
            .upcast("Admonished", 1, |old: AdmonishedV1| AdmonishedV2 { text: old.text, points: 1 })
            .rename("Admonished", "Warned")
    }
}

#[derive(Deserialize)]
struct MovedV1 {
    city: String,
}

#[derive(Serialize)]
struct MovedV2 {
    city: String,
    country: String,
}

#[derive(Deserialize)]
struct ProfileChangedV1 {
    email: String,
    phone: String,
}

#[derive(Serialize)]
struct EmailChangedV1 {
    email: String,
}

#[derive(Serialize)]
struct PhoneChangedV1 {
    phone: String,
}

#[derive(Deserialize)]
struct FeePaidV1 {
    euros: u64,
}

#[derive(Serialize, Deserialize)]
struct FeePaidV2 {
    cents: u64,
}

#[derive(Serialize)]
struct FeePaidV3 {
    cents: u64,
    currency: String,
}

#[derive(Deserialize)]
struct AdmonishedV1 {
    text: String,
}

#[derive(Serialize)]
struct AdmonishedV2 {
    text: String,
    points: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Member {
    name: String,
    email: String,
    phone: String,
    paid_cents: u64,
}

impl Aggregate for Member {
    const TYPE: &'static str = "member";
    type Command = ();
    type Event = MemberEvent;
    type Reply = ();
    type Rejection = std::convert::Infallible;

    fn decide(&self, (): (), _context: &mut Context<Self>) -> Result<(), Self::Rejection> {
        Ok(())
    }

    fn evolve(&mut self, event: &MemberEvent) {
        match event {
            MemberEvent::Joined { name, .. } => name.clone_into(&mut self.name),
            MemberEvent::EmailChanged { email } => email.clone_into(&mut self.email),
            MemberEvent::PhoneChanged { phone } => phone.clone_into(&mut self.phone),
            MemberEvent::FeePaid { cents, .. } => self.paid_cents += cents,
            MemberEvent::Moved { .. } | MemberEvent::Left { .. } | MemberEvent::Warned { .. } => {}
        }
    }
}

const JOINED_V1: &str = "81a46e616d65a3416461"; // {name: "Ada"}
const MOVED_V1: &str = "81a463697479a64c6f6e646f6e"; // {city: "London"}
const RESIGNED_V1: &str = "81a6726561736f6ea7746f6f20666172"; // {reason: "too far"}
const PROFILE_CHANGED_V1: &str = "82a5656d61696caf616461406578616d706c652e6f7267a570686f6e65a3353535"; // {email, phone}
const FEE_PAID_V1: &str = "81a56575726f730c"; // {euros: 12}
const FEE_PAID_V2: &str = "81a563656e7473cd04e2"; // {cents: 1250}
const FEE_PAID_V3: &str = "82a563656e7473cd04e2a863757272656e6379a3474250"; // {cents: 1250, currency: "GBP"}
const ADMONISHED_V1: &str = "81a474657874a46c617465"; // {text: "late"}

#[test]
fn a_field_with_a_default_may_be_missing() {
    assert_eq!(read("Joined", 1, JOINED_V1), [MemberEvent::Joined { name: "Ada".to_owned(), newsletter: false }]);
}

#[test]
fn an_upcaster_adds_a_field() {
    let moved = MemberEvent::Moved { city: "London".to_owned(), country: "GB".to_owned() };
    assert_eq!(read("Moved", 1, MOVED_V1), [moved]);
}

#[test]
fn a_renamed_event_is_found_by_its_old_name() {
    assert_eq!(read("Resigned", 1, RESIGNED_V1), [MemberEvent::Left { reason: "too far".to_owned() }]);
}

#[test]
fn a_step_that_is_older_than_the_new_name_still_applies() {
    let warned = MemberEvent::Warned { text: "late".to_owned(), points: 1 };
    assert_eq!(read("Admonished", 1, ADMONISHED_V1), [warned]);
    assert!(codec().events().contains(&("Warned", 2)), "what is written today continues the old versions");
}

#[test]
fn one_event_becomes_two_and_the_aggregate_folds_both() {
    let history = [("Joined", 1, JOINED_V1), ("ProfileChanged", 1, PROFILE_CHANGED_V1), ("FeePaid", 1, FEE_PAID_V1)];
    let mut member = Member::default();
    for (name, schema_version, hex) in history {
        read(name, schema_version, hex).iter().for_each(|event| member.evolve(event));
    }
    let expected = Member {
        name: "Ada".to_owned(),
        email: "ada@example.org".to_owned(),
        phone: "555".to_owned(),
        paid_cents: 1200,
    };
    assert_eq!(member, expected);
}

#[test]
fn every_version_that_was_ever_written_leads_to_current_events() {
    let paid = |cents, currency: &str| [MemberEvent::FeePaid { cents, currency: currency.to_owned() }];
    assert_eq!(read("FeePaid", 1, FEE_PAID_V1), paid(1200, "EUR"));
    assert_eq!(read("FeePaid", 2, FEE_PAID_V2), paid(1250, "EUR"));
    assert_eq!(read("FeePaid", 3, FEE_PAID_V3), paid(1250, "GBP"));
}

#[test]
fn events_are_written_in_the_version_that_their_steps_lead_to() {
    let written = codec().events().to_vec();
    let expected = [
        ("Joined", 1),
        ("Moved", 2),
        ("Left", 1),
        ("EmailChanged", 1),
        ("PhoneChanged", 1),
        ("FeePaid", 3),
        ("Warned", 2),
    ];
    assert_eq!(written, expected);
    let paid = MemberEvent::FeePaid { cents: 1250, currency: "GBP".to_owned() };
    let encoded = codec().encode(&paid).unwrap();
    assert_eq!((encoded.name, encoded.schema_version, encoded.fields), ("FeePaid", 3, bytes(FEE_PAID_V3)));
}

#[test]
fn an_event_that_needs_no_step_is_read_without_one() {
    let decoded = codec().decode("FeePaid", 3, &bytes(FEE_PAID_V3)).unwrap();
    assert!(matches!(decoded, Decoded::One(_)));
}

#[test]
fn an_event_newer_than_the_code_is_refused() {
    let refused = codec().decode("FeePaid", 4, &bytes(FEE_PAID_V3)).unwrap_err();
    assert_eq!(refused, CodecError::Newer { name: "FeePaid".to_owned(), found: 4, known: 3 });
    assert_eq!(refused.to_string(), "event FeePaid has schema version 4, this application knows it up to 3");
    let refused = codec().decode("Resigned", 2, &bytes(RESIGNED_V1)).unwrap_err();
    assert_eq!(refused.to_string(), "event Left has schema version 2, this application knows it up to 1");
}

#[test]
fn an_event_that_the_code_does_not_know_is_refused_by_its_name() {
    let refused = codec().decode("Promoted", 1, &bytes(JOINED_V1)).unwrap_err();
    assert!(refused.to_string().starts_with("cannot decode event Promoted: unknown variant `Promoted`"), "{refused}");
}

#[test]
fn a_version_that_no_step_takes_further_is_refused() {
    let refused = codec().decode("Moved", 0, &bytes(MOVED_V1)).unwrap_err();
    assert_eq!(refused.to_string(), "cannot decode event Moved: no upcaster takes schema version 0 towards 2");
}

#[test]
fn damaged_bytes_are_refused() {
    for (name, schema_version, hex) in
        [("Joined", 1, JOINED_V1), ("FeePaid", 1, FEE_PAID_V1), ("ProfileChanged", 1, PROFILE_CHANGED_V1)]
    {
        let whole = bytes(hex);
        for length in 0..whole.len() {
            assert!(codec().decode(name, schema_version, &whole[..length]).is_err(), "{name}, {length} bytes");
        }
        let longer = [&whole[..], &[0xc0]].concat();
        assert!(codec().decode(name, schema_version, &longer).is_err(), "{name}, one byte too many");
    }
}

#[test]
fn a_step_that_cannot_read_its_event_names_the_event() {
    let refused = codec().decode("FeePaid", 1, &bytes(FEE_PAID_V2)).unwrap_err();
    assert_eq!(refused.to_string(), "cannot decode event FeePaid version 1: missing field `euros`");
}

/// `Tick` and `Tock` split into each other for ever, `Ping` is renamed to `Pong` and back, `Same` turns into itself.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
enum Endless {
    Tick {},
    Tock {},
    Ping {},
    Pong {},
    Same {},
}

impl DomainEvent for Endless {
    fn upcasters() -> Upcasters {
        Upcasters::new()
            .split("Tick", 1, |()| [RawEvent::new("Tock", 1, &())])
            .split("Tock", 1, |()| [RawEvent::new("Tick", 1, &()), RawEvent::new("Tick", 1, &())])
            .split("Same", 1, |()| [RawEvent::new("Same", 1, &())])
            .rename("Ping", "Pong")
            .rename("Pong", "Ping")
    }
}

#[test]
fn upcasters_that_lead_in_a_circle_are_an_error() {
    let codec = EventCodec::<Endless>::new().unwrap();
    for name in ["Tick", "Tock", "Ping", "Pong", "Same"] {
        let refused = codec.decode(name, 1, &[0xc0]).unwrap_err();
        assert!(matches!(refused, CodecError::EndlessUpcast { .. }), "{name}: {refused}");
        assert!(refused.to_string().ends_with("never end"), "{refused}");
    }
}

fn stored(name: &'static str, schema_version: u32, hex: &str) -> NewEvent {
    let (metadata, recorded_at, chain) = (Vec::new(), Timestamp::UNIX_EPOCH, Chain::ROOT);
    NewEvent { event_type: name.into(), schema_version, payload: bytes(hex), metadata, recorded_at, chain }
}

#[test]
fn a_selection_by_name_has_events_that_are_stored_under_former_names() {
    let codec = codec();
    for name in ["Left", "Resigned"] {
        let left = codec.select(&[name]);
        assert!(left.includes(&stored("Resigned", 1, RESIGNED_V1)) && left.includes(&stored("Left", 1, RESIGNED_V1)));
        assert!(!left.includes(&stored("Joined", 1, JOINED_V1)));
    }
    assert_eq!(
        codec.select(&["Warned"]).stored_names().filter(|name| *name != "ProfileChanged").collect::<Vec<_>>(),
        ["Admonished", "Warned"]
    );
    assert!(codec.select(&["Nobody"]).is_empty() && codec.select::<&str>(&[]).is_empty());
}

#[test]
fn a_selection_by_name_has_events_that_a_step_turns_into_that_event() {
    let codec = codec();
    let profile = stored("ProfileChanged", 1, PROFILE_CHANGED_V1);
    for name in ["EmailChanged", "PhoneChanged", "ProfileChanged"] {
        assert!(codec.select(&[name]).includes(&profile), "{name}");
    }
    let others = codec.select(&["Left", "Joined"]);
    assert!(!others.includes(&profile));
    let unreadable = stored("ProfileChanged", 1, JOINED_V1);
    assert!(codec.select(&["ProfileChanged"]).includes(&unreadable) && !others.includes(&unreadable));
}

#[test]
fn a_selection_knows_the_aliases_of_a_variant() {
    let codec = EventCodec::<Aliased>::new().unwrap();
    for name in ["Opened", "Created", "Begun"] {
        let names: Vec<_> = codec.select(&[name]).stored_names().map(str::to_owned).collect();
        assert_eq!(names, ["Begun", "Created", "Opened"], "{name}");
    }
}

/// `Begun` was renamed to `Created` by a step, which is an alias of `Opened` today.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
enum Aliased {
    #[serde(alias = "Created")]
    Opened {},
    Closed {},
}

impl DomainEvent for Aliased {
    fn upcasters() -> Upcasters {
        Upcasters::new().rename("Begun", "Created")
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct NoEnum {
    name: String,
}

impl DomainEvent for NoEnum {}

#[test]
fn events_that_are_not_an_enum_are_refused_before_anything_is_written() {
    assert_eq!(EventCodec::<NoEnum>::new().unwrap_err(), NotAnEnum(std::any::type_name::<NoEnum>()));
}

fn codec() -> EventCodec<MemberEvent> {
    EventCodec::new().expect("an enum")
}

fn read(name: &str, schema_version: u32, hex: &str) -> Vec<MemberEvent> {
    codec().decode(name, schema_version, &bytes(hex)).expect("readable").as_slice().to_vec()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}
