mod damage_and_moves;
mod formats;
mod generated;
mod schemas;

use std::sync::Arc;

use dormouse_kernel::{Personal, encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::keyring::Keyring;
use crate::secret::SecretKey;

const BINDING: Binding<'static> = Binding { aggregate_type: "learner", aggregate_id: "42", version: 3 };

fn key() -> Arc<DataKey> {
    Arc::new(DataKey::new(KeyId::random().unwrap(), &SecretKey::random().unwrap()).unwrap())
}

fn ring(key: &Arc<DataKey>) -> Keyring {
    let mut ring = Keyring::new();
    ring.insert(key.id(), KeyState::Live(Arc::clone(key)));
    ring
}

fn forgotten(key: &DataKey) -> Keyring {
    let mut ring = Keyring::new();
    ring.insert(key.id(), KeyState::Destroyed);
    ring
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Learner {
    email: Personal<String>,
    level: u8,
}

fn learner() -> Learner {
    Learner { email: "ada@example.org".into(), level: 7 }
}

fn sealed<T: Serialize + JsonSchema>(value: &T, key: &DataKey) -> Vec<u8> {
    let mut payload = encode(value).unwrap();
    PersonalFields::of::<T>().unwrap().seal(&mut payload, key, &BINDING).unwrap();
    payload
}
