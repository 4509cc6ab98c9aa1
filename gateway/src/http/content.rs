//! A canonical form of a JSON body, for its fingerprint. The fingerprint is the same whatever the order of keys and the
//! notation of numbers, and it does not change when the command's type changes.
//!
//! The fingerprint is stored with the command, so the form must never change. Values follow each other without
//! separators: `n`, `t` and `f`; `#` and the 16 bytes of a whole number; `.` and the 8 bytes of another number; `"`,
//! the length in 8 bytes and the text; `[`, the elements and `]`; `{`, keys and values sorted by key, and `}`. All
//! numbers are little-endian.

use std::fmt;
use std::ops::Range;

use dormouse_kernel::Fingerprint;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Up to this number every whole number is also a float, so that a number in float notation is known to be whole.
const WHOLE_FLOATS: f64 = 9_007_199_254_740_992.0;

/// Bytes by which the canonical form of most bodies is longer than the body.
const ROOM_BYTES: usize = 256;

/// The fingerprint of a body; `None` if the body is not JSON. An empty body counts as an object without fields.
pub(super) fn fingerprint(body: &[u8]) -> Option<Fingerprint> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let mut written = Vec::with_capacity(body.len() + ROOM_BYTES);
    let mut from = serde_json::Deserializer::from_slice(body);
    CanonicalWriter(&mut written).deserialize(&mut from).ok()?;
    from.end().ok()?;
    Some(Fingerprint::of(&written))
}

/// Writes the canonical form of the value that it deserializes.
struct CanonicalWriter<'w>(&'w mut Vec<u8>);

impl CanonicalWriter<'_> {
    fn text(&mut self, text: &str) {
        self.0.push(b'"');
        self.0.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn whole(&mut self, number: i128) {
        self.0.push(b'#');
        self.0.extend_from_slice(&number.to_le_bytes());
    }
}

impl<'de> DeserializeSeed<'de> for CanonicalWriter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CanonicalWriter<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push(b'n');
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.push(if value { b't' } else { b'f' });
        Ok(())
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        self.whole(value.into());
        Ok(())
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        self.whole(value.into());
        Ok(())
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<(), E> {
        if value.fract() == 0.0 && value.abs() <= WHOLE_FLOATS {
            self.whole(value as i128);
        } else {
            self.0.push(b'.');
            self.0.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        Ok(())
    }

    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        self.text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        while elements.next_element_seed(CanonicalWriter(self.0))?.is_some() {}
        self.0.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let written = self.0;
        written.push(b'{');
        let start = written.len();
        let mut fields: Vec<FieldSpan> = Vec::new();
        loop {
            let from = written.len();
            if entries.next_key_seed(CanonicalWriter(written))?.is_none() {
                break;
            }
            let key = from..written.len();
            entries.next_value_seed(CanonicalWriter(written))?;
            fields.push(FieldSpan { key, end: written.len() });
        }
        if !fields.is_sorted_by_key(|field| &written[field.key.clone()]) {
            // The sort is stable: of equal keys, the first one stays first.
            fields.sort_by_key(|field| &written[field.key.clone()]);
            let mut sorted = Vec::with_capacity(written.len() - start);
            fields.iter().for_each(|field| sorted.extend_from_slice(&written[field.key.start..field.end]));
            written.truncate(start);
            written.append(&mut sorted);
        }
        written.push(b'}');
        Ok(())
    }
}

/// The place of a field in the written bytes: its key, and after it its value.
struct FieldSpan {
    key: Range<usize>,
    end: usize,
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::encode;

    use super::*;

    fn of(body: &str) -> Fingerprint {
        fingerprint(body.as_bytes()).unwrap()
    }

    #[test]
    fn equal_content_has_one_fingerprint_however_it_is_written() {
        for (one, other) in [
            (r#"{"b": [1, {"d": 2, "c": "x"}], "a": null}"#, r#"{"a":null,"b":[1,{"c":"x","d":2}]}"#),
            (r#"{"a": 1}"#, r#"{"a": 1.0}"#),
            (r#"{"a": 1e3}"#, r#"{"a": 1000}"#),
            (r#"{"a": -0.0}"#, r#"{"a": 0}"#),
            (r#"{"a": 0.50}"#, r#"{"a": 5e-1}"#),
            (r#"{"\u0061": "\u00fc\/"}"#, r#"{"a": "ü/"}"#),
            ("", "{}"),
        ] {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
    }

    #[test]
    fn different_content_has_different_fingerprints() {
        let all = [
            "{}",
            "[]",
            "null",
            "0",
            "\"0\"",
            "\"\"",
            "false",
            "1",
            "0.5",
            "[[]]",
            "[1,[2]]",
            "[[1],2]",
            "[1,2]",
            "[2,1]",
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
            r#"{"a":1}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":{},"b":1}"#,
            r#"{"A":1}"#,
            "9007199254740993",
            "9007199254740992",
            "18446744073709551615",
            "18446744073709551616",
            "-1",
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(of(one), of(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_body_that_is_not_json_has_no_fingerprint() {
        assert_eq!(fingerprint(b"{"), None);
        assert_eq!(fingerprint(b"{} {}"), None);
    }

    #[test]
    fn the_form_is_pinned_because_it_is_stored() {
        let mut written = Vec::new();
        let body = br#"{"b":[true,null,0.5],"a":"x"}"#;
        CanonicalWriter(&mut written).deserialize(&mut serde_json::Deserializer::from_slice(body)).unwrap();
        let expected = b"{\"\x01\0\0\0\0\0\0\0a\"\x01\0\0\0\0\0\0\0x\"\x01\0\0\0\0\0\0\0b[tn.\0\0\0\0\0\0\xe0\x3f]}";
        assert_eq!(written, expected);
        assert_eq!(encode(&fingerprint(body).unwrap()).unwrap(), encode(&Fingerprint::of(expected)).unwrap());
        let mut whole = Vec::new();
        CanonicalWriter(&mut whole).deserialize(&mut serde_json::Deserializer::from_slice(b"-2")).unwrap();
        assert_eq!(whole, [b"#\xfe".as_slice(), &[0xff; 15]].concat());
    }
}
