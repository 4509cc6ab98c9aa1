//! What safety costs: tokens, rates, and encryption, each beside the same server without it.

use std::fs;
use std::process::Command;

use anyhow::Result;
use dormouse_encryption::WrappingKeyFile;
use dormouse_harness::{Authority, Server, ServerBuilder, TokenIssuer, dormouse_binary};
use dormouse_kernel::Timestamp;
use tempfile::TempDir;

use crate::child;
use crate::figure::{Figure, Target};
use crate::http::{AGGREGATES, alternate, figure, started};
use crate::wrk::{Aggregates, Wrk};
use crate::{Arguments, Measurement};

/// The subjects of the tokens, when there are many.
const SUBJECTS: usize = 10_000;

/// The subjects when there are few: as many as connections.
const FEW_SUBJECTS: usize = 256;

const WARM_UP_SECONDS: u64 = 2;

/// Issue 13: verified tokens are remembered, so a token costs a hash and a lookup.
const WITH_TOKENS: Target = Target { floor: 0.85, aim: 0.95 };

/// Tokens of few subjects and of many, with rates that nobody reaches; encrypted connections; and encryption at rest.
pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<Figure>> {
    let issuer = TokenIssuer::new("bench");
    let few = with_tokens(arguments, &issuer, FEW_SUBJECTS)?;
    let many = with_tokens(arguments, &issuer, SUBJECTS)?;
    let encrypted = encrypted(arguments)?;
    let whole = all_at_rest(arguments)?;
    let known = personal_at_rest(arguments, FEW_SUBJECTS, "of 256 persons")?;
    let new = personal_at_rest(arguments, 0, "of a new person in each")?;
    Ok(vec![Figure { target: Some(WITH_TOKENS), ..few }, many, encrypted, whole, known, new])
}

fn wrk(arguments: &Arguments) -> Wrk<'_> {
    Wrk { connections: arguments.connections, aggregates: Aggregates::Random(AGGREGATES), keys: false, tokens: None }
}

fn with_tokens(arguments: &Arguments, issuer: &TokenIssuer, subjects: usize) -> Result<Figure> {
    let directory = TempDir::new()?;
    let tokens = directory.path().join("tokens");
    let lines: Vec<String> = (0..subjects).map(|number| issuer.token(&format!("user-{number}"), &["admin"])).collect();
    fs::write(&tokens, lines.join("\n"))?;
    let settings = issuer.settings().into_iter().chain([
        // Nobody reaches them, but each request is counted.
        r#"limits.commands="1000000/s""#.to_owned(),
        r#"limits.auth="1000000/s""#.to_owned(),
    ]);
    let guarded = started(settings.fold(Server::builder(), ServerBuilder::set));
    let open = started(Server::builder());
    let (plain, known) = (wrk(arguments), Wrk { tokens: Some(&tokens), ..wrk(arguments) });
    plain.run(&open.url(), WARM_UP_SECONDS)?;
    known.run(&guarded.url(), WARM_UP_SECONDS)?;
    let measure = || known.run(&guarded.url(), arguments.seconds);
    let baseline = || plain.run(&open.url(), arguments.seconds);
    let (load, baseline) = alternate(&format!("tokens of {subjects} subjects"), arguments.rounds, measure, baseline)?;
    let what = format!("durable commands over HTTP, SQLite, with tokens of {subjects} subjects and rates");
    Ok(figure(Measurement::Security, what, load, Some(("without", baseline))))
}

/// A server that encrypts what it stores, with keys in a folder.
fn at_rest(mode: &str, keys: &TempDir) -> Result<Server> {
    let file = keys.path().join("wrapping.keys");
    WrappingKeyFile::create(&file, Timestamp::now())?;
    let settings = [
        format!("journal.encryption={mode}"),
        format!("keys.file={}", file.display()),
        format!("keys.url=sqlite://{}", keys.path().join("keys").display()),
    ];
    Ok(started(settings.into_iter().fold(Server::builder(), ServerBuilder::set)))
}

fn all_at_rest(arguments: &Arguments) -> Result<Figure> {
    let keys = TempDir::new()?;
    let (encrypting, open) = (at_rest("all", &keys)?, started(Server::builder()));
    let wrk = wrk(arguments);
    wrk.run(&open.url(), WARM_UP_SECONDS)?;
    wrk.run(&encrypting.url(), WARM_UP_SECONDS)?;
    let measure = || wrk.run(&encrypting.url(), arguments.seconds);
    let baseline = || wrk.run(&open.url(), arguments.seconds);
    let (load, baseline) = alternate("all payloads encrypted", arguments.rounds, measure, baseline)?;
    let what = "durable commands over HTTP, SQLite, all payloads encrypted at rest".to_owned();
    Ok(figure(Measurement::Security, what, load, Some(("not encrypted", baseline))))
}

fn personal_at_rest(arguments: &Arguments, persons: usize, whose: &str) -> Result<Figure> {
    let keys = TempDir::new()?;
    let (encrypting, open) = (at_rest("personal", &keys)?, started(Server::builder()));
    let wrk = wrk(arguments);
    wrk.create_orders(&open.url(), WARM_UP_SECONDS, persons)?;
    wrk.create_orders(&encrypting.url(), WARM_UP_SECONDS, persons)?;
    let measure = || wrk.create_orders(&encrypting.url(), arguments.seconds, persons);
    let baseline = || wrk.create_orders(&open.url(), arguments.seconds, persons);
    let (load, baseline) = alternate(&format!("personal values {whose}"), arguments.rounds, measure, baseline)?;
    let what = format!("durable orders over HTTP, SQLite, with a personal value {whose}, encrypted at rest");
    Ok(figure(Measurement::Security, what, load, Some(("not encrypted", baseline))))
}

fn encrypted(arguments: &Arguments) -> Result<Figure> {
    let directory = TempDir::new()?;
    let certificate = Authority::new("benchmarks").server(&["127.0.0.1"]);
    let write = |name: &str, content: &str| -> Result<String> {
        let path = directory.path().join(name);
        fs::write(&path, content)?;
        Ok(path.display().to_string())
    };
    let settings = [
        format!("gateway.tls.certificate={}", write("server.pem", &certificate.certificate)?),
        format!("gateway.tls.key={}", write("server.key", &certificate.key)?),
    ];
    let address = child::free_address()?;
    let settings = settings.into_iter().chain([format!("gateway.listen={address}"), "log.level=error".to_owned()]);
    let mut command = Command::new(dormouse_binary());
    command.arg("serve").current_dir(directory.path()).args(settings.flat_map(|set| ["--set".to_owned(), set]));
    let _encrypted = child::Server::listening_at(address, &mut command)?;
    let plain = started(Server::builder());
    let wrk = wrk(arguments);
    let url = format!("https://{address}");
    wrk.run(&plain.url(), WARM_UP_SECONDS)?;
    wrk.run(&url, WARM_UP_SECONDS)?;
    let measure = || wrk.run(&url, arguments.seconds);
    let baseline = || wrk.run(&plain.url(), arguments.seconds);
    let (load, baseline) = alternate("encrypted connections", arguments.rounds, measure, baseline)?;
    let what = format!("durable commands over HTTPS, SQLite, {} connections", arguments.connections);
    Ok(figure(Measurement::Security, what, load, Some(("HTTP", baseline))))
}
