//! The data keys of a process: made, loaded, forgotten, rewrapped.

mod cache;
mod certificate;
mod equality;
mod rotation;
mod unsealing;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::{Clock, SystemClock, Timestamp};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tracing::info;

use crate::data_key::DataKey;
use crate::error::{CipherFailed, NoRandomness};
use crate::id::{KeyId, Subject, SubjectHash};
use crate::keyring::{FindKey, KeyState, Keyring};
use crate::limits::{CACHED_KEYS, KEYS_CACHED_FOR, KEYS_PER_READ, UNWRAPPED_AT_ONCE};
use crate::secret::SecretKey;
use crate::store::{self, KeyCounts, KeyStore, LiveKey, StoredKey};
use crate::wrapping::{WrapError, WrapKeys, Wrapped};
use cache::Cache;
pub use certificate::{Certificate, CertifiedKey};
pub use equality::{EqualityHash, EqualityKey};
pub use rotation::{Rotated, RotationProgress};
pub use unsealing::{OpenFailure, Sealed};

/// How many unwrapped keys are in memory, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Unwrapped keys in memory, at most. Default: [`CACHED_KEYS`].
    pub cached_keys: u64,
    /// How long a key stays there. If another process forgets a subject, this one does so after this time at the
    /// latest. Default: [`KEYS_CACHED_FOR`].
    pub cached_for: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { cached_keys: CACHED_KEYS, cached_for: KEYS_CACHED_FOR }
    }
}

/// Why a data key is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store of keys could not do it.
    #[error("the data keys: {0}")]
    Store(#[from] store::Error),
    /// The keeper of the wrapping keys could not do it.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// There are no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The cipher failed.
    #[error(transparent)]
    Cipher(#[from] CipherFailed),
    /// The process ends.
    #[error("the process ends")]
    Ending,
}

impl Error {
    /// Whether the same call may succeed later, without anybody mending anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Store(store::Error::Unavailable(_)) | Self::Wrap(WrapError::Unavailable(_)))
    }
}

/// The data keys of a process. Clones share a cache.
#[derive(Clone)]
pub struct DataKeys {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn KeyStore>,
    wrapping: Arc<dyn WrapKeys>,
    clock: Arc<dyn Clock>,
    cache: Cache,
    /// Hashes subjects.
    lookup_key: SecretKey,
    /// Hashes values that are compared.
    equality_key: SecretKey,
}

/// Derive the keys for hashes from the root key. They are part of the stored format.
const LOOKUP: &str = "dormouse 2026-11 encryption: hashes of subjects";
const EQUALITY: &str = "dormouse 2026-11 encryption: hashes of values that are compared";

impl DataKeys {
    /// Opens the keys of a store. The first call for a store makes its root key.
    ///
    /// # Errors
    /// If the store does not answer, or if the root key cannot be unwrapped: then these are not the wrapping keys of
    /// this store.
    pub async fn open(store: Arc<dyn KeyStore>, wrapping: Arc<dyn WrapKeys>, options: Options) -> Result<Self, Error> {
        Self::open_with_clock(store, wrapping, options, Arc::new(SystemClock)).await
    }

    /// The same with another clock, for tests.
    ///
    /// # Errors
    /// As with [`open`](Self::open).
    pub async fn open_with_clock(
        store: Arc<dyn KeyStore>,
        wrapping: Arc<dyn WrapKeys>,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let (_, root) = live_secret(&*store, &*wrapping, SubjectHash::ROOT, clock.now()).await?;
        let (lookup_key, equality_key) = (root.derive(LOOKUP), root.derive(EQUALITY));
        let cache = Cache::new(options);
        Ok(Self { shared: Arc::new(Shared { store, wrapping, clock, cache, lookup_key, equality_key }) })
    }

    /// The hash that stands for a subject in the store.
    #[must_use]
    pub fn subject_hash(&self, subject: &Subject) -> SubjectHash {
        SubjectHash::of(subject, &self.shared.lookup_key)
    }

    /// The key of a subject, which is made if there is none. After the subject was forgotten, that is a new one.
    ///
    /// # Errors
    /// If the key can be neither loaded nor made.
    pub async fn data_key(&self, subject: &Subject) -> Result<Arc<DataKey>, Error> {
        let Shared { store, wrapping, clock, cache, .. } = &*self.shared;
        let hash = self.subject_hash(subject);
        if let Some(key) = cache.key_of(hash) {
            return Ok(key);
        }
        let before = cache.forgets();
        let (id, secret) = live_secret(&**store, &**wrapping, hash, clock.now()).await?;
        let key = Arc::new(DataKey::new(id, &secret)?);
        cache.keep_key_of(before, hash, &key);
        Ok(key)
    }

    /// A key, if it is in memory. A key that is not must be [loaded](Self::prefetch).
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<KeyState> {
        self.shared.cache.state(id)
    }

    /// Loads keys, so that what they sealed can be opened without waiting. Ids that do not exist are left out.
    ///
    /// # Errors
    /// If the store does not answer, or if one of the keys cannot be unwrapped.
    pub async fn prefetch(&self, ids: impl IntoIterator<Item = KeyId>) -> Result<Keyring, Error> {
        let Shared { store, wrapping, cache, .. } = &*self.shared;
        let mut keyring = Keyring::new();
        let mut missing = Vec::new();
        for id in ids.into_iter().collect::<BTreeSet<_>>() {
            match cache.state(id) {
                Some(state) => keyring.insert(id, state),
                None => missing.push(id),
            }
        }
        for ids in missing.chunks(KEYS_PER_READ) {
            let before = cache.forgets();
            let found = store.get(ids).await?;
            let states = stream::iter(found).map(|key| unwrapped(&**wrapping, key)).buffer_unordered(UNWRAPPED_AT_ONCE);
            let states: Vec<(KeyId, KeyState)> = states.try_collect().await?;
            for (id, state) in states {
                cache.keep_state(before, id, &state);
                keyring.insert(id, state);
            }
        }
        Ok(keyring)
    }

