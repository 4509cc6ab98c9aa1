//! The shape of a type as serde sees it. It shows whether bytes that an earlier version of the type wrote still mean
//! the same.
//!
//! If a state gains a field with a default, it still decodes from earlier bytes, and is wrong without an error. So the
//! names and forms of all fields are hashed, as the type's `Deserialize` asks for them, together with its default
//! value.
//!
//! Limits: it does not see a change of meaning without a change of names and forms; fields that are read with `flatten`
//! or `untagged`, beyond what the default value shows; and fields behind a value that refuses every sample text.

mod tracer;

use std::cell::{Cell, RefCell};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::encode;
use tracer::Tracer;

/// How often a type is traced. Each pass chooses another variant of every enum, and another sample text. If an enum has
/// more variants than there are passes, only the names of the last ones are seen, and not their contents.
const PASSES: usize = 24;

/// A number that changes with the names and forms of the fields that `T` is read from, and with its default value.
#[must_use]
pub fn shape_of<T: DeserializeOwned + Serialize + Default>() -> u64 {
    let requests = RefCell::new(String::new());
    let _tracing = Tracing::begin();
    for pass in 0..PASSES {
        // The requests count, also if the type refuses a sample.
        let _refused = T::deserialize(Tracer::new(&requests, pass));
        requests.borrow_mut().push('\n');
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(requests.borrow().as_bytes());
    // A default that cannot be encoded cannot be stored either.
    hasher.update(&encode(&T::default()).unwrap_or_default());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

thread_local! {
    static IS_TRACING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread traces a shape: what is read now is a sample.
pub(crate) fn is_tracing() -> bool {
    IS_TRACING.get()
}

/// Ends when it is dropped, also by a panic of a type's own `Deserialize`.
struct Tracing {
    before: bool,
}

impl Tracing {
    fn begin() -> Self {
        Self { before: IS_TRACING.replace(true) }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        IS_TRACING.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    macro_rules! state {
        ($name:ident { $($field:tt)* }) => {
            #[derive(Clone, Default, Serialize, Deserialize)]
            #[allow(dead_code, reason = "only its shape counts")]
            struct $name { $($field)* }
        };
    }

    /// A text that refuses most samples.
    #[derive(Clone, Default, Serialize, Deserialize)]
    #[serde(try_from = "String", into = "String")]
    struct Email(String);

    impl TryFrom<String> for Email {
        type Error = &'static str;

        fn try_from(text: String) -> Result<Self, &'static str> {
            if text.contains('@') { Ok(Self(text)) } else { Err("no at sign") }
        }
    }

    impl From<Email> for String {
        fn from(email: Email) -> Self {
            email.0
        }
    }

    #[derive(Clone, Default, Serialize, Deserialize)]
    enum Door {
        #[default]
        Closed,
        Open {
            width: u32,
        },
    }

    #[derive(Clone, Default, Serialize, Deserialize)]
    enum WiderDoor {
        #[default]
        Closed,
        Open {
            width: u64,
        },
    }

    state!(Account { balance: u64 });
    state!(SameAccount { balance: u64 });
    state!(WithField {
        balance: u64,
        #[serde(default)]
        limit: u64,
    });
    state!(Renamed {
        #[serde(default, alias = "balance")]
        total: u64,
    });
    state!(Wider { balance: i64 });
    state!(House { door: Option<Door>, });
    state!(WiderHouse { door: Option<WiderDoor>, });
    state!(Book { by: BTreeMap<String, Account>, });
    state!(NewBook { by: BTreeMap<String, WithField>, });
    state!(Person { email: Email, account: Account });
    state!(NewPerson { email: Email, account: WithField });
    state!(List { next: Option<Box<List>>, });

    #[test]
    fn the_shape_depends_on_names_and_forms_only_and_is_pinned() {
        assert_eq!(shape_of::<Account>(), shape_of::<SameAccount>());
        // Pinned: with another number here, every stored snapshot is ignored once.
        assert_eq!(shape_of::<Account>(), 4_193_421_748_088_748_001);
    }

    #[test]
    fn a_field_that_is_gained_or_renamed_or_changes_its_form_changes_the_shape() {
        for other in [shape_of::<WithField>(), shape_of::<Renamed>(), shape_of::<Wider>()] {
            assert_ne!(other, shape_of::<Account>());
        }
    }

    #[test]
    fn a_field_within_an_option_a_variant_a_map_or_behind_a_checked_text_changes_the_shape() {
        assert_ne!(shape_of::<House>(), shape_of::<WiderHouse>());
        assert_ne!(shape_of::<Book>(), shape_of::<NewBook>());
        assert_ne!(shape_of::<Person>(), shape_of::<NewPerson>());
    }

    #[test]
    fn a_type_that_contains_itself_has_a_shape() {
        assert_ne!(shape_of::<List>(), shape_of::<Account>());
    }
}
