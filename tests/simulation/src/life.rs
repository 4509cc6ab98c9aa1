//! One life of the process, from its start to its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_faults::{Dice, Odds};
use tokio::task::JoinSet;

use crate::client::{self, Client};
use crate::cluster::{Cluster, Node};
use crate::rival::{self, Rival};
use crate::run::World;
use crate::scenario::{Scenario, hurried};
use crate::trace::Source;

/// After this simulated time everything must be done. If not, something waits for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// The plan for a life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LifePlan {
    pub(crate) odds: Odds,
    /// The time when another node takes over.
    pub(crate) takeover: Option<Duration>,
    /// After the takeover, all clients use the new node, except for those that only read.
    pub(crate) clean: bool,
    /// The time when the process crashes, unless it ends before.
    pub(crate) crash: Option<Duration>,
    /// The time when the node drains.
    pub(crate) drain: Option<Duration>,
}

/// The clients and rivals, which survive a process.
#[derive(Clone, Debug)]
pub(crate) struct Participants {
    pub(crate) clients: Vec<Arc<Mutex<Client>>>,
    pub(crate) rivals: Vec<Arc<Mutex<Rival>>>,
}

impl Participants {
    pub(crate) fn have_finished(&self) -> bool {
        self.clients.iter().all(|client| client.lock().unwrap().has_finished())
            && self.rivals.iter().all(|rival| rival.lock().unwrap().has_finished())
    }
}

impl LifePlan {
    pub(crate) fn draw(scenario: &Scenario, dice: &mut Dice) -> Self {
        let odds = scenario.odds(dice);
        let mut soon = |happens: bool, odds: u64| {
            let soon = Duration::from_millis(1 + dice.pick(&[5, 20, 100, 600]) * dice.below(10) / 10);
            (happens && dice.one_in(odds)).then_some(soon)
        };
        Self {
            odds,
            takeover: soon(scenario.zombies, 2),
            crash: soon(scenario.crashes, 2),
            drain: soon(scenario.drains, 3),
            clean: dice.one_in(2),
        }
    }

    /// A plan without faults.
    pub(crate) fn calm() -> Self {
        Self { odds: Odds::default(), takeover: None, clean: false, crash: None, drain: None }
    }
}

/// Runs until all are done, or until the planned end. The caller then drops what is left of the process.
pub(crate) async fn live(world: Arc<World>, plan: LifePlan, mut dice: Dice, participants: Participants) {
    let node = Node::start(&world, dice.roll(), plan.odds, hurried(&mut dice)).await;
    let cluster = Cluster::of(Arc::clone(&node), plan.clean);
    let mut tasks = JoinSet::new();
    for client in &participants.clients {
        tasks.spawn(client::go_on(Arc::clone(client), Arc::clone(&cluster), Arc::clone(&world)));
    }
    for rival in &participants.rivals {
        tasks.spawn(rival::go_on(Arc::clone(rival), Arc::clone(&cluster), Arc::clone(&world)));
    }
    let all_done = async {
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    };
    let taken_over = async {
        match plan.takeover {
            Some(moment) => {
                tokio::time::sleep(moment).await;
                world.loses_ownership(node.number);
                let odds = Odds { torn: 0, ..plan.odds };
                cluster.succeed(Node::start(&world, dice.roll(), odds, hurried(&mut dice)).await);
                std::future::pending().await
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = node.store.crashes() => world.note(Source::World, "crashes in a commit".to_owned()),
        () = at(plan.crash) => world.note(Source::World, "crashes".to_owned()),
        () = at(plan.drain) => drain(&world, &cluster).await,
        () = taken_over => {}
        () = all_done => drain(&world, &cluster).await,
        () = tokio::time::sleep(PATIENCE) => world.report(format!("it hangs: {:?}", cluster.current())),
    }
    for node in cluster.nodes() {
        for violation in node.store.violations() {
            world.report(violation);
        }
    }
}

async fn at(moment: Option<Duration>) {
    match moment {
        Some(moment) => tokio::time::sleep(moment).await,
        None => std::future::pending().await,
    }
}

/// The current owner drains, unless it crashes meanwhile.
async fn drain(world: &World, cluster: &Cluster) {
    let node = cluster.current();
    world.note(Source::World, format!("node {} drains", node.number));
    tokio::select! {
        biased;
        () = node.store.crashes() => world.note(Source::World, "crashes while it drains".to_owned()),
        report = node.engine.drain(PATIENCE) => {
            world.note(Source::World, format!("drained: {report:?}"));
            if !report.complete {
                world.report(format!("node {} did not drain: {report:?}", node.number));
            }
        }
    }
}
