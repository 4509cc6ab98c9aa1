//! What an aggregate type seals before it is stored: personal values in events, replies and outgoing commands, and
//! snapshots as a whole. With `journal.encryption = "all"` also every event and every reply as a whole.

use std::sync::Arc;

use dormouse_config::Encryption;
use dormouse_encryption::{
    Binding, DataKey, DataKeys, EqualityKey, OpenFailure, PersonalFields, SchemaError, SealError, Sealed, Subject,
    seal_whole,
};
use dormouse_journal::{Append, Snapshot, event_binding};
use dormouse_kernel::{
    AddressedCommand, Aggregate, AggregateRef, Chain, CodecError, CommandRecord, Fingerprint, Message, Metadata,
    NewEvent, Outgoing, RecordedEvent, Slice, TimerChange, Version, decode, encode,
};

use crate::error::{CommandError, StartError};
use crate::node::Node;
use crate::outcome::CommandIdentity;

/// The field under which fingerprints of commands are hashed. It is part of the stored format.
const FINGERPRINTS: &str = "command fingerprints";

/// What is sealed of one aggregate type, and the keys for it.
#[derive(Debug)]
pub(crate) struct Sealing {
    keys: DataKeys,
    mode: Encryption,
    fingerprints: EqualityKey,
    fields: TypeFields,
}

/// The personal values of an aggregate type.
#[derive(Clone, Debug)]
struct TypeFields {
    events: PersonalFields,
    reply: PersonalFields,
    command: PersonalFields,
}

/// Why something could not be sealed. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealFailure {
    /// A later attempt may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// No attempt will succeed.
    #[error("{0}")]
    Unsealable(String),
}

impl<R> From<SealFailure> for CommandError<R> {
    fn from(failure: SealFailure) -> Self {
        match failure {
            SealFailure::Unavailable(reason) => Self::Unavailable(reason),
            SealFailure::Unsealable(reason) => Self::Unstorable(reason),
        }
    }
}

impl From<SealError> for SealFailure {
    fn from(error: SealError) -> Self {
        Self::Unsealable(error.to_string())
    }
}

impl From<CodecError> for SealFailure {
    fn from(error: CodecError) -> Self {
        Self::Unsealable(error.to_string())
    }
}

/// The keys of one append.
struct AppendKeys {
    /// The key of the data subject. `None` if there is no personal value.
    personal: Option<Arc<DataKey>>,
    /// The key for whole payloads. `None` if only personal values are sealed.
    whole: Option<Arc<DataKey>>,
}

impl Sealing {
    /// The sealing of a type. `None` if the journal has no data keys.
    pub(crate) fn of<A: Aggregate>(node: &Node) -> Result<Option<Self>, StartError> {
        let Some(keys) = node.journal.data_keys() else { return Ok(None) };
        let fields = || -> Result<TypeFields, SchemaError> {
            Ok(TypeFields {
                events: PersonalFields::of::<A::Event>()?,
                reply: PersonalFields::of::<A::Reply>()?,
                command: PersonalFields::of::<A::Command>()?,
            })
        };
        let fields = fields().map_err(|source| StartError::PersonalFields { aggregate: A::TYPE, source })?;
        let (mode, fingerprints) = (node.config.journal.encryption, keys.equality_key(FINGERPRINTS));
        Ok(Some(Self { keys: keys.clone(), mode, fingerprints, fields }))
    }

    /// The [number](DataKeys::forgets) that changes when a person is forgotten, if states of this type may have personal
    /// values. They are loaded again when it has changed.
    pub(crate) fn forgets(&self) -> u64 {
        if self.has_personal_state() { self.keys.forgets() } else { 0 }
    }

    /// A state follows from events. Those of the type may have personal values.
    fn has_personal_state(&self) -> bool {
        !self.fields.events.is_empty()
    }

