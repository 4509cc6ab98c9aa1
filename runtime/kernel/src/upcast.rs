//! Events written by older code, brought up to what today's code reads.

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

/// The chain of steps from any event ever written to those that today's code reads.
///
/// Each step takes one version of one event further; steps follow each other until none applies. The version that an
/// event is written with today follows from its steps: one more than the last it is taken from. Fields that may be
/// missing need no step: `#[serde(default)]` reads them.
#[derive(Clone, Default)]
pub struct Upcasters {
    renamed: HashMap<&'static str, &'static str>,
    steps: HashMap<(&'static str, u32), Step>,
    /// Events that some version of theirs becomes others.
    split: HashSet<&'static str>,
}

impl Upcasters {
    /// No steps: every event is read as it was written, with schema version 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The event `old` is called `new` from now on; its fields and their version stay, and steps that were written for
    /// `old` apply to both names.
    #[must_use]
    pub fn rename(mut self, old: &'static str, new: &'static str) -> Self {
        self.renamed.insert(old, new);
        self
    }

    /// Version `from` of the event `name` becomes version `from + 1`: `Old` has the fields as they were, `New` as they
    /// are then.
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

    /// Version `from` of the event `name` becomes several events, in order; they may have steps of their own.
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

    /// The schema version that the event `name` is written with today.
    #[must_use]
    pub fn current_version(&self, name: &str) -> u32 {
        let last = self.steps.keys().filter(|(of, _)| self.today(of) == Some(name)).map(|(_, from)| from + 1).max();
        last.unwrap_or(1)
    }

    /// The same steps, found by the names of today: a step that was written before its event was renamed still applies.
    pub(crate) fn settled(mut self) -> Self {
        let (current, old): (HashMap<_, _>, HashMap<_, _>) =
            std::mem::take(&mut self.steps).into_iter().partition(|((of, _), _)| !self.renamed.contains_key(of));
        self.steps = current;
        for ((of, from), step) in old {
            let name = self.today(of).unwrap_or(of);
            self.steps.entry((name, from)).or_insert(step);
        }
        self.split = std::mem::take(&mut self.split).into_iter().map(|of| self.today(of).unwrap_or(of)).collect();
        self
    }

    /// Every name that a step or a new name was given for, once or several times.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.renamed.keys().copied().chain(self.steps.keys().map(|(name, _)| *name))
    }

    /// Whether some version of the event `name` becomes other events. Expects [settled](Self::settled) steps.
    pub(crate) fn may_split(&self, name: &str) -> bool {
        self.today(name).is_some_and(|name| self.split.contains(name))
    }

    /// Whether an event with this name and version needs a step at all.
    pub(crate) fn applies_to(&self, name: &str, schema_version: u32) -> bool {
        self.renamed.contains_key(name) || self.steps.contains_key(&(name, schema_version))
    }

    /// Takes an event as far as the steps lead. Expects [settled](Self::settled) steps.
    pub(crate) fn apply(&self, raw: RawEvent) -> Result<Vec<RawEvent>, CodecError> {
        // Whoever takes more steps than there are takes one twice, and will do so for ever.
        self.follow(raw, self.steps.len())
    }

    fn follow(&self, mut raw: RawEvent, steps_left: usize) -> Result<Vec<RawEvent>, CodecError> {
        match self.today(&raw.name) {
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

    /// What the event `name` is called today, or `None` if its renames lead in a circle.
    pub(crate) fn today<'n>(&self, name: &'n str) -> Option<&'n str> {
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

/// The fields that a step expects. An error names the event and the version, not the type that stands for them.
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
