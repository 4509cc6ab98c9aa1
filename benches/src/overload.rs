//! More load than a node can handle: the capacity that is left, and the time until the rest is refused.

use std::time::Duration;

use anyhow::{Result, ensure};
use dormouse_harness::{Load as Clients, Server, post_bytes, quantile};

use crate::figure::{Figure, Target, Unit};
use crate::http::{AGGREGATES, alternate, figure, started};
use crate::wrk::{Aggregates, Wrk};
use crate::{Arguments, Measurement};

/// The number of connections with the most throughput: more of them would not be served faster.
const BUSY: usize = 64;

/// The overload as a multiple of these connections, all of which wait all of the time.
const OVERLOAD: usize = 10;

/// The targets for the capacity that is left.
const GOODPUT: Target = Target { floor: 0.8, aim: 1.0 };

/// The clients of one aggregate, the number of their commands that may wait, and the target for the time until the
/// others are refused, in milliseconds.
const QUEUE: usize = 100;
const QUEUE_PERMITS: usize = 4;
const REFUSED_WITHIN: Target = Target { floor: 100.0, aim: 20.0 };

pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<Figure>> {
    Ok(vec![goodput(arguments)?, refusals(arguments)?])
}

fn goodput(arguments: &Arguments) -> Result<Figure> {
    let server = started(Server::builder().journal("memory:"));
    let wrk = |connections| Wrk { connections, aggregates: Aggregates::Random(AGGREGATES), keys: false, tokens: None };
    let (busy, overload) = (wrk(BUSY), wrk(BUSY * OVERLOAD));
    overload.run(&server.url(), 2)?;
    let run = |wrk: &Wrk| wrk.run(&server.url(), arguments.seconds);
    let (load, baseline) = alternate("overload", arguments.rounds, || run(&overload), || run(&busy))?;
    let what = format!("commands over HTTP, journal in memory, {} connections", BUSY * OVERLOAD);
    let figure = figure(Measurement::Overload, what, load, Some(("64 connections", baseline)));
    Ok(Figure { target: Some(GOODPUT), ..figure })
}

fn refusals(arguments: &Arguments) -> Result<Figure> {
    eprintln!("overload: refusals");
    let server = started(Server::builder().set(format!("admission.per_aggregate={QUEUE_PERMITS}")));
    let clients = Clients::new(server.address(), QUEUE, |_, _| {
        post_bytes("/v1/inventory/hot/update-inventory", r#"{"change":1,"reason":"delivery"}"#)
    });
    let report = clients.run(Duration::from_secs(arguments.seconds));
    let refused = report.count(429);
    ensure!(refused > 0, "no request was refused: {}", report.statuses());
    let p99 = quantile(0.99, report.with_status(429).map(|request| request.took)).as_secs_f64() * 1000.0;
    Ok(Figure {
        name: Measurement::Overload.name(),
        what: format!("until a refusal is there, p99, {QUEUE} clients of an aggregate that lets {QUEUE_PERMITS} wait"),
        measured: p99,
        unit: Unit::Milliseconds,
        baseline: None,
        target: Some(REFUSED_WITHIN),
        p99_milliseconds: None,
    })
}
