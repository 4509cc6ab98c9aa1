//! All requests and answers, in the order in which they happened.

use dormouse_engine::Expected;

use crate::register::Register;

/// An aggregate of the simulation: type and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) &'static str, pub(crate) &'static str);

#[derive(Debug, Default)]
pub(crate) struct History {
    steps: u64,
    pub(crate) sent: Vec<Sent>,
    pub(crate) nodes: Vec<Ownership>,
}

/// The time in which a node owned the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ownership {
    /// The moment when another node began to take over.
    pub(crate) ended: Option<Moment>,
}

/// A step in the order of all requests and answers, and its time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) step: u64,
    pub(crate) at: u64,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) node: usize,
    pub(crate) to: Name,
    pub(crate) request: Request,
    pub(crate) sent: Moment,
    /// `None` if the client never got an answer.
    pub(crate) answer: Option<Answer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Each command has a unique name; a repetition has the same name.
    Command {
        name: String,
        /// The condition on the version before the command.
        expected: Expected,
        /// It uses the key of another command, so it must not be carried out.
        steals_key: bool,
    },
    State,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) answered: Moment,
    /// The version of the aggregate in the storage at that moment.
    pub(crate) durable: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Response {
    /// It was carried out.
    Done(Done),
    /// It was refused, because of the state at this version.
    Refused { version: u64 },
    /// Another command has used its key.
    KeyReused,
    /// The domain's code panicked.
    Panicked,
    /// It had no effect, for this reason.
    Nothing(&'static str),
    /// It may or may not have happened.
    Unknown,
    /// The state.
    State { version: u64, state: Register },
    /// There is no such aggregate.
    Missing,
    /// An answer that the simulation gives no reason for.
    Nonsense(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Of the last event.
    pub(crate) version: u64,
    /// Of the last event.
    pub(crate) position: u64,
    pub(crate) events: usize,
    /// Rivals get no state.
    pub(crate) state: Option<Register>,
    pub(crate) repeated: bool,
}

impl History {
    pub(crate) fn now(&mut self, at: u64) -> Moment {
        self.steps += 1;
        Moment { step: self.steps, at }
    }

    /// Returns the number of the request.
    pub(crate) fn send(&mut self, at: u64, node: usize, to: Name, request: Request) -> usize {
        let sent = self.now(at);
        self.sent.push(Sent { node, to, request, sent, answer: None });
        self.sent.len() - 1
    }

    pub(crate) fn answer(&mut self, request: usize, at: u64, durable: u64, response: Response) {
        let answered = self.now(at);
        self.sent[request].answer = Some(Answer { response, answered, durable });
    }
}

impl Response {
    /// The version that this answer shows to its client.
    pub(crate) fn version(&self) -> Option<u64> {
        match self {
            Self::Done(Done { version, .. }) | Self::Refused { version } | Self::State { version, .. } => {
                Some(*version)
            }
            Self::Missing => Some(0),
            Self::KeyReused | Self::Panicked | Self::Nothing(_) | Self::Unknown | Self::Nonsense(_) => None,
        }
    }

    /// After this answer, the outcome of the command is known.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Nothing(_) | Self::Unknown)
    }
}

impl Response {
    pub(crate) fn done(&self) -> Option<&Done> {
        match self {
            Self::Done(done) => Some(done),
            _ => None,
        }
    }

    /// It says that the command has no effect now or later.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::KeyReused | Self::Panicked)
    }

    /// The state in the answer.
    pub(crate) fn state(&self) -> Option<&Register> {
        match self {
            Self::Done(done) => done.state.as_ref(),
            Self::State { state, .. } => Some(state),
            _ => None,
        }
    }
}

impl Sent {
    /// The name, if the request is a command.
    pub(crate) fn command(&self) -> Option<&str> {
        match &self.request {
            Request::Command { name, .. } => Some(name),
            Request::State => None,
        }
    }

    /// Whether the command's condition allows it to follow this version.
    pub(crate) fn allows(&self, before: u64) -> bool {
        match self.request {
            Request::Command { expected: Expected::Exactly(expected), .. } => before == expected.0,
            // Marks distinguish histories, and the simulation has only one.
            Request::Command { expected: Expected::Marked { version, .. }, .. } => before == version.0,
            Request::Command { expected: Expected::Exists, .. } => before > 0,
            Request::Command { expected: Expected::Any, .. } | Request::State => true,
        }
    }

    pub(crate) fn response(&self) -> Option<&Response> {
        self.answer.as_ref().map(|answer| &answer.response)
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command { name, .. } => write!(formatter, "command {name}"),
            Self::State => formatter.write_str("a read"),
        }
    }
}
