//! What forgetting a subject has destroyed.

use dormouse_kernel::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{KeyId, SubjectHash};
use crate::store::DestroyedKey;

/// What forgetting a subject has destroyed. It names the subject by its hash, so that it can be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The keyed hash of the subject.
    pub subject_hash: SubjectHash,
    /// When this was done, to the microsecond.
    pub forgotten_at: Timestamp,
    /// How many keys were destroyed by this. Zero: there was nothing to destroy, or it was destroyed before.
    pub destroyed: usize,
    /// All keys of the subject that were ever destroyed, in the order of their times. None: nothing was ever sealed for
    /// this subject.
    pub keys: Vec<CertifiedKey>,
}

/// A key that was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedKey {
    /// What identified it.
    pub id: KeyId,
    /// When it was destroyed, to the microsecond.
    pub destroyed_at: Timestamp,
}

impl Certificate {
    pub(super) fn new(subject_hash: SubjectHash, now: Timestamp, destroyed: Vec<DestroyedKey>) -> Self {
        let keys = destroyed.into_iter().map(|DestroyedKey { id, destroyed_at }| CertifiedKey { id, destroyed_at });
        let keys: Vec<CertifiedKey> = keys.collect();
        let destroyed = keys.iter().filter(|key| key.destroyed_at == now).count();
        Self { subject_hash, forgotten_at: now, destroyed, keys }
    }
}
