//! Random texts, and random changes of a token that is accepted. `PROPTEST_CASES=1000000` makes a fuzzer of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{NOW, Server, claims};

/// A change of a text at some place.
#[derive(Clone, Debug)]
enum Change {
    Replace(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Cut(usize),
    Repeat(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = || 0..10_000_usize;
    let byte = || prop_oneof![Just(b'.'), Just(b'='), Just(b'A'), Just(b'-'), 0x20..0x7f_u8];
    prop_oneof![
        (place(), byte()).prop_map(|(place, byte)| Change::Replace(place, byte)),
        (place(), byte()).prop_map(|(place, byte)| Change::Insert(place, byte)),
        place().prop_map(Change::Remove),
        place().prop_map(Change::Cut),
        (place(), 1..40_usize).prop_map(|(place, length)| Change::Repeat(place, length)),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for change in changes {
        let place = |place: usize| place % bytes.len().max(1);
        match *change {
            _ if bytes.is_empty() => break,
            Change::Replace(at, byte) => {
                let at = place(at);
                bytes[at] = byte;
            }
            Change::Insert(at, byte) => bytes.insert(place(at), byte),
            Change::Remove(at) => _ = bytes.remove(place(at)),
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Repeat(at, length) => {
                let start = place(at);
                bytes.extend_from_within(start..(start + length).min(bytes.len()));
            }
        }
    }
    String::from_utf8(bytes).expect("changes are ASCII")
}

/// A token whose decoded part is changed, and then encoded again: the change reaches what parses JSON.
fn changed_within(token: &str, part: usize, changes: &[Change]) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let decoded = URL_SAFE_NO_PAD.decode(&parts[part]).expect("the token is valid");
    let decoded = String::from_utf8(decoded).expect("headers and claims are JSON");
    parts[part] = URL_SAFE_NO_PAD.encode(changed(&decoded, changes));
    parts.join(".")
}

#[test]
fn no_changed_token_and_no_random_text_lets_in() {
    let server = Server::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let is_refused = |token: &str| runtime.block_on(server.authenticator.authenticate_at(token, NOW)).is_err();
    let good = server.ed.sign(&claims());
    assert!(!is_refused(&good));
    let mut runner = proptest::test_runner::TestRunner::default();
    let cases = (vec(change(), 1..6), 0..3_usize, "\\PC{0,80}");
    let result = runner.run(&cases, |(changes, part, text)| {
        let candidates = match part {
            2 => vec![changed(&good, &changes), text],
            part => vec![changed_within(&good, part, &changes), text],
        };
        for token in candidates {
            prop_assert!(token == good || is_refused(&token), "{token}");
        }
        Ok(())
    });
    result.unwrap();
}
