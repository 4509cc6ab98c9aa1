//! A world in which the academy's aggregates get each other's messages and their timers, as a runtime delivers them: in
//! order from each sender, in any order otherwise.

use std::collections::{BTreeMap, VecDeque};

use dormouse_aggregates::academy::{
    Assessment, AssessmentAttempt, Course, Enrolment, Lesson, LessonProgress, User, reactions,
};
use dormouse_kernel::{
    AddressedCommand, Aggregate, AggregateId, AggregateRef, AggregateType, Context, EventCodec, Message, Refusal,
    Rejection, SequentialIds, TimerChange, Timestamp, Version, decode, encode,
};

/// All aggregates, and what is on the way between them.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    users: Kind<User>,
    progress: Kind<LessonProgress>,
    lessons: Kind<Lesson>,
    courses: Kind<Course>,
    enrolments: Kind<Enrolment>,
    assessments: Kind<Assessment>,
    attempts: Kind<AssessmentAttempt>,
    /// What is on the way, by its sender.
    sequences: BTreeMap<String, VecDeque<Delivery>>,
    /// When each timer is due, and its command.
    timers: BTreeMap<(AggregateRef, String), (Timestamp, AddressedCommand)>,
}

/// A message on the way, or the command that answers a refusal.
struct Delivery {
    to: AddressedCommand,
    on_refused: Option<AddressedCommand>,
    refusal: Option<Refusal>,
}

/// The aggregates of one type, each with its events.
pub(crate) struct Kind<A: Aggregate>(BTreeMap<String, (A, Vec<A::Event>)>);

/// An aggregate of this world.
pub(crate) trait Member: Aggregate<Event: Clone> {
    fn kind(world: &mut World) -> &mut Kind<Self>;

    /// What reactors send: the name of the reactor, and the message.
    fn react(_event: &Self::Event, _now: Timestamp) -> Vec<(&'static str, Message)> {
        Vec::new()
    }
}

macro_rules! members {
    ($($aggregate:ty: $field:ident),+) => {
        $(impl Member for $aggregate {
            fn kind(world: &mut World) -> &mut Kind<Self> {
                &mut world.$field
            }
        })+
    };
}

members! {
    User: users, Lesson: lessons, Course: courses, Enrolment: enrolments, Assessment: assessments,
    AssessmentAttempt: attempts
}

impl Member for LessonProgress {
    fn kind(world: &mut World) -> &mut Kind<Self> {
        &mut world.progress
    }

    fn react(event: &Self::Event, now: Timestamp) -> Vec<(&'static str, Message)> {
        let unlocking = reactions::unlocking(event);
        let unlocking = unlocking.map(|(id, command)| ("unlocking", Message::to::<Lesson>(id.as_str(), command)));
        let streaks = reactions::streaks(event, now);
        let streaks = streaks.map(|(id, command)| ("streaks", Message::to::<User>(id.as_str(), command)));
        unlocking.into_iter().chain(streaks).collect()
    }
}

