//! The description of the API, as generators of clients and a linter take it (`tests/clients`).

use std::path::Path;
use std::process::Command;

use dormouse_harness::{Ability, Server};

#[test]
fn clients_generated_from_the_description_order_something_and_a_linter_finds_nothing() {
    if Ability::Packages.is_switched_off() {
        return;
    }
    let server = Server::builder().start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/run");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let output = Command::new(script).arg(server.url()).arg(folder).output().unwrap();
    let told = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{}{}\n{}", told[0], told[1], Ability::Packages.hint());
}
