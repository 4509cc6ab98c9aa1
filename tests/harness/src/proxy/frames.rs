//! The part of PostgreSQL's protocol that shows where a statement begins and ends.

use std::collections::HashMap;

/// Every message begins with a letter, except for the first ones of a connection. Then follows its length, which
/// includes the length field.
const HEADER: usize = 5;

/// The code of the startup message of protocol version 3.0, after which messages have tags.
const STARTUP: [u8; 4] = [0, 3, 0, 0];

/// What a message means for the statement that a [`Trap`](super::Trap) waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The request to execute the statement.
    Request,
    /// The end of the request, on which the server commits.
    Sync,
    /// One message that requests the statement and ends the request.
    Whole,
    Other,
}

/// Splits the bytes of a client into messages.
#[derive(Debug, Default)]
pub(super) struct Requests {
    unread: Vec<u8>,
    started: bool,
    /// The SQL text of each prepared statement, by name.
    prepared: HashMap<Vec<u8>, Vec<u8>>,
    /// The statement that was requested since the last Sync.
    current: Vec<u8>,
}

impl Requests {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next complete message, and what it means for a statement that contains `wanted`.
    pub(super) fn next(&mut self, wanted: Option<&str>) -> Option<(Vec<u8>, Part)> {
        let untagged = usize::from(!self.started);
        let length: [u8; 4] = self.unread.get(1 - untagged..HEADER - untagged)?.try_into().ok()?;
        let end = 1 - untagged + u32::from_be_bytes(length) as usize;
        if self.unread.len() < end {
            return None;
        }
        let message: Vec<u8> = self.unread.drain(..end).collect();
        if !self.started {
            self.started = message.get(4..8) == Some(&STARTUP);
            return Some((message, Part::Other));
        }
        let part = self.part(message[0], &message[HEADER..], wanted.map(str::as_bytes));
        Some((message, part))
    }

    fn part(&mut self, tag: u8, body: &[u8], wanted: Option<&[u8]>) -> Part {
        let is_wanted = |sql: &[u8]| wanted.is_some_and(|wanted| sql.windows(wanted.len()).any(|part| part == wanted));
        match tag {
            b'P' => {
                let (name, rest) = text(body);
                self.prepared.insert(name.to_vec(), text(rest).0.to_vec());
                Part::Other
            }
            b'B' => {
                let (_portal, rest) = text(body);
                self.current = self.prepared.get(text(rest).0).cloned().unwrap_or_default();
                if is_wanted(&self.current) { Part::Request } else { Part::Other }
            }
            b'S' if is_wanted(&std::mem::take(&mut self.current)) => Part::Sync,
            b'Q' if is_wanted(body) => Part::Whole,
            _ => Part::Other,
        }
    }
}

/// Whether these complete messages of the server end with ReadyForQuery.
pub(super) fn ends_ready(mut answer: &[u8]) -> bool {
    let mut last = 0;
    while let Some(length) = answer.get(1..HEADER).and_then(|length| <[u8; 4]>::try_from(length).ok()) {
        let Some(rest) = answer.get(1 + u32::from_be_bytes(length) as usize..) else { return false };
        (last, answer) = (answer[0], rest);
    }
    answer.is_empty() && last == b'Z'
}

/// The text up to a zero byte, and the bytes after it.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(4 + body.len()).unwrap();
        [&[tag], &length.to_be_bytes()[..], body].concat()
    }

    fn conversation() -> Vec<u8> {
        let startup = [&[0, 0, 0, 8][..], &STARTUP].concat();
        let parse = message(b'P', b"s1\0INSERT INTO events\0\0\0");
        let bind = message(b'B', b"\0s1\0...");
        [startup, parse, message(b'S', b""), bind, message(b'E', b"\0...."), message(b'S', b"")].concat()
    }

    #[test]
    fn a_prepared_statement_is_known_when_it_is_asked_for_however_it_arrives() {
        let all = conversation();
        for chunk in [1, 7, all.len()] {
            let mut requests = Requests::default();
            let (mut parts, mut forwarded) = (Vec::new(), Vec::new());
            for bytes in all.chunks(chunk) {
                requests.push(bytes);
                while let Some((message, part)) = requests.next(Some("INTO events")) {
                    parts.push(part);
                    forwarded.extend(message);
                }
            }
            assert_eq!(parts, [Part::Other, Part::Other, Part::Other, Part::Request, Part::Other, Part::Sync]);
            assert_eq!(forwarded, all);
        }
    }

    #[test]
    fn an_answer_is_complete_when_the_server_is_ready() {
        let completion = message(b'C', b"INSERT 0 2\0");
        let answer = [completion.clone(), message(b'Z', b"I")].concat();
        assert!(!ends_ready(&completion));
        assert!(ends_ready(&answer));
        assert!(!ends_ready(&answer[..answer.len() - 1]));
    }
}
