//! Tokens that must not let anybody in. Each differs in one thing from a token that is accepted.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::signer::{Signer, encoded, with_secret};
use super::{ISSUER, NOW, Server, claims, with};

type Cases = Vec<(String, String)>;

#[tokio::test]
async fn no_hostile_token_lets_in() {
    let server = Server::new();
    let cases: Cases = [
        algorithms(&server),
        key_ids(&server),
        headers(&server),
        signatures(&server),
        issuers_and_audiences(&server),
        times(&server),
        subjects_and_roles(&server),
        shapes(&server),
    ]
    .concat();
    assert!(cases.len() >= 130, "{}", cases.len());
    for (what, token) in &cases {
        // Twice: what was refused must not be remembered as accepted.
        for _ in 0..2 {
            assert!(server.ask(token).await.is_err(), "{what}");
        }
    }
    assert!(server.ask(&server.ec.sign(&claims())).await.is_ok(), "and the good token still does");
}

fn case(what: impl Into<String>, token: impl Into<String>) -> (String, String) {
    (what.into(), token.into())
}

fn algorithms(server: &Server) -> Cases {
    let (message, _) = split(&server.ec.sign(&claims()));
    let mut cases = Vec::new();
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let message = format!("{}.{}", encoded(json!({"alg": name}).to_string().as_bytes()), claims_of(&message));
        cases.push(case(format!("alg {name:?} without a signature"), format!("{message}.")));
        cases.push(case(format!("alg {name:?} with a signature"), format!("{message}.AAAA")));
    }
    let header = |alg: &str, id: &str| json!({"alg": alg, "kid": id});
    for (what, secret, id) in [
        ("the public key in PEM", server.rsa.public_pem.clone(), "r-1"),
        ("the public key in PEM without its last line feed", server.rsa.public_pem.trim_end().to_owned(), "r-1"),
        ("the public key in JSON", server.ec.jwk.to_string(), "e-1"),
        ("the modulus", server.rsa.jwk["n"].as_str().unwrap().to_owned(), "r-1"),
        ("nothing", String::new(), "e-1"),
    ] {
        let token = with_secret(secret.as_bytes(), &header("HS256", id), &claims());
        cases.push(case(format!("HS256 with {what}"), token));
    }
    for alg in ["HS384", "HS512", "RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "es256", "Ed448", "RSA-OAEP"] {
        cases.push(case(alg, server.ec.sign_as(&header(alg, "e-1"), &claims())));
    }
    for alg in [json!(null), json!(256), json!(["ES256"]), json!({"ES256": 1}), json!(true)] {
        cases.push(case(format!("alg {alg}"), server.ec.sign_as(&json!({"alg": alg, "kid": "e-1"}), &claims())));
    }
    cases.push(case("no alg", server.ec.sign_as(&json!({"kid": "e-1"}), &claims())));
    for (alg, id) in [("ES256", "r-1"), ("RS256", "e-1"), ("EdDSA", "e-1"), ("RS256", "d-1"), ("ES256", "d-1")] {
        for signer in [&server.rsa, &server.ec, &server.ed] {
            let what = format!("{alg} for {id}, signed by {}", signer.key_id);
            cases.push(case(what, signer.sign_as(&header(alg, id), &claims())));
        }
    }
    cases
}

fn key_ids(server: &Server) -> Cases {
    let signed = |id: Value| server.ec.sign_as(&json!({"alg": "ES256", "kid": id}), &claims());
    let ids = [
        json!("e-2"),
        json!(""),
        json!("E-1"),
        json!("e-1 "),
        json!("e-1\u{0}"),
        json!("../../../../../../dev/null"),
        json!("file:///dev/null"),
        json!("https://evil.example/keys"),
        json!("e-1' OR '1'='1"),
        json!("x".repeat(300)),
        json!("x".repeat(3000)),
        json!(1),
        json!(null),
        json!(["e-1"]),
        json!({"e-1": 1}),
    ];
    let mut cases: Cases = ids.into_iter().map(|id| case(format!("kid {id}"), signed(id))).collect();
    let stranger = Signer::ec("e-1");
    cases.push(case("another key under a known id", stranger.sign(&claims())));
    cases.push(case("another key without an id", stranger.sign_as(&json!({"alg": "ES256"}), &claims())));
    let stranger = Signer::ed("p-1");
    cases.push(case("another key for a PEM file", stranger.sign(&with(claims(), "iss", json!("partner")))));
    cases
}

