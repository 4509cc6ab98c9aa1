//! The stored bytes of events, for the tests of all domains.

use dormouse_kernel::{DomainEvent, EventCodec};

/// The event is written as these bytes, and these bytes are read as the event.
#[track_caller]
pub(crate) fn is_pinned<E: DomainEvent + std::fmt::Debug + PartialEq>(event: E, golden: &str) {
    let codec = EventCodec::<E>::new().expect("an enum");
    let encoded = codec.encode(&event).expect("encodable");
    assert_eq!((encoded.schema_version, &encoded.fields), (1, &bytes(golden)), "{:02x?}", encoded.fields);
    assert_eq!(codec.decode(encoded.name, 1, &bytes(golden)).expect("decodable").as_slice(), [event]);
}

/// The bytes of a text of hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}
