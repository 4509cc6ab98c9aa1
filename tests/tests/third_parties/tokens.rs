//! Tokens that software of others makes: jose, and an identity provider.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dormouse_harness::{Ability, OidcProvider, Server, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::clients_folder;

/// Installs what the tests need from npm, and returns its folder.
#[track_caller]
fn installed() -> PathBuf {
    let folder = clients_folder();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/install");
    let output = Command::new(script).arg(&folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", Ability::Packages.hint());
    folder
}

/// A server that trusts an issuer. Whoever has the role may count the stock.
fn server_that_trusts(issuer: &str, jwks: &str, audience: &str, role: &str, more: &[&str]) -> Server {
    let settings = [
        "auth.mode=jwt".to_owned(),
        format!("auth.jwt.issuer={issuer}"),
        format!("auth.jwt.jwks={jwks}"),
        format!("auth.jwt.audience=[{audience:?}]"),
        format!("permissions.commands={{UpdateInventory=[{role:?}]}}"),
    ];
    let settings = settings.into_iter().chain(more.iter().map(|set| (*set).to_owned()));
    settings.fold(Server::builder(), |builder, set| builder.set(set)).start()
}

/// The status of a command with this token.
fn status(server: &Server, token: &str, path: &str, body: &Value) -> u16 {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    server.client().post_with(path, &headers, body).unwrap().status
}

fn count_stock(server: &Server, token: &str) -> u16 {
    status(server, token, "/v1/inventory/tea/update-inventory", &json!({"change": 1, "reason": "counted"}))
}

fn cancel_order(server: &Server, token: &str) -> u16 {
    status(server, token, "/v1/order/o-1/cancel-order", &json!({"reason": "none"}))
}

#[test]
fn tokens_that_jose_signs_by_a_key_of_each_kind_are_accepted() {
    if Ability::Packages.is_switched_off() {
        return;
    }
    let output = Command::new("node").arg("jose.js").current_dir(installed()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let directory = TempDir::new().unwrap();
    let jwks = directory.path().join("jwks.json");
    fs::write(&jwks, made["jwks"].to_string()).unwrap();
    let issuer = made["issuer"].as_str().unwrap();
    let server = server_that_trusts(issuer, jwks.to_str().unwrap(), "dormouse", "stock", &[]);

    let tokens = made["tokens"].as_object().unwrap();
    assert_eq!(tokens.keys().collect::<Vec<_>>(), ["ES256", "EdDSA", "RS256"]);
    for (algorithm, tokens) in tokens {
        let [ours, foreign] = ["ours", "foreign"].map(|name| tokens[name].as_str().unwrap());
        assert_eq!(count_stock(&server, ours), 200, "{algorithm}");
        assert_eq!(cancel_order(&server, ours), 403, "{algorithm}");
        assert_eq!(count_stock(&server, foreign), 401, "{algorithm}: a token for another server");
    }
}

#[test]
fn access_tokens_of_an_identity_provider_are_accepted_with_their_scopes_as_roles() {
    if Ability::Packages.is_switched_off() {
        return;
    }
    let ours = "https://dormouse.example.org";
    let provider = OidcProvider::start(&installed());
    let scopes = ["auth.jwt.roles_claim=scope"];
    let server = server_that_trusts(provider.issuer(), &provider.jwks_url(), ours, "stock:write", &scopes);

    let both = provider.token(ours, "stock:write%20orders:read");
    // The server may not have fetched the keys of the provider yet.
    eventually("a token is accepted", Duration::from_secs(30), || count_stock(&server, &both) == 200);
    assert_eq!(cancel_order(&server, &both), 403);
    assert_eq!(count_stock(&server, &provider.token(ours, "orders:read")), 403);
    let foreign = provider.token("https://another.example.org", "stock:write");
    assert_eq!(count_stock(&server, &foreign), 401, "a token for another server");
}
