//! Seals what a batch has changed, and keeps values that were forgotten out of it.
//!
//! A worker keeps plain documents between batches, and plain events until they are projected. When their subject is
//! forgotten, its key is destroyed, and the next value gets a new key. If the worker sealed an old value with the new
//! key, the value would be back for good. So the worker notes the number of forgets *before* it reads events and
//! documents. If the number is another one when a batch begins, or when the keys of a batch are there, the
//! worker drops all of them and reads them again: then what was forgotten is not in them. A subject that is forgotten
//! after that does no harm, because the keys of the batch are older, and what a destroyed key has sealed is forgotten.
//!
//! The number counts only what this process has forgotten. So the worker also notes which key has sealed a document. If
//! the same subject has another key now, another process has forgotten the subject. The worker then repeats the batch
//! with pauses, until the cached keys of this process have expired and the document is opened without the value.

use std::collections::BTreeSet;

use super::{BuildState, Projector, yield_every_few};
use crate::documents::Changes;
use crate::error::ProjectionError;
use crate::key::Key;
use crate::projection::Projection;
use crate::sealing::SealedBy;

impl<P: Projection> Projector<P> {
    /// Clears the documents in memory if something was forgotten since this was called last.
    ///
    /// # Errors
    /// [`Forgotten`](ProjectionError::Forgotten): events that were read before must be read again.
    pub(crate) fn note_forgets(&self, state: &mut BuildState<P>) -> Result<(), ProjectionError> {
        let forgets = self.context.forgets();
        if forgets == state.forgets {
            return Ok(());
        }
        state.documents.clear();
        state.forgets = forgets;
        Err(ProjectionError::Forgotten)
    }

    /// Seals the personal fields of all rows, each with the key of its subject.
    ///
    /// # Errors
    /// After [`Forgotten`](ProjectionError::Forgotten), the documents are cleared.
    pub(crate) async fn seal(&self, state: &mut BuildState<P>, changes: &mut Changes) -> Result<(), ProjectionError> {
        let Some(sealing) = &self.context.sealing else { return Ok(()) };
        let Changes { rows, subjects, .. } = changes;
        let mut to_seal = Vec::new();
        for (number, (row, subject)) in rows.iter_mut().zip(subjects.iter()).enumerate() {
            if sealing.has_values(row)? {
                to_seal.push((row, subject));
            }
            yield_every_few(number).await;
        }
        let distinct: BTreeSet<_> = to_seal.iter().map(|(_, subject)| (*subject).clone()).collect();
        let keys = sealing.data_keys(distinct).await?;
        self.note_forgets(state)?;
        for (number, (row, subject)) in to_seal.into_iter().enumerate() {
            let Some(key) = keys.get(subject) else { unreachable!("the keys of all subjects were loaded") };
            let sealed_by = SealedBy { subject: sealing.subject_hash(subject), key: key.id() };
            let before = state.documents.note_sealed_by(&row.key, sealed_by);
            if before.is_some_and(|before| has_new_key(before, sealed_by)) {
                return Err(replaced_key(&row.key));
            }
            sealing.seal(row, key)?;
            yield_every_few(number).await;
        }
        Ok(())
    }

    /// Opens documents that were loaded, and notes which keys have sealed them.
    pub(super) async fn insert_loaded(
        &self,
        state: &mut BuildState<P>,
        wanted: Vec<Key>,
        mut loaded: Vec<(Key, String)>,
    ) -> Result<(), ProjectionError> {
        let Some(sealing) = &self.context.sealing else { return Ok(state.documents.insert(wanted, loaded)?) };
        let ids = sealing.open(loaded.iter_mut().map(|(key, document)| (&*key, document)).collect()).await?;
        let keys: Vec<Key> = loaded.iter().map(|(key, _)| key.clone()).collect();
        state.documents.insert(wanted, loaded)?;
        for (document, id) in keys.iter().zip(ids) {
            if let (Some(key), Some(subject)) = (id, state.documents.subject(document)?) {
                let sealed_by = SealedBy { subject: sealing.subject_hash(&subject), key };
                state.documents.note_sealed_by(document, sealed_by);
            }
        }
        Ok(())
    }
}

fn has_new_key(before: SealedBy, now: SealedBy) -> bool {
    before.subject == now.subject && before.key != now.key
}

fn replaced_key(document: &Key) -> ProjectionError {
    let problem = format!(
        "the subject of the document {document:?} has another data key than the one that has sealed the document: \
         either another process has forgotten the subject, and this one will know it when its cached keys expire, or \
         `data_subject` has changed without a new VERSION"
    );
    ProjectionError::Transient(problem.into())
}