fn headers(server: &Server) -> Cases {
    let stranger = Signer::ec("e-1");
    let foreign = |name: &str, value: Value| {
        let header = json!({"alg": "ES256", name: value});
        let with_id = json!({"alg": "ES256", "kid": "e-1", name: header[name]});
        [
            case(format!("{name} of a stranger"), stranger.sign_as(&header, &claims())),
            case(format!("{name} of a stranger with a known id"), stranger.sign_as(&with_id, &claims())),
        ]
    };
    let mut cases: Cases = [
        foreign("jwk", stranger.jwk.clone()),
        foreign("jku", json!("https://evil.example/keys.json")),
        foreign("x5u", json!("https://evil.example/certificate.pem")),
        foreign("x5c", json!([STANDARD.encode(&stranger.public_pem)])),
    ]
    .concat();
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!(["https://evil.example/must-understand"])),
        ("crit", json!([])),
        ("crit", json!("exp")),
        ("b64", json!(false)),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("JWE")),
        ("typ", json!(7)),
    ] {
        let mut header = server.ec.header();
        header[name] = value.clone();
        cases.push(case(format!("{name} {value}"), server.ec.sign_as(&header, &claims())));
    }
    let claims = claims().to_string();
    for header in [
        r#"{"alg":"none","alg":"ES256","kid":"e-1"}"#,
        r#"{"alg":"ES256","alg":"none","kid":"e-1"}"#,
        r#"{"alg":"ES256","kid":"x","kid":"e-1"}"#,
        r#"{"alg":"ES256","kid":"e-1"} {}"#,
        r#"["ES256"]"#,
        "ES256",
        "",
    ] {
        cases.push(case(format!("the header {header}"), server.ec.sign_texts(header, &claims)));
    }
    cases
}

fn signatures(server: &Server) -> Cases {
    let token = server.ec.sign(&claims());
    let (message, signature) = split(&token);
    let bytes = URL_SAFE_NO_PAD.decode(&signature).unwrap();
    let signed = |bytes: &[u8]| format!("{message}.{}", encoded(bytes));
    let mut flipped = bytes.clone();
    flipped[10] ^= 1;
    let other = split(&server.ec.sign(&with(claims(), "sub", json!("bob")))).1;
    let admin = encoded(with(claims(), "roles", json!(["admin"])).to_string().as_bytes());
    let header = message.split('.').next().unwrap();
    // What Java accepted for some time (CVE-2022-21449).
    let zeros = [0; 64];
    let der = [[0x30, 68, 2, 32].as_slice(), &bytes[..32], &[2, 32], &bytes[32..]].concat();
    vec![
        case("no signature", format!("{message}.")),
        case("a truncated signature", signed(&bytes[..63])),
        case("a signature with a byte more", signed(&[bytes.as_slice(), &[0]].concat())),
        case("a flipped bit", signed(&flipped)),
        case("the signature of another token", format!("{message}.{other}")),
        case("zeros", signed(&zeros)),
        case("a signature in DER", signed(&der)),
        case("a padded signature", format!("{message}.{}", URL_SAFE.encode(&bytes))),
        case("other claims under an old signature", format!("{header}.{admin}.{signature}")),
        case("a signature with a line feed", format!("{token}\n")),
    ]
}

fn issuers_and_audiences(server: &Server) -> Cases {
    let signed = |name: &str, value: &Value| server.ec.sign(&with(claims(), name, value.clone()));
    let mut cases = Vec::new();
    for value in [
        json!("https://evil.example"),
        json!(format!("{ISSUER}/")),
        json!(ISSUER.to_uppercase()),
        json!(format!(" {ISSUER}")),
        json!([ISSUER]),
        json!({ISSUER: 1}),
        json!(null),
        json!(""),
        // Known, but another one's: its keys did not sign this.
        json!("partner"),
    ] {
        cases.push(case(format!("iss {value}"), signed("iss", &value)));
    }
    for value in [
        json!("other"),
        json!("Shop"),
        json!(""),
        json!([]),
        json!(["other"]),
        json!(["shop", 7]),
        json!([["shop"]]),
        json!({"shop": 1}),
        json!(7),
        json!(null),
    ] {
        cases.push(case(format!("aud {value}"), signed("aud", &value)));
    }
    for name in ["iss", "aud", "client_id"] {
        cases.push(case(format!("no {name}"), server.ec.sign(&without(name))));
    }
    cases.push(case("client_id null", signed("client_id", &json!(null))));
    cases
}