    /// Whether anything of the type may have to be sealed.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != Encryption::Off
    }

    /// The personal values of the type's commands.
    pub(crate) const fn command_fields(&self) -> &PersonalFields {
        &self.fields.command
    }

    /// Seals what has to be, and chains the events again to `before`. `forgets` is the number from when the state
    /// was loaded that decided: if it has changed, the decision may contain what was forgotten.
    pub(crate) async fn seal(
        &self,
        node: &Node,
        append: &mut Append,
        before: Chain,
        subject: &str,
        forgets: u64,
    ) -> Result<(), SealFailure> {
        let whole = self.mode == Encryption::All;
        let mut metadata = self.metadata_to_seal(append)?;
        let has_personal = self.has_personal_values(node, append, metadata.as_ref())?;
        if !whole && !has_personal && metadata.is_none() {
            return Ok(());
        }
        let keys = AppendKeys {
            personal: if has_personal { Some(self.key_of(subject).await?) } else { None },
            whole: if whole { Some(self.whole_key(&append.aggregate).await?) } else { None },
        };
        // After the keys are at hand: if a subject is forgotten from here on, they are destroyed with it.
        self.check_forgets(forgets)?;
        let Append { aggregate, expected, events, .. } = &mut *append;
        for (index, event) in events.iter_mut().enumerate() {
            let binding = event_binding(aggregate, expected.plus(index as u64 + 1));
            let fields = self.fields.events.variant(&event.event_type);
            seal_payload(&mut event.payload, &fields, &keys, &binding)?;
        }
        if let (Some(metadata), Some(first)) = (&mut metadata, events.first_mut()) {
            let version = expected.next();
            if let Some(command) = &mut metadata.command {
                self.seal_command_record(command, &keys, aggregate, version)?;
            }
            if let Some(outgoing) = &mut metadata.outgoing {
                seal_outgoing(node, outgoing, &keys, aggregate)?;
            }
            first.metadata = encode(metadata)?;
        }
        chain_again(append, before);
        Ok(())
    }

    /// The metadata of the first event, if there may be something to seal in it.
    fn metadata_to_seal(&self, append: &Append) -> Result<Option<Metadata>, SealFailure> {
        let Some(first) = append.events.first() else { return Ok(None) };
        let has_personal_record = !self.fields.reply.is_empty() || !self.fields.command.is_empty();
        if self.mode != Encryption::All && !has_personal_record && !RecordedEvent::may_have_outgoing(first) {
            return Ok(None);
        }
        Ok(Some(decode(&first.metadata)?))
    }

    fn has_personal_values(
        &self,
        node: &Node,
        append: &Append,
        metadata: Option<&Metadata>,
    ) -> Result<bool, SealFailure> {
        for event in &append.events {
            if self.fields.events.variant(&event.event_type).has_values(&event.payload).map_err(SealError::from)? {
                return Ok(true);
            }
        }
        let Some(metadata) = metadata else { return Ok(false) };
        if let Some(command) = &metadata.command
            && self.fields.reply.has_values(&command.reply).map_err(SealError::from)?
        {
            return Ok(true);
        }
        for (target, command) in metadata.outgoing.iter().flat_map(|outgoing| commands(&append.aggregate, outgoing)) {
            if let Some(fields) = node.command_fields(target)
                && fields.has_values(command).map_err(SealError::from)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn seal_command_record(
        &self,
        command: &mut CommandRecord,
        keys: &AppendKeys,
        aggregate: &AggregateRef,
        version: Version,
    ) -> Result<(), SealFailure> {
        let place = reply_place(aggregate);
        seal_payload(&mut command.reply, &self.fields.reply, keys, &reply_binding(&place, aggregate, version))?;
        if !self.fields.command.is_empty() || keys.whole.is_some() {
            // Whoever has the log could otherwise guess a command and compare.
            command.fingerprint = command.fingerprint.map(|fingerprint| self.keyed(fingerprint));
            command.content = command.content.map(|content| self.keyed(content));
        }
        Ok(())
    }

    pub(crate) fn keyed(&self, fingerprint: Fingerprint) -> Fingerprint {
        Fingerprint::of(self.fingerprints.hash(&fingerprint.number().to_le_bytes()).as_str().as_bytes())
    }

    /// A command's identity as a sealed record has it.
    pub(crate) fn keyed_identity(&self, identity: &CommandIdentity) -> CommandIdentity {
        CommandIdentity {
            name: identity.name.clone(),
            typed: identity.typed.map(|typed| self.keyed(typed)),
            content: identity.content.map(|content| self.keyed(content)),
        }
    }

    /// Seals a snapshot as a whole, if its state may have personal values. `forgets` is as with [`seal`](Self::seal).
    pub(crate) async fn seal_snapshot(
        &self,
        mut snapshot: Snapshot,
        subject: &str,
        forgets: u64,
    ) -> Result<Snapshot, SealFailure> {
        let key = match self.mode {
            Encryption::Off => return Ok(snapshot),
            Encryption::Personal | Encryption::All if self.has_personal_state() => self.key_of(subject).await?,
            Encryption::Personal => return Ok(snapshot),
            Encryption::All => self.whole_key(&snapshot.aggregate).await?,
        };
        self.check_forgets(forgets)?;
        let binding = event_binding(&snapshot.aggregate, snapshot.version);
        seal_whole(&mut snapshot.body, &key, &binding)?;
        Ok(snapshot)
    }

    /// Opens the reply in a command's record.
    pub(crate) async fn open_reply(
        &self,
        reply: &mut Vec<u8>,
        aggregate: &AggregateRef,
        version: Version,
    ) -> Result<(), OpenFailure> {
        let place = reply_place(aggregate);
        let binding = reply_binding(&place, aggregate, version);
        self.keys.unseal(vec![Sealed { payload: reply, binding }]).await?;
        Ok(())
    }

    /// Opens a command that was sealed for an aggregate.
    pub(crate) async fn open_command(&self, command: &mut Vec<u8>, to: &AggregateRef) -> Result<(), OpenFailure> {
        let place = command_place(to);
        let binding = command_binding(&place, to);
        self.keys.unseal(vec![Sealed { payload: command, binding }]).await?;
        Ok(())
    }

    /// Seals the personal values of a command for an aggregate. Returns whether it has any.
    pub(crate) async fn seal_command(
        &self,
        command: &mut Vec<u8>,
        to: &AggregateRef,
        person: &str,
    ) -> Result<bool, SealFailure> {
        let place = command_place(to);
        self.seal_values(command, &self.fields.command, &command_binding(&place, to), person).await
    }

    /// Seals the personal values of a reply that is stored apart from the events.
    pub(crate) async fn seal_reply(
        &self,
        reply: &mut Vec<u8>,
        aggregate: &AggregateRef,
        person: &str,
    ) -> Result<bool, SealFailure> {
        let place = reply_place(aggregate);
        self.seal_values(reply, &self.fields.reply, &reply_binding(&place, aggregate, Version::ZERO), person).await
    }

    async fn seal_values(
        &self,
        payload: &mut Vec<u8>,
        fields: &PersonalFields,
        binding: &Binding<'_>,
        person: &str,
    ) -> Result<bool, SealFailure> {
        if !fields.has_values(payload).map_err(SealError::from)? {
            return Ok(false);
        }
        fields.seal(payload, &*self.key_of(person).await?, binding)?;
        Ok(true)
    }

    async fn key_of(&self, subject: &str) -> Result<Arc<DataKey>, SealFailure> {
        let subject = Subject::new(subject).map_err(|error| SealFailure::Unsealable(error.to_string()))?;
        // The runtime cannot mend a store of keys, but an operator can: the command may be sent again.
        self.keys.data_key(&subject).await.map_err(|error| SealFailure::Unavailable(error.to_string()))
    }

    /// The key for whole payloads of an aggregate. All aggregates of a slice share one, so that there are few of them,
    /// and none comes near 2^32 random nonces. No name of a person begins like its name.
    async fn whole_key(&self, aggregate: &AggregateRef) -> Result<Arc<DataKey>, SealFailure> {
        let slice = Slice::of(aggregate.aggregate_type.as_str(), aggregate.id.as_str());
        self.key_of(&format!("$journal/{}", slice.number())).await
    }

    fn check_forgets(&self, forgets: u64) -> Result<(), SealFailure> {
        if self.forgets() == forgets {
            Ok(())
        } else {
            Err(SealFailure::Unavailable("a person was forgotten meanwhile: send the command again".to_owned()))
        }
    }
}

fn seal_payload(
    payload: &mut Vec<u8>,
    fields: &PersonalFields,
    keys: &AppendKeys,
    binding: &Binding<'_>,
) -> Result<(), SealFailure> {
    if let Some(key) = &keys.personal {
        fields.seal(payload, key, binding)?;
    }
    if let Some(key) = &keys.whole {
        seal_whole(payload, key, binding)?;
    }
    Ok(())
}

/// The commands of messages and timers, each with the type of its target.
fn commands<'a>(own: &'a AggregateRef, outgoing: &'a Outgoing) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let messages = outgoing.messages.iter().flat_map(|message| [Some(&message.to), message.on_refused.as_ref()]);
    let messages = messages.flatten().map(|addressed| (addressed.aggregate_type().as_str(), addressed.command()));
    let timers = outgoing.timers.iter().filter_map(|change| match change {
        TimerChange::Set { command, .. } => Some((own.aggregate_type.as_str(), &command[..])),
        TimerChange::Cancelled { .. } | TimerChange::Fired { .. } => None,
    });
    messages.chain(timers)
}