impl World {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self {
            now,
            users: Kind::default(),
            progress: Kind::default(),
            lessons: Kind::default(),
            courses: Kind::default(),
            enrolments: Kind::default(),
            assessments: Kind::default(),
            attempts: Kind::default(),
            sequences: BTreeMap::new(),
            timers: BTreeMap::new(),
        }
    }

    /// A client sends a command. The answer is the code of its refusal, if it is refused.
    pub(crate) fn tell<A: Member>(&mut self, id: &str, command: &A::Command) -> Result<(), String> {
        self.decide::<A>(id, decode(&encode(command).unwrap()).unwrap(), None).map_err(|refusal| refusal.code)
    }

    /// The present state of an aggregate.
    pub(crate) fn state<A: Member>(&mut self, id: &str) -> A {
        A::kind(self).0.get(id).map(|(state, _)| state.clone()).unwrap_or_default()
    }

    /// The events of an aggregate.
    pub(crate) fn events<A: Member>(&mut self, id: &str) -> Vec<A::Event> {
        A::kind(self).0.get(id).map(|(_, events)| events.clone()).unwrap_or_default()
    }

    /// Delivers one message of a sender that `choice` selects. `false`: nothing is on the way.
    pub(crate) fn deliver_one(&mut self, choice: usize) -> bool {
        self.sequences.retain(|_, sequence| !sequence.is_empty());
        let Some(at) = choice.checked_rem(self.sequences.len()) else { return false };
        let delivery = self.sequences.values_mut().nth(at).unwrap().pop_front().unwrap();
        let refused = self.dispatch(&delivery.to, delivery.refusal.as_ref()).err();
        if let (Some(refusal), Some(to)) = (refused, delivery.on_refused) {
            let sender = format!("refused by {}", delivery.to.aggregate());
            let answer = Delivery { to, on_refused: None, refusal: Some(refusal) };
            self.sequences.entry(sender).or_default().push_back(answer);
        }
        true
    }

    /// Delivers everything, in an order that `choices` decide.
    pub(crate) fn deliver_all(&mut self, choices: &[usize]) {
        let mut choices = choices.iter().copied().chain([0]).cycle();
        while self.deliver_one(choices.next().unwrap()) {}
    }

    /// Lets time pass. Each timer that is due fires at its time.
    pub(crate) fn pass_until(&mut self, time: Timestamp) {
        while let Some((key, due)) =
            self.timers.iter().map(|(key, (due, _))| (key.clone(), *due)).min_by_key(|(_, due)| *due)
            && due <= time
        {
            let (_, command) = self.timers.remove(&key).unwrap();
            self.now = self.now.max(due);
            self.dispatch(&command, None).unwrap();
        }
        self.now = self.now.max(time);
    }

    fn dispatch(&mut self, to: &AddressedCommand, refusal: Option<&Refusal>) -> Result<(), Refusal> {
        match to.aggregate_type().as_str() {
            User::TYPE => self.decode_and_decide::<User>(to, refusal),
            LessonProgress::TYPE => self.decode_and_decide::<LessonProgress>(to, refusal),
            Lesson::TYPE => self.decode_and_decide::<Lesson>(to, refusal),
            Course::TYPE => self.decode_and_decide::<Course>(to, refusal),
            Enrolment::TYPE => self.decode_and_decide::<Enrolment>(to, refusal),
            Assessment::TYPE => self.decode_and_decide::<Assessment>(to, refusal),
            AssessmentAttempt::TYPE => self.decode_and_decide::<AssessmentAttempt>(to, refusal),
            other => panic!("no aggregate is a {other}"),
        }
    }

    fn decode_and_decide<A: Member>(
        &mut self,
        to: &AddressedCommand,
        refusal: Option<&Refusal>,
    ) -> Result<(), Refusal> {
        self.decide::<A>(to.aggregate().id.as_str(), decode(to.command()).unwrap(), refusal)
    }

    fn decide<A: Member>(&mut self, id: &str, command: A::Command, refusal: Option<&Refusal>) -> Result<(), Refusal> {
        let (now, ids, aggregate_id) = (self.now, SequentialIds::default(), AggregateId::new(id).unwrap());
        let (state, past) = A::kind(self).0.entry(id.to_owned()).or_default();
        let version = Version(past.len() as u64);
        let mut context = Context::new(&aggregate_id, state, version, now, &ids).with_refusal(refusal);
        if let Err(rejection) = state.decide(command, &mut context) {
            return Err(Refusal { code: rejection.code().to_owned(), detail: rejection.to_string() });
        }
        let effects = context.into_effects().unwrap();
        let codec = EventCodec::<A::Event>::new().unwrap();
        let mut reactions = Vec::new();
        for event in effects.events {
            let stored = codec.encode(&event).unwrap();
            let read = codec.decode(stored.name, stored.schema_version, &stored.fields).unwrap();
            read.as_slice().iter().for_each(|event| state.evolve(event));
            reactions.extend(A::react(&event, now));
            past.push(event);
        }
        // What a snapshot would keep is all there is.
        *state = decode(&encode(state).unwrap()).unwrap();
        let sender = AggregateRef::new(AggregateType::new(A::TYPE).unwrap(), aggregate_id);
        for (reactor, message) in reactions {
            self.send(format!("{reactor} of {sender}"), message);
        }
        for message in effects.outgoing.messages {
            self.send(sender.to_string(), message);
        }
        for change in effects.outgoing.timers {
            let key = (sender.clone(), change.name().to_string());
            match change {
                TimerChange::Set { schedule, command, .. } => {
                    let command = AddressedCommand::encoded(sender.clone(), command);
                    self.timers.insert(key, (schedule.first(), command));
                }
                TimerChange::Cancelled { .. } | TimerChange::Fired { .. } => _ = self.timers.remove(&key),
            }
        }
        Ok(())
    }

    fn send(&mut self, sender: String, Message { to, on_refused }: Message) {
        self.sequences.entry(sender).or_default().push_back(Delivery { to, on_refused, refusal: None });
    }
}

impl<A: Aggregate> Default for Kind<A> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}