fn times(server: &Server) -> Cases {
    let mut cases = Vec::new();
    let later = (NOW + 300.0).to_string();
    for (name, value) in [
        ("exp", json!(NOW - 31.0)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(NOW * 1000.0)),
        ("exp", json!(later)),
        ("exp", json!(null)),
        ("exp", json!(true)),
        ("exp", json!([NOW + 300.0])),
        ("exp", json!({"value": NOW + 300.0})),
        ("nbf", json!(NOW + 31.0)),
        ("nbf", json!("0")),
        ("nbf", json!(null)),
        ("nbf", json!(false)),
        ("nbf", json!([0])),
        ("iat", json!(NOW + 3600.0)),
        ("iat", json!("0")),
    ] {
        cases.push(case(format!("{name} {value}"), server.ec.sign(&with(claims(), name, value))));
    }
    cases.push(case("no exp", server.ec.sign(&without("exp"))));
    let (header, good) = (server.ec.header().to_string(), claims().to_string());
    for extra in
        [r#""exp":0"#, r#""exp":99999999999"#, r#""aud":"shop""#, r#""roles":["admin"]"#, r#""\u0073ub":"bob""#]
    {
        let twice = format!("{},{extra}}}", good.trim_end_matches('}'));
        cases.push(case(format!("also {extra}"), server.ec.sign_texts(&header, &twice)));
    }
    cases.push(case("exp NaN", server.ec.sign_texts(&header, &good.replace(&format!("{}", NOW + 300.0), "NaN"))));
    cases
}

fn subjects_and_roles(server: &Server) -> Cases {
    let mut cases = Vec::new();
    for (name, value) in [
        ("sub", json!("")),
        ("sub", json!("a b")),
        ("sub", json!("a\nb")),
        ("sub", json!("a\u{0}")),
        ("sub", json!("äda")),
        ("sub", json!("x".repeat(256))),
        ("sub", json!(7)),
        ("sub", json!(null)),
        ("sub", json!(["ada"])),
        ("roles", json!(7)),
        ("roles", json!([7])),
        ("roles", json!([["admin"]])),
        ("roles", json!({"admin": true})),
    ] {
        cases.push(case(format!("{name} {value}"), server.ec.sign(&with(claims(), name, value))));
    }
    cases.push(case("no sub", server.ec.sign(&without("sub"))));
    cases
}

fn shapes(server: &Server) -> Cases {
    let good = server.ec.sign(&claims());
    let (message, signature) = split(&good);
    let header = server.ec.header().to_string();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(900), "]".repeat(900));
    let nested = server.ec.sign_texts(r#"{"alg":"ES256","kid":"e-1","cty":"JWT"}"#, &good);
    let json_form =
        json!({"payload": claims_of(&message), "protected": message.split('.').next(), "signature": signature});
    // A length that is no multiple of three needs padding.
    let uneven = format!("{header}{}", " ".repeat(4 - header.len() % 3));
    let padded = format!("{}.{}", URL_SAFE.encode(&uneven), encoded(claims().to_string().as_bytes()));
    // Question marks become slashes in standard base64.
    let questions = with(claims(), "x", json!("???????")).to_string();
    let standard = format!("{}.{}", encoded(header.as_bytes()), STANDARD.encode(&questions).replace('=', ""));
    assert!(padded.contains('=') && standard.contains('/'));
    vec![
        case("nothing", ""),
        case("dots", ".."),
        case("two parts", message.clone()),
        case("four parts", format!("{good}.AAAA")),
        case("five parts", format!("{good}.AAAA.AAAA")),
        case("a blank before it", format!(" {good}")),
        case("a blank within it", good.replacen('.', ". ", 1)),
        case("not ASCII", good.replacen('.', "ä.", 1)),
        case("the JSON form", json_form.to_string()),
        case("a token in a token", nested),
        case("claims that are a list", server.ec.sign_texts(&header, "[]")),
        case("claims that are no JSON", server.ec.sign_texts(&header, "ada")),
        case(
            "claims that are not UTF-8",
            server.ec.sign_message(&format!("{}.{}", encoded(header.as_bytes()), encoded(b"{\"\xff\":1}"))),
        ),
        case("deep claims", server.ec.sign_texts(&header, &deep)),
        case("huge claims", server.ec.sign(&with(claims(), "x", json!("x".repeat(1 << 20))))),
        case("claims a little too large", server.ec.sign(&with(claims(), "x", json!("x".repeat(8 << 10))))),
        case("padded parts", server.ec.sign_message(&padded)),
        case("standard base64", server.ec.sign_message(&standard)),
        case("an API key without a file of keys", "dmk_0011223344556677_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ]
}

fn split(token: &str) -> (String, String) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    (message.to_owned(), signature.to_owned())
}

fn claims_of(message: &str) -> String {
    message.split('.').nth(1).unwrap().to_owned()
}

fn without(name: &str) -> Value {
    let mut all = claims();
    all.as_object_mut().unwrap().remove(name);
    all
}
