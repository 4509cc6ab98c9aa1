//! Encryption at rest: personal fields, data keys, wrapping keys, and how data is forgotten.
//!
//! Whoever has a disk image, a dump or a backup, and not the wrapping keys, learns no personal value from it. And what
//! was forgotten is forgotten in every copy, because its key is gone.
//!
//! ```text
//!  wrapping keys            store of keys                  payloads: events, replies, snapshots, documents
//!  (a file, a KMS)          (own file or schema)
//!  ┌──────────────┐  wrap   ┌───────────────────────┐ seal ┌──────────────────────────────────────────┐
//!  │ ID  32 bytes │ ──────► │ id · hash of subject  │ ───► │ {"level": 7, "email": ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒} │
//!  │ ID  32 bytes │         │ · wrapped data key    │      │        format · key id · nonce · … · tag │
//!  └──────────────┘         └───────────────────────┘      └──────────────────────────────────────────┘
//! ```
//!
//! # Parts
//!
//! - A [`Personal`](dormouse_kernel::Personal) field is marked in the JSON schema of its type. [`PersonalFields`] finds
//!   such fields in a payload, and seals each of them, in MessagePack and in JSON. [`seal_whole`] seals all of a
//!   payload. [`open`] opens both.
//! - A [`DataKey`] encrypts the data of one [`Subject`]. [`DataKeys`] makes, loads and caches them,
//!   [forgets](DataKeys::forget) a subject, and [rotates](DataKeys::rotate) the wrapping key. A decoder that must not
//!   wait gets its keys before, in a [`Keyring`].
//! - [`WrapKeys`] encrypts data keys; [`WrappingKeyFile`] does it with a file. A [`KeyStore`] keeps them.
//! - An [`EqualityKey`] hashes values, so that a view can be asked for a sealed value.
//!
//! # Formats
//!
//! A sealed value is the number of the format (1), the id of the data key (16 bytes), a random nonce (12), the
//! ciphertext of AES-256-GCM, and its tag (16). In MessagePack it is an extension of type 127, and a whole payload is
//! one of type 126. No other value has these types, so sealed values are found without a schema, also those that an
//! earlier version of a type has written. In JSON it is `{"$sealed": "base64url"}`; since a text of a user may look the
//! same, it is opened only where the schema has a personal value. A forgotten value is
//! the object with the only field `forgotten`, which is `true`.
//!
//! Additional data: what was sealed (MessagePack, JSON, whole), the header, the aggregate's type and id, the path of
//! the field, and the version. Texts have their lengths before them. So a value that is moved to another aggregate,
//! version or field is refused, and so is the header if it is changed.
//!
//! A data key is wrapped with its id and the hash of its subject as additional data. The hash is keyed BLAKE3; its key
//! is derived from a root key, which is stored like a data key, so that a rotation does not change the hashes.
//!
//! # Why
//!
//! - **A key for each subject**, so that one can be destroyed, and so that no key comes near 2^32 random nonces.
//! - **The chain of events is over ciphertext**: nothing is rewritten when something is forgotten, and `verify` passes.
//! - **Keys outside of the backup of events**: a restore must not bring back what was forgotten.
//! - **The schema decides what is sealed**, because payloads are sealed without knowing their Rust types, and because
//!   tools can show it. A place that is personal in one variant of an enum only is refused when the schema is compiled.
//!
//! # What it does not hide
//!
//! - The length of a value, whether it is there at all (nil is not sealed), and whose data belongs together (values of
//!   one subject name the same key).
//! - Anything from somebody who can read the memory of the process, or who has the wrapping keys and the store of keys.
//! - Names of fields, aggregate ids and command keys: they must not be personal themselves.
//! - A value that was put back: whoever can write to the journal can replace a payload by an earlier one only where
//!   aggregate, version and field are the same. The chain finds that.
//!
//! # Forgetting
//!
//! [`DataKeys::forget`] destroys the key in the store, then in this process's memory. Other processes follow when their
//! cache expires ([`Options::cached_for`]); what they seal with the destroyed key until then is forgotten, too. Copies
//! of the wrapped key may remain in backups of the store, and where the database leaves them ([`store`]). They become
//! useless when the wrapping key is rotated and the old one is destroyed, too.
//!
//! A key that is missing from the store is not a forgotten one: only a tombstone shows that. A store that was lost is
//! an error, and never an empty answer.
//!
//! # Rotation
//!
//! Add a key to the file ([`WrappingKeyFile::create`]), let the processes read it, and call [`DataKeys::rotate`]. When
//! [`DataKeys::counts`] names the new wrapping key only, remove the old line. A process that still lacks the new key
//! reads the file again when it meets a data key that the new one has wrapped.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use dormouse_encryption::store::Memory;
//! use dormouse_encryption::{Binding, DataKeys, Options, PersonalFields, Subject, WrappingKeyFile, key_ids, open};
//! use dormouse_kernel::{Personal, Timestamp, decode, encode};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Enrolled {
//!     course: String,
//!     email: Personal<String>,
//! }
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("wrapping.keys");
//! WrappingKeyFile::create(&path, Timestamp::now())?;
//! let wrapping = Arc::new(WrappingKeyFile::open(&path)?);
//! let keys = DataKeys::open(Arc::new(Memory::new()), wrapping, Options::default()).await?;
//! let fields = PersonalFields::of::<Enrolled>()?;
//! let binding = Binding { aggregate_type: "learner", aggregate_id: "42", version: 1 };
//!
//! let ada = Subject::new("academy/learner/42")?;
//! let mut sealed = encode(&Enrolled { course: "rust".to_owned(), email: "ada@example.org".into() })?;
//! fields.seal(&mut sealed, &*keys.data_key(&ada).await?, &binding)?;
//!
//! let mut payload = sealed.clone();
//! let keyring = keys.prefetch(key_ids(&payload)?).await?;
//! open(&mut payload, &keyring, &binding)?;
//! assert_eq!(decode::<Enrolled>(&payload)?.email.into_known().as_deref(), Some("ada@example.org"));
//!
//! keys.forget(&ada).await?;
//! let mut payload = sealed;
//! let keyring = keys.prefetch(key_ids(&payload)?).await?;
//! open(&mut payload, &keyring, &binding)?;
//! let enrolled: Enrolled = decode(&payload)?;
//! assert!(enrolled.email.is_forgotten());
//! assert_eq!(enrolled.course, "rust");
//! # Ok(())
//! # }
//! ```

mod binding;
mod cipher;
mod data_key;
mod data_keys;
mod envelope;
mod error;
mod fields;
mod id;
mod keyring;
pub mod limits;
mod open;
mod secret;
pub mod store;
mod wrapping;

pub use binding::Binding;
pub use data_key::DataKey;
pub use data_keys::{
    Certificate, CertifiedKey, DataKeys, EqualityHash, EqualityKey, Error, OpenFailure, Options, Rotated,
    RotationProgress, Sealed,
};
pub use error::{CipherFailed, Malformed, NoRandomness, OpenError, SealError};
pub use fields::{Opened, PersonalFields, SchemaError, key_ids, open, seal_whole};
pub use id::{InvalidSubject, KeyId, NotHexadecimal, Subject, SubjectHash};
pub use keyring::{FindKey, KeyState, Keyring};
pub use open::{CannotOpen, open as open_keys};
pub use secret::SecretKey;
pub use store::KeyStore;
pub use wrapping::{
    InvalidWrappingKeyId, WrapError, WrapKeys, Wrapped, WrappingKeyFile, WrappingKeyFileError, WrappingKeyId,
};
