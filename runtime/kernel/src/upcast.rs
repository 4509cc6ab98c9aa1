//! Turns events that older code wrote into those that the current code reads.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{CodecError, decode, encode};

/// An event as it is stored: its name, the version of its schema, its fields in MessagePack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEvent {
    /// The stable name of the event.
    pub name: String,
    /// The version of its schema, from 1.
    pub schema_version: u32,
    /// Its fields, MessagePack with names.
    pub fields: Vec<u8>,
}

impl RawEvent {
    /// An event made of `fields`, which is a struct with the fields that this version of the event has.
    ///
    /// # Errors
    /// If the fields cannot be encoded.
    pub fn new<F: Serialize>(name: &str, schema_version: u32, fields: &F) -> Result<Self, CodecError> {
        Ok(Self { name: name.to_owned(), schema_version, fields: encode(fields)? })
    }
}

type Step = Arc<dyn Fn(&RawEvent) -> Result<Vec<RawEvent>, CodecError> + Send + Sync>;

/// The steps from any event that was ever written to those that the current code reads.
///
/// Each step turns one version of an event into the next. Steps follow each other until none applies. The current
/// version of an event follows from its steps: it is one higher than the last version that has a step. Fields that may
/// be missing need no step: `#[serde(default)]` reads them.
#[derive(Clone, Default)]
pub struct Upcasters {
    renamed: HashMap<&'static str, &'static str>,
    steps: HashMap<(&'static str, u32), Step>,
    /// Events of which some version becomes several events.
    split: HashSet<&'static str>,
}

impl Upcasters {
    /// No steps: every event is read as it was written, and has schema version 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Renames the event `old` to `new`. Its fields and their version stay, and steps that were written for `old` apply
    /// to both names.
    #[must_use]
    pub fn rename(mut self, old: &'static str, new: &'static str) -> Self {
        self.renamed.insert(old, new);
        self
    }

    /// Turns version `from` of the event `name` into version `from + 1`. `Old` has the fields before the step, and
    /// `New` the fields after it.
    #[must_use]
    pub fn upcast<Old, New>(
        mut self,
        name: &'static str,
        from: u32,
        change: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Self
    where
        Old: DeserializeOwned,
        New: Serialize,
    {
        let step: Step = Arc::new(move |raw: &RawEvent| {
            let new = change(old_fields(raw)?);
            Ok(vec![RawEvent::new(name, from + 1, &new)?])
        });
        self.steps.insert((name, from), step);
        self
    }

    /// Turns version `from` of the event `name` into several events, in order. They may have steps of their own.
    #[must_use]
    pub fn split<Old, Parts>(
        mut self,
        name: &'static str,
        from: u32,
        parts: impl Fn(Old) -> Parts + Send + Sync + 'static,
    ) -> Self
    where
        Old: DeserializeOwned,
        Parts: IntoIterator<Item = Result<RawEvent, CodecError>>,
    {
        let step: Step = Arc::new(move |raw: &RawEvent| parts(old_fields(raw)?).into_iter().collect());
        self.steps.insert((name, from), step);
        self.split.insert(name);
        self
    }

    /// The schema version with which the event `name` is written now.
    #[must_use]
    pub fn current_version(&self, name: &str) -> u32 {
        let last =
            self.steps.keys().filter(|(of, _)| self.current_name(of) == Some(name)).map(|(_, from)| from + 1).max();
        last.unwrap_or(1)
    }

    /// The same steps under the current names of their events, so that a step applies that was written before its event
    /// was renamed.
    pub(crate) fn settled(mut self) -> Self {
        let (current, old): (HashMap<_, _>, HashMap<_, _>) =
            std::mem::take(&mut self.steps).into_iter().partition(|((of, _), _)| !self.renamed.contains_key(of));
        self.steps = current;
        for ((of, from), step) in old {
            let name = self.current_name(of).unwrap_or(of);
            self.steps.entry((name, from)).or_insert(step);
        }
        self.split =
            std::mem::take(&mut self.split).into_iter().map(|of| self.current_name(of).unwrap_or(of)).collect();
        self
    }

    /// Every name that has a step or was renamed. A name may occur several times.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.renamed.keys().copied().chain(self.steps.keys().map(|(name, _)| *name))
    }

    /// The names that the event `name` had before, sorted.
    pub(crate) fn former_names(&self, name: &str) -> Vec<&'static str> {
        let is_former = |of: &&'static str| *of != name && self.current_name(of) == Some(name);
        let mut former: Vec<_> = self.renamed.keys().copied().filter(is_former).collect();
        former.sort_unstable();
        former
    }

    /// Whether some version of the event `name` becomes several events. Needs [settled](Self::settled) steps.
    pub(crate) fn may_split(&self, name: &str) -> bool {
        self.current_name(name).is_some_and(|name| self.split.contains(name))
    }

    /// Whether an event with this name and version needs a step or a new name.
    pub(crate) fn applies_to(&self, name: &str, schema_version: u32) -> bool {
        self.renamed.contains_key(name) || self.steps.contains_key(&(name, schema_version))
    }

    /// Applies all steps to an event. Needs [settled](Self::settled) steps.
    pub(crate) fn apply(&self, raw: RawEvent) -> Result<Vec<RawEvent>, CodecError> {
        // An event that takes more steps than there are takes one of them twice, and would never end.
        self.follow(raw, self.steps.len())
    }

    fn follow(&self, mut raw: RawEvent, steps_left: usize) -> Result<Vec<RawEvent>, CodecError> {
        match self.current_name(&raw.name) {
            Some(name) if name != raw.name => raw.name = name.to_owned(),
            Some(_) => {}
            None => return Err(CodecError::EndlessUpcast { name: raw.name }),
        }
        let Some(step) = self.steps.get(&(raw.name.as_str(), raw.schema_version)) else { return Ok(vec![raw]) };
        if steps_left == 0 {
            return Err(CodecError::EndlessUpcast { name: raw.name });
        }
        let mut finished = Vec::new();
        for part in step(&raw)? {
            finished.extend(self.follow(part, steps_left - 1)?);
        }
        Ok(finished)
    }

    /// The current name of the event `name`. `None` if its renames form a circle.
    pub(crate) fn current_name<'n>(&self, name: &'n str) -> Option<&'n str> {
        let mut name = name;
        for _ in 0..=self.renamed.len() {
            match self.renamed.get(name) {
                Some(new) => name = new,
                None => return Some(name),
            }
        }
        None
    }
}

/// Decodes the fields for a step. An error names the event and the version instead of the Rust type.
fn old_fields<Old: DeserializeOwned>(raw: &RawEvent) -> Result<Old, CodecError> {
    decode(&raw.fields).map_err(|error| match error {
        CodecError::Decode { reason, .. } => {
            CodecError::Decode { what: format!("event {} version {}", raw.name, raw.schema_version), reason }
        }
        other => other,
    })
}

impl fmt::Debug for Upcasters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Upcasters").field("renamed", &self.renamed).field("steps", &self.steps.keys()).finish()
    }
}
