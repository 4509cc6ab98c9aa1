//! Sites of the shipped hosting module, over HTTP: how long the creation takes, and how long until they are provisioned.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dormouse_harness::{Client, Server, quantile};
use serde_json::{Value, json};

use crate::figure::{Figure, Target, Unit};
use crate::{Arguments, Measurement};

/// The floors are those of REQUIREMENTS D, the aims are ten times better.
const CREATION: Target = Target { floor: 100.0, aim: 10.0 };
const LIFE: Target = Target { floor: 200.0, aim: 20.0 };
const SITES: Target = Target { floor: 10.0, aim: 100.0 };

/// Clients that create one site after the other.
const CLIENTS: usize = 4;

/// The pause before a client asks again whether its site is provisioned.
const PAUSE: Duration = Duration::from_millis(1);

/// A site that is not provisioned by then never will be.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one site took.
struct Life {
    creation: Duration,
    whole: Duration,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<Figure>> {
    let server = Server::builder().set("log.level=\"error\"").start();
    eprintln!("hosting: {CLIENTS} clients, {} s", arguments.seconds);
    let (lives, next) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let (began, window) = (Instant::now(), Duration::from_secs(arguments.seconds));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let client = server.client();
                    while began.elapsed() < window {
                        let life = live(&client, next.fetch_add(1, Ordering::Relaxed))?;
                        lives.lock().map_err(|_| anyhow::anyhow!("another client failed"))?.push(life);
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let rate_per_second = next.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    let lives = lives.into_inner().map_err(|_| anyhow::anyhow!("a client failed"))?;
    ensure!(!lives.is_empty(), "no site was provisioned");
    let figure = |what: &str, measured, unit, target| Figure {
        name: Measurement::Hosting.name(),
        what: format!("{what}, SQLite, sites are directories, {CLIENTS} clients"),
        measured,
        unit,
        baseline: None,
        target: Some(target),
        p99_milliseconds: None,
    };
    let p95 = |took: fn(&Life) -> Duration| quantile(0.95, lives.iter().map(took)).as_secs_f64() * 1000.0;
    let (creation, whole) = (p95(|life| life.creation), p95(|life| life.whole));
    Ok(vec![
        figure("creation of a site, p95", creation, Unit::Milliseconds, CREATION),
        figure("from the request for a site to its provisioning, p95", whole, Unit::Milliseconds, LIFE),
        figure("sites created and provisioned", rate_per_second, Unit::PerSecond, SITES),
    ])
}

/// Creates a site, and waits until it is provisioned.
fn live(client: &Client, number: usize) -> Result<Life> {
    let body = json!({"domain": format!("site-{number}.example.org"), "site_type": "static"});
    let began = Instant::now();
    let headers = [("content-type", "application/json"), ("dormouse-subject", "ada")];
    let created = client.request("POST", "/api/v1/sites", &headers, Some(body.to_string().as_bytes()))?;
    let creation = began.elapsed();
    ensure!(created.status == 201, "{created}");
    let id = created.json()["id"].as_str().context("a site has an id")?.to_owned();
    while began.elapsed() < PATIENCE {
        let site = client.get(&format!("/v1/site/{id}"))?;
        let status: &Value = &site.json()["state"]["status"];
        match status.as_str() {
            Some("provisioned") => return Ok(Life { creation, whole: began.elapsed() }),
            Some("failed") => bail!("{site}"),
            _ => thread::sleep(PAUSE),
        }
    }
    bail!("site {id} was not provisioned within {PATIENCE:?}")
}