    /// Forgets a subject: destroys its key, so that nothing that the key sealed can be opened again, wherever there are
    /// copies of it. What is sealed for this subject later gets a new key. The call completes also if its future is
    /// dropped. To repeat it is safe.
    ///
    /// Another process that has the key in memory uses it until [`Options::cached_for`] has passed.
    ///
    /// # Errors
    /// If the store does not answer. Whether the key is destroyed is not known then: repeat the call.
    pub async fn forget(&self, subject: &Subject) -> Result<Certificate, Error> {
        let (hash, shared) = (self.subject_hash(subject), Arc::clone(&self.shared));
        // A task of its own: if the key is destroyed in the store, it must also leave the memory.
        let forgetting = tokio::spawn(async move { shared.forget(hash).await });
        forgetting.await.map_err(|_| Error::Ending)?
    }

    /// A number that changes before and after this process destroys a key. A reader that keeps opened values in memory
    /// notes the number before it opens them, and opens them again when the number has changed. A writer of such values
    /// checks the number after it has got the key. So it never seals a value of a forgotten subject with a new key.
    #[must_use]
    pub fn forgets(&self) -> u64 {
        self.shared.cache.forgets().number()
    }

    /// The key for hashes of one field's values, such as `learners.email`. Equal values of one field have equal hashes,
    /// whomever they belong to; those of different fields do not.
    #[must_use]
    pub fn equality_key(&self, field: &str) -> EqualityKey {
        EqualityKey::new(&self.shared.equality_key, field)
    }

    /// How many keys the store has, and which wrapping keys it still needs.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn counts(&self) -> Result<KeyCounts, Error> {
        Ok(self.shared.store.counts().await?)
    }

    /// Wraps all keys anew that another wrapping key than the current one has wrapped, while they are in use.
    /// Afterwards the earlier wrapping keys are no longer needed, once no other process wraps with them:
    /// [`Rotated::remaining`] and [`counts`](Self::counts) tell. A rotation that was interrupted goes on where it was.
    ///
    /// # Errors
    /// If the store does not answer, or if a key cannot be unwrapped. What was done remains done.
    pub async fn rotate(&self, progress: impl FnMut(RotationProgress) + Send) -> Result<Rotated, Error> {
        rotation::rotate(&*self.shared.store, &*self.shared.wrapping, progress).await
    }
}

impl FindKey for DataKeys {
    fn find_key(&self, id: KeyId) -> Option<KeyState> {
        self.get(id)
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { store, wrapping, .. } = &*self.shared;
        formatter.debug_struct("DataKeys").field("store", store).field("wrapping", wrapping).finish_non_exhaustive()
    }
}

impl Shared {
    async fn forget(&self, subject: SubjectHash) -> Result<Certificate, Error> {
        let now = self.clock.now();
        self.cache.begin_forget();
        // The store first: what leaves the memory before could be loaded again.
        let destroyed = self.store.destroy(subject, now).await?;
        self.cache.forget(subject, destroyed.iter().map(|key| key.id));
        let certificate = Certificate::new(subject, now, destroyed);
        info!(subject = %subject, destroyed = certificate.destroyed, "a subject was forgotten");
        Ok(certificate)
    }
}

/// The live key of a subject, which is made if there is none.
async fn live_secret(
    store: &dyn KeyStore,
    wrapping: &dyn WrapKeys,
    subject: SubjectHash,
    now: Timestamp,
) -> Result<(KeyId, SecretKey), Error> {
    let found = match store.find(subject).await? {
        Some(found) => found,
        None => {
            let (id, secret) = (KeyId::random()?, SecretKey::random()?);
            let wrapped = wrapping.wrap(&secret, &context(id, subject)).await?;
            let found = store.create(&LiveKey { id, subject, wrapped, created_at: now }).await?;
            if found.id == id {
                return Ok((id, secret));
            }
            // Another process was faster.
            found
        }
    };
    let secret = unwrap(wrapping, &found).await?;
    Ok((found.id, secret))
}

async fn unwrapped(wrapping: &dyn WrapKeys, key: StoredKey) -> Result<(KeyId, KeyState), Error> {
    let id = key.id();
    let state = match key {
        StoredKey::Destroyed(_) => KeyState::Destroyed,
        StoredKey::Live(live) => KeyState::Live(Arc::new(DataKey::new(id, &unwrap(wrapping, &live).await?)?)),
    };
    Ok((id, state))
}

async fn unwrap(wrapping: &dyn WrapKeys, key: &LiveKey) -> Result<SecretKey, WrapError> {
    wrapping.unwrap(&key.wrapped, &context(key.id, key.subject)).await
}

async fn rewrapped(wrapping: &dyn WrapKeys, key: &LiveKey) -> Result<Wrapped, WrapError> {
    let secret = unwrap(wrapping, key).await?;
    wrapping.wrap(&secret, &context(key.id, key.subject)).await
}

/// What is authenticated with a wrapped key: nobody can give the key of one subject to another.
fn context(id: KeyId, subject: SubjectHash) -> Vec<u8> {
    [&id.as_bytes()[..], subject.as_bytes()].concat()
}
