//! The vectors of Wycheproof for AES-GCM, those with the sizes that are used here.

use serde::Deserialize;

use super::Cipher;
use crate::secret::SecretKey;

const VECTORS: &str = include_str!("../../tests/wycheproof/aes_256_gcm.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    number_of_tests: usize,
    tests: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    tc_id: u32,
    comment: String,
    key: String,
    iv: String,
    aad: String,
    msg: String,
    ct: String,
    tag: String,
    result: String,
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).expect("hexadecimal digits");
    (0..hexadecimal.len()).step_by(2).map(digits).collect()
}

#[test]
fn the_vectors_of_wycheproof_are_opened_or_refused_as_they_say() {
    let Vectors { number_of_tests, tests } = serde_json::from_str(VECTORS).unwrap();
    assert_eq!((tests.len(), number_of_tests), (66, 66));
    let mut refused = 0;
    for Vector { tc_id, comment, key, iv, aad, msg, ct, tag, result } in tests {
        let cipher = Cipher::new(&SecretKey::from_bytes(&bytes(&key)).unwrap()).unwrap();
        let (aad, msg) = (bytes(&aad), bytes(&msg));
        let opened = cipher.open(&aad, &[bytes(&iv), bytes(&ct), bytes(&tag)].concat());
        match result.as_str() {
            "valid" => assert_eq!(opened.as_deref(), Some(&*msg), "{tc_id}: {comment}"),
            "invalid" => {
                assert_eq!(opened, None, "{tc_id}: {comment}");
                refused += 1;
            }
            other => panic!("{tc_id}: {other}"),
        }

        // The nonce is random, so that a vector cannot be sealed as it is. But what is sealed is opened.
        let mut sealed = Vec::new();
        cipher.seal(&aad, &msg, &mut sealed).unwrap();
        assert_eq!(cipher.open(&aad, &sealed).as_deref(), Some(&*msg), "{tc_id}: {comment}");
    }
    assert!(refused > 10, "{refused}");
}
