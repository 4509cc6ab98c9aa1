//! A line of the file, prepared for sending.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::cli::failure::WrongArgument;

/// Makes keys for lines that have none.
pub(super) struct Keys {
    /// `None`: the import has no name to make keys of.
    prefix: Option<String>,
}

/// A line with a key.
#[derive(Debug)]
pub(super) struct PreparedLine {
    pub(super) number: u64,
    /// The text that is sent, without a line break.
    pub(super) text: Vec<u8>,
    /// Bytes of the line in the file.
    pub(super) bytes: usize,
    aggregate: u64,
}

impl Keys {
    /// Keys of the import with this name. They need not be unpredictable, only equal at the next import.
    pub(super) fn of(name: Option<&str>) -> Self {
        let digits = |name: &str| blake3::hash(name.as_bytes()).to_hex().chars().take(16).collect::<String>();
        Self { prefix: name.map(|name| format!("import-{}", digits(name))) }
    }

    /// Gives a line a key if it has none. The inner error says what is wrong with the line.
    ///
    /// # Errors
    /// The line needs a key, and the import has no name.
    pub(super) fn prepare(&self, number: u64, text: &[u8]) -> Result<Result<PreparedLine, String>, WrongArgument> {
        // Raw values keep numbers of any size and the order of inner fields.
        let mut fields: BTreeMap<String, Box<RawValue>> = match serde_json::from_slice(text.trim_ascii()) {
            Ok(fields) => fields,
            Err(error) => return Ok(Err(format!("it is not an object in JSON: {error}"))),
        };
        let of = |name: &str| fields.get(name).map(|value| value.get().to_owned()).unwrap_or_default();
        let hash = blake3::hash(format!("{} {}", of("type"), of("id")).as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        let has_key = fields.get("key").is_some_and(|key| key.get() != "null");
        let sent = if has_key {
            text.trim_ascii().to_vec()
        } else {
            let Some(prefix) = &self.prefix else {
                let what = format!(
                    "line {number} has no key, and standard input has no name to make one of: give one with --name"
                );
                return Err(WrongArgument(what));
            };
            let key = RawValue::from_string(format!("\"{prefix}-{number}\""));
            fields.extend(key.map(|key| ("key".to_owned(), key)));
            serde_json::to_vec(&fields).unwrap_or_else(|_| text.to_vec())
        };
        let aggregate = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Ok(Ok(PreparedLine { number, text: sent, bytes: text.len(), aggregate }))
    }
}

impl PreparedLine {
    /// The number of the sender for this line. All lines of an aggregate have the same sender.
    pub(super) fn sender(&self, senders: usize) -> usize {
        usize::try_from(self.aggregate % senders.max(1) as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn prepared(keys: &Keys, number: u64, text: &str) -> PreparedLine {
        keys.prepare(number, text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_line_without_a_key_gets_one_of_name_and_number_and_is_otherwise_unchanged() {
        let (keys, others) = (Keys::of(Some("a")), Keys::of(Some("b")));
        let text = r#" {"type":"t", "id":"i", "command":"c", "body":{"n":1.0,"m":18446744073709551616}, "key":null} "#;
        let line = prepared(&keys, 7, text);
        let sent = String::from_utf8(line.text.clone()).unwrap();
        assert!(sent.contains(r#""body":{"n":1.0,"m":18446744073709551616}"#), "{sent}");
        let key = |line: &PreparedLine| serde_json::from_slice::<Value>(&line.text).unwrap()["key"].clone();
        assert!(key(&line).as_str().unwrap().ends_with("-7"));
        assert_eq!(key(&line), key(&prepared(&keys, 7, text)));
        assert_ne!(key(&line), key(&prepared(&others, 7, text)));
    }

    #[test]
    fn a_line_with_a_key_is_sent_unchanged() {
        let text = r#"{"key":"k", "type":"t"}"#;
        assert_eq!(prepared(&Keys::of(None), 1, text).text, text.as_bytes());
    }

    #[test]
    fn without_a_name_a_line_needs_a_key() {
        let error = Keys::of(None).prepare(3, b"{}").unwrap_err();
        assert!(error.to_string().contains("line 3 has no key"), "{error}");
        assert!(Keys::of(None).prepare(3, b"[]").unwrap().is_err());
    }

    #[test]
    fn lines_of_an_aggregate_go_to_one_sender() {
        let keys = Keys::of(Some("a"));
        let of = |id: u32, command: &str| {
            let text = json!({"type": "t", "id": id.to_string(), "command": command}).to_string();
            prepared(&keys, 1, &text).sender(4)
        };
        assert!((0..50).all(|id| of(id, "c") == of(id, "d")));
        assert!((0..4).all(|sender| (0..50).any(|id| of(id, "c") == sender)));
    }
}