/// Seals the personal values of outgoing commands, for their targets.
fn seal_outgoing(
    node: &Node,
    outgoing: &mut Outgoing,
    keys: &AppendKeys,
    own: &AggregateRef,
) -> Result<(), SealFailure> {
    let Some(key) = &keys.personal else { return Ok(()) };
    let seal = |to: &AggregateRef, mut command: Vec<u8>| -> Result<Vec<u8>, SealFailure> {
        if let Some(fields) = node.command_fields(to.aggregate_type.as_str()) {
            let place = command_place(to);
            fields.seal(&mut command, key, &command_binding(&place, to))?;
        }
        Ok(command)
    };
    let sealed = |addressed: &AddressedCommand| -> Result<AddressedCommand, SealFailure> {
        let to = addressed.aggregate();
        let command = seal(&to, addressed.command().to_vec())?;
        Ok(AddressedCommand::encoded(to, command))
    };
    for Message { to, on_refused } in &mut outgoing.messages {
        *to = sealed(to)?;
        *on_refused = on_refused.as_ref().map(sealed).transpose()?;
    }
    for change in &mut outgoing.timers {
        if let TimerChange::Set { command, .. } = change {
            *command = seal(own, std::mem::take(command))?;
        }
    }
    Ok(())
}

/// Replies are no events: a value of one is not opened as that of the other.
fn reply_place(aggregate: &AggregateRef) -> String {
    format!("reply/{}", aggregate.aggregate_type)
}

fn reply_binding<'a>(place: &'a str, aggregate: &'a AggregateRef, version: Version) -> Binding<'a> {
    Binding { aggregate_type: place, aggregate_id: aggregate.id.as_str(), version: version.0 }
}

/// The receiver of a command does not know the sender's version, so commands have none.
fn command_place(to: &AggregateRef) -> String {
    format!("command/{}", to.aggregate_type)
}

fn command_binding<'a>(place: &'a str, to: &'a AggregateRef) -> Binding<'a> {
    Binding { aggregate_type: place, aggregate_id: to.id.as_str(), version: 0 }
}

/// Chains the events of an append to `before` and to each other, as they are now.
fn chain_again(append: &mut Append, before: Chain) {
    let mut chain = before;
    for index in 0..append.events.len() {
        let key = append.command_key().filter(|_| index == 0).cloned();
        let event: &mut NewEvent = &mut append.events[index];
        chain = chain.next(&append.aggregate, append.expected.plus(index as u64 + 1), key.as_ref(), event);
        event.chain = chain;
    }
}
