//! What Dormouse is built of, against `deny.toml`.

use std::process::Command;

use dormouse_harness::Ability;

#[test]
fn the_dependencies_have_allowed_licences_and_come_from_the_registry() {
    if Ability::Packages.is_switched_off() {
        return;
    }
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/supply_chain/run")).output().unwrap();
    let told = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{}{}\n{}", told[0], told[1], Ability::Packages.hint());
}
