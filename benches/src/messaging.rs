//! Messages, handlers and timers: a whole application in this process, on SQLite, with what users of the library use.

mod domain;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dormouse::{App, Config, Running};
use dormouse_engine::{Aggregates, CommandOptions};
use dormouse_kernel::AggregateId;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::figure::{Baseline, Figure, Target, Unit};
use crate::http;
use crate::{Arguments, Measurement};
use domain::{Counter, Done, Mailbox, MailboxCommand};

/// DESIGN §8.
const MESSAGES: Target = Target { floor: 0.4, aim: 0.7 };

/// As many as the connections and the aggregates of the benchmark over HTTP.
const CALLERS: usize = 256;
const AGGREGATES: usize = 5_000;

/// Timers that are due within this time.
const TIMERS: usize = 100_000;
const TIMERS_WITHIN: Duration = Duration::from_secs(10);

/// Timers that one command sets: most that are allowed.
const TIMERS_PER_COMMAND: usize = 250;

/// Events that a handler has not seen yet.
const BACKLOG: u64 = 1_000_000;

/// Events that one command of the backlog makes.
const BACKLOG_PER_COMMAND: u64 = 500;

/// Messages from one aggregate to another, durable on both sides, beside commands over HTTP.
pub(crate) fn messages(arguments: &Arguments) -> Result<Figure> {
    let single = http::commands(arguments)?;
    let measured = runtime()?.block_on(async {
        let mut best = 0.0_f64;
        for round in 1..=arguments.rounds {
            eprintln!("messages: round {round} of {}", arguments.rounds);
            best = best.max(messages_per_second(Duration::from_secs(arguments.seconds)).await?);
        }
        anyhow::Ok(best)
    })?;
    Ok(Figure {
        name: Measurement::Messages.name(),
        what: format!("messages between aggregates, durable on both sides, SQLite, {AGGREGATES} aggregates"),
        measured,
        unit: Unit::PerSecond,
        baseline: Some(Baseline { what: "commands over HTTP, SQLite, 256 connections", measured: single }),
        target: Some(MESSAGES),
        p99_milliseconds: None,
    })
}

/// Each message counts when the commit of its receiver is durable: the time ends with the last of them.
async fn messages_per_second(window: Duration) -> Result<f64> {
    let world = World::start(App::new("bench").aggregate::<Mailbox>()).await?;
    let started = Instant::now();
    let sent = world.commands(window, |number| {
        let to = format!("to-{}", (number * 7) % AGGREGATES);
        (format!("from-{}", number % AGGREGATES), MailboxCommand::Send { to })
    });
    let sent = sent.await?;
    world.wait_for_events(2 * sent).await?;
    let rate = sent as f64 / started.elapsed().as_secs_f64();
    world.stop().await?;
    Ok(rate)
}

/// Jobs of a handler that does nothing, while the log is written and after.
pub(crate) fn jobs(arguments: &Arguments) -> Result<Figure> {
    let measured = runtime()?.block_on(async {
        let mut best = 0.0_f64;
        for round in 1..=arguments.rounds {
            eprintln!("jobs: round {round} of {}", arguments.rounds);
            let counter = Counter::default();
            let app = App::new("bench").aggregate::<Mailbox>().handler(Done(counter.clone()));
            let world = World::start(app).await?;
            let started = Instant::now();
            let written = world.commands(Duration::from_secs(arguments.seconds), |number| {
                (format!("to-{}", number % AGGREGATES), MailboxCommand::Receive {})
            });
            let written = written.await?;
            counter.wait_for(written).await;
            best = best.max(written as f64 / started.elapsed().as_secs_f64());
            world.stop().await?;
        }
        anyhow::Ok(best)
    })?;
    Ok(Figure {
        name: Measurement::Jobs.name(),
        what: format!(
            "jobs of a handler that does nothing, with the commands that cause them, {AGGREGATES} aggregates"
        ),
        measured,
        unit: Unit::PerSecond,
        baseline: None,
        target: None,
        p99_milliseconds: None,
    })
}

/// Timers that are all due at once; and how late those are that are due within ten seconds.
pub(crate) fn timers(_: &Arguments) -> Result<Vec<Figure>> {
    runtime()?.block_on(async {
        eprintln!("timers: {TIMERS} due at once, then within {TIMERS_WITHIN:?}");
        let figure = |what: String, measured, unit| Figure {
            name: Measurement::Timers.name(),
            what,
            measured,
            unit,
            baseline: None,
            target: None,
            p99_milliseconds: None,
        };
        let at_once = fire(Duration::ZERO).await?;
        let rate = TIMERS as f64 / at_once.elapsed.as_secs_f64();
        let spread = fire(TIMERS_WITHIN).await?;
        Ok(vec![
            figure(format!("timers, {TIMERS} due at once, each a durable command"), rate, Unit::PerSecond),
            figure(
                format!("lateness p99 of timers, {TIMERS} due within {TIMERS_WITHIN:?}"),
                spread.lateness_p99.as_secs_f64() * 1000.0,
                Unit::Milliseconds,
            ),
        ])
    })
}

