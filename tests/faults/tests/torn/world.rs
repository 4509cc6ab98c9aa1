//! A node that goes down during a commit, and the node that is started on the rest.

use std::sync::Arc;
use std::time::Duration;

use dormouse_config::{Config, SnapshotStrategy};
use dormouse_engine::{Aggregates, CommandError, CommandOptions, Engine, Outcome, QueryError, VersionedState};
use dormouse_faults::{Fault, Faulty, Tear};
use dormouse_journal::{Journal, Options, PageLimit, Store};
use dormouse_kernel::{AggregateId, CommandKey, Position, Version};
use tokio::task::JoinHandle;

use crate::tally::{Never, Tally, TallyCommand};

/// How long anybody waits for an answer.
const DEADLINE: Duration = Duration::from_secs(5);

pub(crate) type Answer = Result<Outcome<u64>, CommandError<Never>>;

/// An engine on a store.
pub(crate) struct Node {
    pub(crate) journal: Journal,
    tallies: Aggregates<Tally>,
}

/// The storage that a node leaves, and the answers to its clients.
pub(crate) struct Wreck {
    storage: Arc<dyn Store>,
    pub(crate) answers: Vec<Answer>,
}

impl Wreck {
    /// Aggregates `a` and `plug` have one event each. Then a commit of three commands is torn: three events each for
    /// `a`, `b` and `c`.
    pub(crate) async fn of(tear: Tear) -> Self {
        Self::build(tear, ["a", "b", "c"], false).await
    }

    /// The same, and there is a snapshot of `a` at its first event.
    pub(crate) async fn snapshotted(tear: Tear) -> Self {
        Self::build(tear, ["a", "b", "c"], true).await
    }

    /// All three commands are for `a`.
    pub(crate) async fn of_one_aggregate(tear: Tear) -> Self {
        Self::build(tear, ["a"; 3], false).await
    }

    async fn build(tear: Tear, ids: [&str; 3], snapshot: bool) -> Self {
        let store = Faulty::in_memory();
        let node = Node::start(Arc::clone(&store) as _, snapshot).await;
        node.add("a", 1).await.unwrap();
        // While something else is being committed, so that the three make one batch.
        let held = store.hold_commits();
        let plug = node.go("plug", 1, CommandOptions::default());
        store.commit_arrives().await;
        let answers = ids
            .iter()
            .enumerate()
            .map(|(number, to)| node.go(to, 3, CommandOptions { key: Some(key(number)), ..CommandOptions::default() }));
        let answers: Vec<_> = answers.collect();
        // Time stands still until all three have been submitted.
        tokio::time::sleep(Duration::from_millis(1)).await;
        store.script([Fault::None, Fault::Torn(tear)]);
        drop(held);
        plug.await.unwrap().unwrap();
        store.crashes().await;
        let mut results = Vec::new();
        for answer in answers {
            results.push(answer.await.unwrap());
        }
        Self { storage: Arc::clone(store.inner()), answers: results }
    }

    pub(crate) async fn reopen(&self) -> Node {
        Node::start(Faulty::beside(Arc::clone(&self.storage)), false).await
    }
}

impl Node {
    async fn start(store: Arc<dyn Store>, snapshots: bool) -> Self {
        let mut config = Config::embedded();
        config.runtime.shards = 2.try_into().unwrap();
        config.commands.timeout = DEADLINE;
        config.snapshots.strategy = if snapshots { SnapshotStrategy::EveryN } else { SnapshotStrategy::Never };
        config.snapshots.threshold = 1.try_into().unwrap();
        let journal = Journal::start(store, Options::default()).await.unwrap();
        let engine = Engine::builder(config).aggregate::<Tally>().start(journal.clone()).await.unwrap();
        let tallies = engine.aggregates::<Tally>().unwrap();
        Self { journal, tallies }
    }

    pub(crate) async fn send(&self, to: &str, times: u64, options: CommandOptions) -> Answer {
        self.tallies.execute(id(to), TallyCommand::Count { times }, options).await
    }

    /// The same, going on by itself.
    fn go(&self, to: &str, times: u64, options: CommandOptions) -> JoinHandle<Answer> {
        let (tallies, to) = (self.tallies.clone(), id(to));
        tokio::spawn(async move { tallies.execute(to, TallyCommand::Count { times }, options).await })
    }

    /// The version after a command with this many events.
    pub(crate) async fn add(&self, to: &str, times: u64) -> Result<Version, CommandError<Never>> {
        Ok(self.send(to, times, CommandOptions::default()).await?.version)
    }

    /// Sends the command again that was under way when the node went down.
    pub(crate) async fn repeat(&self, to: &str) -> Answer {
        let options = CommandOptions { key: Some(key_of(to)), ..CommandOptions::default() };
        self.send(to, 3, options).await
    }

    /// What became of the command that was under way when the node went down.
    pub(crate) async fn outcome(&self, of: &str) -> Result<Option<Outcome<u64>>, QueryError> {
        self.tallies.outcome(&id(of), &key_of(of)).await
    }

    pub(crate) async fn read(&self, of: &str) -> Result<VersionedState<Tally>, QueryError> {
        self.tallies.state(&id(of)).await
    }

    /// How many commands are in the log, all of them whole.
    pub(crate) async fn commands_in_log(&self) -> usize {
        let events = self.journal.read_log(Position::ZERO, PageLimit::events(1000)).await.unwrap();
        let (mut commands, mut missing) = (0, 0);
        for event in events {
            match event.metadata().unwrap().command {
                Some(command) => {
                    assert_eq!(missing, 0, "a command is there in part");
                    commands += 1;
                    missing = command.events - 1;
                }
                None => missing -= 1,
            }
        }
        assert_eq!(missing, 0, "the last command is there in part");
        commands
    }
}

fn id(name: &str) -> AggregateId {
    AggregateId::new(name).unwrap()
}

fn key(number: usize) -> CommandKey {
    CommandKey::new(format!("key-{number}")).unwrap()
}

fn key_of(name: &str) -> CommandKey {
    key(["a", "b", "c"].iter().position(|id| *id == name).unwrap())
}
