//! Compares the clients' answers with the log. It does not use the product's code.

mod truth;

use std::collections::BTreeMap;

use dormouse_kernel::RecordedEvent;

use crate::history::{Answer, Done, History, Moment, Name, Request, Response, Sent};
pub(crate) use truth::LoggedEvent;
use truth::{LoggedCommand, Truth};

/// For this time, in milliseconds, a node that was taken over may answer from a state that its successor has already
/// changed: it checks every 500 ms whether it still owns the journal, and the check takes longer on a slow store.
const ZOMBIE_WINDOW: u64 = 500 + 200;

/// All violations, in words.
pub(crate) fn check(log: &[RecordedEvent], history: &History) -> Vec<String> {
    let truth = Truth::read(log);
    let mut checker = Checker { history, truth: &truth, violations: truth.violations.clone() };
    let mut attempts: BTreeMap<&str, Vec<&Sent>> = BTreeMap::new();
    for sent in &history.sent {
        if let Some(command) = sent.command() {
            attempts.entry(command).or_default().push(sent);
        }
    }
    for command in truth.commands.keys().filter(|command| !attempts.contains_key(command.as_str())) {
        checker.wrong(format!("{command} is in the log, but no client sent it"));
    }
    for (command, attempts) in attempts {
        checker.command(command, &attempts);
    }
    for sent in &history.sent {
        if let Some(answer) = &sent.answer {
            checker.answer(sent, answer);
        }
    }
    checker.violations
}

struct Checker<'a> {
    history: &'a History,
    truth: &'a Truth,
    violations: Vec<String>,
}

impl Checker<'_> {
    fn wrong(&mut self, violation: String) {
        self.violations.push(violation);
    }

    /// Acknowledged: in the log exactly once, as in the answer, with the same answer each time. Refused: not in the
    /// log. Unknown: at most once.
    fn command(&mut self, command: &str, attempts: &[&Sent]) {
        let found = self.truth.commands.get(command).map_or(&[][..], Vec::as_slice);
        let responses: Vec<Option<&Response>> = attempts.iter().map(|sent| sent.response()).collect();
        let done: Vec<&Done> = responses.iter().filter_map(|response| response.and_then(Response::done)).collect();
        let refused = responses.iter().flatten().any(|response| response.is_refusal());
        let never_tried = responses.iter().all(|response| matches!(response, Some(Response::Nothing(_))));
        if found.len() > 1 {
            self.wrong(format!("{command} is in the log {} times: {found:?}", found.len()));
        }
        if (refused || never_tried) && !found.is_empty() {
            self.wrong(format!("{command} was told to have no effect, and is in the log: {found:?}"));
        }
        if !done.is_empty() && found.is_empty() {
            self.wrong(format!("{command} was acknowledged, and is not in the log: {done:?}"));
        }
        if let (Some(first), Some(found)) = (done.first(), found.first()) {
            if !found.matches(first) {
                self.wrong(format!("{command} was acknowledged as {first:?}, and is in the log as {found:?}"));
            }
            for again in &done[1..] {
                if **again != (Done { repeated: true, ..(*first).clone() }) {
                    self.wrong(format!("{command} was answered {first:?} at first, and then {again:?}"));
                }
            }
        }
        if let Some(found) = found.first().filter(|found| !attempts.iter().any(|sent| sent.allows(found.before()))) {
            self.wrong(format!("{command} is in the log against its condition: {found:?}"));
        }
        if let (Some(first_attempt), Some(found)) = (attempts.first(), found.first()) {
            self.comes_after_what_was_known(command, first_attempt, found);
        }
    }

    /// A client knows the answers that it got before it sends a command, so the command follows them.
    fn comes_after_what_was_known(&mut self, command: &str, sent: &Sent, found: &LoggedCommand) {
        let known = self.known(&sent.to, |answer, _| answer.answered < sent.sent);
        if found.first_version <= known {
            let version = found.first_version;
            self.wrong(format!("{command} was sent after version {known} was answered, and became version {version}"));
        }
    }

    /// The content of an answer is durable, true, and no older than earlier answers.
    fn answer(&mut self, sent: &Sent, answer: &Answer) {
        let response = &answer.response;
        if let Response::Nonsense(what) = response {
            self.wrong(format!("{} was answered {what}", sent.request));
        }
        if let (Request::Command { steals_key: true, .. }, Response::Done(_)) = (&sent.request, response) {
            self.wrong(format!("{} was carried out under the key of another command", sent.request));
        }
        let Some(version) = response.version() else { return };
        if version > answer.durable {
            let durable = answer.durable;
            self.wrong(format!("{} was answered {response:?} when only version {durable} was durable", sent.request));
        }
        if let Some(state) = response.state() {
            let truth = self.truth.state(&sent.to, version);
            if truth != Some(state) {
                self.wrong(format!("{} was answered {response:?}, but by its events it is {truth:?}", sent.request));
            }
        }
        // A repeated answer is an old one. New commands are checked by their first answer.
        if response.done().is_none() {
            let known = self.known(&sent.to, |answer, node| self.must_be_known(sent, answer, node));
            if version < known {
                self.wrong(format!("{} was answered {response:?} after version {known} was answered", sent.request));
            }
        }
    }

    /// The highest version in those answers about an aggregate for which `counts` holds. `counts` gets the answer and
    /// the node.
    fn known(&self, of: &Name, counts: impl Fn(&Answer, usize) -> bool) -> u64 {
        let answers = self.history.sent.iter().filter(|sent| sent.to == *of);
        let answers = answers.filter_map(|sent| sent.answer.as_ref().map(|answer| (answer, sent.node)));
        answers
            .filter(|(answer, node)| counts(answer, *node))
            .filter_map(|(answer, _)| answer.response.version())
            .max()
            .unwrap_or(0)
    }

    /// For a short time, a node that was taken over need not know the answers of other nodes.
    fn must_be_known(&self, sent: &Sent, answer: &Answer, by: usize) -> bool {
        let before = |moment: Moment| answer.answered < moment;
        match self.history.nodes[sent.node].ended {
            Some(ended) if sent.sent.at < ended.at + ZOMBIE_WINDOW => {
                before(sent.sent) && (by == sent.node || before(ended))
            }
            _ => before(sent.sent),
        }
    }
}