struct Fired {
    elapsed: Duration,
    lateness_p99: Duration,
}

/// Sets all timers, waits until the first is due, and then until each has fired.
async fn fire(within: Duration) -> Result<Fired> {
    let world = World::start(App::new("bench").aggregate::<Mailbox>()).await?;
    // All timers are set before the first is due.
    let first = world.now().checked_add(Duration::from_secs(20))?;
    let commands = TIMERS / TIMERS_PER_COMMAND;
    for command in 0..commands {
        let due = (0..TIMERS_PER_COMMAND).map(|number| {
            let place = (number * commands + command) as u32;
            first.checked_add(within * place / TIMERS as u32)
        });
        let due = due.collect::<Result<Vec<_>, _>>()?;
        world.execute(&format!("clock-{command}"), MailboxCommand::SetTimers { due }).await?;
    }
    let set = world.head();
    ensure!(world.now() < first, "setting the timers took too long");
    sleep(first.duration_since(world.now()).try_into().unwrap_or_default()).await;
    let started = Instant::now();
    world.wait_for_events(set + TIMERS as u64).await?;
    let elapsed = started.elapsed();
    let lateness_p99 = domain::lateness_p99(&world.running).await?;
    world.stop().await?;
    Ok(Fired { elapsed, lateness_p99 })
}

/// How much memory a handler takes that begins a million events behind.
pub(crate) fn backlog(_: &Arguments) -> Result<Figure> {
    runtime()?.block_on(async {
        eprintln!("backlog: {BACKLOG} events");
        let counter = Counter::default();
        let app = || App::new("bench").aggregate::<Mailbox>().handler(Done(counter.clone()));
        let world = World::start_with(app(), |config| config.listeners.paused.push(Done::LISTENER.to_owned())).await?;
        for number in 0..BACKLOG / BACKLOG_PER_COMMAND {
            let command = MailboxCommand::ReceiveMany { count: BACKLOG_PER_COMMAND };
            world.execute(&format!("to-{}", number % 1000), command).await?;
        }
        let before = domain::resident_bytes()?;
        world.running.messaging().configure(&[], &[])?;
        let mut most = before;
        while counter.count() < BACKLOG {
            most = most.max(domain::resident_bytes()?);
            sleep(Duration::from_millis(20)).await;
        }
        world.stop().await?;
        Ok(Figure {
            name: Measurement::Backlog.name(),
            what: format!("memory of a handler that works off {BACKLOG} events"),
            measured: most.saturating_sub(before) as f64,
            unit: Unit::Bytes,
            baseline: None,
            target: None,
            p99_milliseconds: None,
        })
    })
}

/// A running application, and its files.
struct World {
    running: Running,
    mailboxes: Aggregates<Mailbox>,
    _directory: TempDir,
}

impl World {
    async fn start(app: App) -> Result<Self> {
        Self::start_with(app, |_| ()).await
    }

    async fn start_with(app: App, change: impl FnOnce(&mut Config)) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("dormouse-bench-").tempdir()?;
        let mut config = Config::embedded();
        config.journal.url = format!("sqlite://{}", directory.path().display()).parse()?;
        config.gateway.listen = "127.0.0.1:0".parse()?;
        change(&mut config);
        let running = app.start(config).await?;
        let mailboxes = running.engine().aggregates::<Mailbox>().context("the type is registered")?;
        Ok(Self { running, mailboxes, _directory: directory })
    }

    fn now(&self) -> dormouse_kernel::Timestamp {
        dormouse_kernel::Timestamp::now()
    }

    fn head(&self) -> u64 {
        self.running.engine().journal().head().borrow().0
    }

    async fn execute(&self, id: &str, command: MailboxCommand) -> Result<()> {
        self.mailboxes.execute(AggregateId::new(id)?, command, CommandOptions::default()).await?;
        Ok(())
    }

    /// Sends commands for as long as `window`, from as many callers as there are connections. Returns how many.
    async fn commands(
        &self,
        window: Duration,
        command: impl Fn(usize) -> (String, MailboxCommand) + Clone + Send + 'static,
    ) -> Result<u64> {
        let (next, ends) = (Arc::new(AtomicU64::new(0)), Instant::now() + window);
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (next, mailboxes, command) = (Arc::clone(&next), self.mailboxes.clone(), command.clone());
                tokio::spawn(async move {
                    while Instant::now() < ends {
                        let (id, command) = command(usize::try_from(next.fetch_add(1, Ordering::Relaxed))?);
                        mailboxes.execute(AggregateId::new(id)?, command, CommandOptions::default()).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        Ok(next.load(Ordering::Relaxed))
    }

    /// Waits until the log has so many events.
    async fn wait_for_events(&self, count: u64) -> Result<()> {
        let mut head = self.running.engine().journal().head();
        head.wait_for(|head| head.0 >= count).await?;
        Ok(())
    }

    async fn stop(self) -> Result<()> {
        ensure!(self.running.stop().await.complete, "the application did not stop in good order");
        Ok(())
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Runtime::new()?)
}
