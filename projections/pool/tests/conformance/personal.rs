//! Documents with personal fields.

use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, Error, Row};
use dormouse_projections::{
    DefinitionError, Event, Fields, Key, Keys, Options, Project, Projection, Projections, Query, QueryError, Sources,
    StartError, State, Test, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::filled_view::{every_test, text};
use crate::school::{LearnerEvent, PATIENCE, School, definition, learner, options, subject};
use crate::support::{Nothing, Place, key, served};

on_every_store! {
    personal_fields_are_sealed_in_the_store_and_readers_get_them_opened,
    what_a_forgotten_subject_had_is_gone_and_others_keep_theirs,
    the_memory_of_a_worker_does_not_bring_back_what_was_forgotten,
    the_memory_of_a_worker_does_not_bring_back_what_was_forgotten_while_keys_were_loaded,
    the_memory_of_a_worker_does_not_bring_back_what_another_process_has_forgotten,
    a_worker_that_restarts_continues_with_sealed_documents,
    keys_that_cannot_be_loaded_are_no_poison,
    a_document_without_a_subject_is_poison,
    what_is_projected_again_is_sealed,
    documents_are_found_by_values_that_are_sealed,
    a_forgotten_value_is_not_found,
    a_sealed_value_belongs_to_its_document,
    a_document_without_personal_values_needs_no_key_and_is_not_copied,
    without_keys_documents_are_stored_as_they_are,
}

fn forgotten() -> Json {
    json!({ "forgotten": true })
}

/// Whether a document has sealed values, and none of these texts.
fn is_sealed(stored: &str, texts: &[&str]) -> bool {
    texts.iter().all(|text| !stored.contains(text)) && stored.contains("$sealed")
}

async fn personal_fields_are_sealed_in_the_store_and_readers_get_them_opened(place: Place) {
    let mut school = School::at(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    school.advance("ada").await;
    let stored = school.stored("ada").await;
    assert!(is_sealed(&stored, &["ada@", "1815", "London"]), "{stored}");
    assert_eq!(serde_json::from_str::<Json>(&stored).unwrap()["level"], 1);

    let expected = json!({
        "email": "ada@example.org", "born": 1815, "address": { "city": "London" },
        "level": 1, "subject": "school/learner/ada",
    });
    for _ in 0..2 {
        assert_eq!(school.read("ada").await, expected, "from the store, then from the cache");
        let page = school.list(&Query::all(10)).await;
        assert_eq!(serde_json::from_str::<Json>(&page.rows[0].document).unwrap(), expected);
    }
    assert!(school.projections.cache().stats().total.entries > 0);
}

async fn what_a_forgotten_subject_had_is_gone_and_others_keep_theirs(place: Place) {
    let mut school = School::at(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    school.enroll("bob", "bob@example.org", 1900, "Paris").await;
    assert_eq!(school.read("ada").await["email"], "ada@example.org");
    school.list(&Query::all(10)).await;
    school.forget("ada").await;

    let ada = school.read("ada").await;
    assert_eq!([&ada["email"], &ada["born"], &ada["address"]], [&forgotten(); 3], "also if it was cached");
    assert_eq!(ada["level"], 0);
    assert_eq!(school.read("bob").await["email"], "bob@example.org");
    let page = school.list(&Query::all(10)).await;
    let emails: Vec<Json> =
        page.rows.iter().map(|row| serde_json::from_str::<Json>(&row.document).unwrap()["email"].clone()).collect();
    assert_eq!(emails, [forgotten(), json!("bob@example.org")]);
}

async fn expect_forgotten(school: &School, id: &str, level: u32) {
    let document = school.read(id).await;
    assert_eq!([&document["email"], &document["born"], &document["address"]], [&forgotten(); 3]);
    assert_eq!(document["level"], level);
}

async fn the_memory_of_a_worker_does_not_bring_back_what_was_forgotten(place: Place) {
    let mut school = School::with_slow_retries(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    school.enroll("bob", "bob@example.org", 1900, "Paris").await;
    school.forget("ada").await;
    school.advance("ada").await;
    school.advance("bob").await;
    expect_forgotten(&school, "ada", 1).await;
    let stored = school.stored("ada").await;
    assert!(!stored.contains("$sealed") && !stored.contains("$hashes"), "{stored}");
    assert_eq!(school.read("bob").await["email"], "bob@example.org");

    // What comes later is sealed with a new key.
    school.enroll("ada", "ada@example.com", 1816, "Ockham").await;
    assert!(is_sealed(&school.stored("ada").await, &["ada@"]));
    assert_eq!(school.read("ada").await["email"], "ada@example.com");
}

async fn the_memory_of_a_worker_does_not_bring_back_what_was_forgotten_while_keys_were_loaded(place: Place) {
    let mut school = School::with_slow_retries(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    school.key_store.forget_when_found(&school.keys, subject("ada"));
    school.advance("ada").await;
    expect_forgotten(&school, "ada", 1).await;
}

async fn the_memory_of_a_worker_does_not_bring_back_what_another_process_has_forgotten(place: Place) {
    let mut school = School::without_cached_keys(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    let elsewhere = school.keys_elsewhere().await;
    elsewhere.forget(&subject("ada")).await.unwrap();
    school.advance("ada").await;
    expect_forgotten(&school, "ada", 1).await;

    // Also between loading a document and sealing it.
    school.enroll("bob", "bob@example.org", 1900, "Paris").await;
    school.restart::<1>(Options { keys: Some(school.keys.clone()), ..options() }).await;
    school.key_store.forget_when_found(&elsewhere, subject("bob"));
    school.advance("bob").await;
    expect_forgotten(&school, "bob", 1).await;
}

async fn a_worker_that_restarts_continues_with_sealed_documents(place: Place) {
    let mut school = School::at(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    school.restart::<2>(Options { keys: Some(school.keys_elsewhere().await), ..options() }).await;
    assert_eq!(school.read("ada").await["email"], "ada@example.org");
    assert_eq!(school.found("email", Test::Equal(text("ada@example.org"))).await, ["ada"]);
    assert_eq!(school.found("address.city", Test::Equal(text("London"))).await, ["ada"]);
    school.advance("ada").await;
    assert!(is_sealed(&school.stored("ada").await, &["ada@", "1815", "London"]));
    let ada = school.read("ada").await;
    assert_eq!((&ada["email"], &ada["level"]), (&json!("ada@example.org"), &json!(1)));
}

async fn keys_that_cannot_be_loaded_are_no_poison(place: Place) {
    let mut school = School::at(&place).await;
    school.key_store.set_down(true);
    let enrolled = LearnerEvent::Enrolled { email: "ada@example.org".into(), born: 1815.into(), address: None };
    let position = school.append("ada", enrolled).await;
    let mut progress = school.reader().progress();
    let retrying = progress.wait_for(|progress| matches!(progress.state, State::Retrying(_)));
    tokio::time::timeout(PATIENCE, retrying).await.expect("it is retried").unwrap();

    school.key_store.set_down(false);
    school.reader().wait_for(position, PATIENCE).await.unwrap();
    assert_eq!(school.reader().progress().borrow().parked, 0);
    assert_eq!(school.read("ada").await["email"], "ada@example.org");
}

async fn a_document_without_a_subject_is_poison(place: Place) {
    let mut school = School::at(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    school.write("ada", LearnerEvent::Anonymized {}).await;
    school.enroll("bob", "bob@example.org", 1900, "Paris").await;
    let parked = school.reader().parked(Position::ZERO, 10).await.unwrap();
    assert_eq!(parked.iter().map(|event| &event.aggregate).collect::<Vec<_>>(), [&learner("ada")]);
    assert!(parked[0].reason.as_ref().unwrap().contains("data_subject"), "{parked:?}");
    assert_eq!(school.read("ada").await["subject"], "school/learner/ada");
}

async fn what_is_projected_again_is_sealed(place: Place) {
    let mut school = School::at(&place).await;
    school.write("ada", LearnerEvent::Stumbled {}).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    assert_eq!(school.reader().progress().borrow().parked, 1);
    school.restart::<2>(Options { keys: Some(school.keys.clone()), ..options() }).await;
    school.enroll("bob", "bob@example.org", 1900, "Paris").await;
    school.forget("bob").await;
    let retried = school.projections.retry("learners", &learner("ada")).await.unwrap();
    assert_eq!((retried.released, retried.still_parked), (2, None));
    assert!(is_sealed(&school.stored("ada").await, &["ada@", "1815", "London"]));
    assert_eq!(school.read("ada").await["email"], "ada@example.org");
}

async fn documents_are_found_by_values_that_are_sealed(place: Place) {
    let mut school = School::at(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    school.enroll("bob", "bob@example.org", 1900, "London").await;
    school.enroll("eve", "eve@example.org", 1815, "Paris").await;
    let is = |value: Value| Test::Equal(value);
    assert_eq!(school.found("email", is(text("bob@example.org"))).await, ["bob"]);
    assert_eq!(school.found("email", is(text("nobody@example.org"))).await, [""; 0]);
    assert_eq!(school.found("born", is(Value::Integer(1815))).await, ["ada", "eve"]);
    assert_eq!(school.found("address.city", is(text("London"))).await, ["ada", "bob"]);
    let among = Test::In(vec![text("eve@example.org"), text("ada@example.org"), text("x")]);
    assert_eq!(school.found("email", among).await, ["ada", "eve"]);
    assert_eq!(school.found("address.city", is(text("bob@example.org"))).await, [""; 0]);

    let both = Query::all(10).filter(&definition(), "born", is(Value::Integer(1815))).unwrap();
    let both = both.filter(&definition(), "address.city", is(text("London"))).unwrap().counting();
    let page = school.list(&both.sort(&definition(), "level", true).unwrap()).await;
    assert_eq!((page.rows.len(), page.total), (1, Some(1)));
    assert_eq!(serde_json::from_str::<Json>(&page.rows[0].document).unwrap()["email"], "ada@example.org");

    // Nobody can tell that two fields have the same value.
    school.enroll("max", "Linz", 1900, "Linz").await;
    let hashes = &serde_json::from_str::<Json>(&school.stored("max").await).unwrap()["$hashes"];
    assert!(hashes["email"].is_string() && hashes["email"] != hashes["address.city"], "{hashes}");

    // The values change with the document.
    school.enroll("bob", "robert@example.org", 1900, "Paris").await;
    assert_eq!(school.found("email", is(text("bob@example.org"))).await, [""; 0]);
    assert_eq!(school.found("address.city", is(text("Paris"))).await, ["bob", "eve"]);
}

async fn a_forgotten_value_is_not_found(place: Place) {
    let mut school = School::at(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    school.enroll("bob", "bob@example.org", 1815, "London").await;
    school.forget("ada").await;
    let query = Query::all(10).filter(&definition(), "born", Test::Equal(Value::Integer(1815))).unwrap();
    let page = school.list(&query.counting()).await;
    assert_eq!((page.rows.len(), page.rows[0].key.as_str(), page.total), (1, "bob", Some(1)));
    assert_eq!(school.found("subject", Test::Equal(text("school/learner/ada"))).await, ["ada"]);
}

async fn a_sealed_value_belongs_to_its_document(place: Place) {
    let mut school = School::at(&place).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    let (stored, progress) = (school.stored("ada").await, school.reader().progress().borrow().clone());
    let (build, offset) = served(&school.store, &definition()).await;
    assert_eq!((Some(build), offset.position), (progress.build, progress.position));
    let moved = Advance {
        from: offset.position,
        to: offset,
        rows: vec![Row { key: key("bob"), document: stored, position: offset.position }],
        gone: Vec::new(),
        parked: Vec::new(),
        released: Vec::new(),
    };
    school.store.commit(&definition(), build, moved).await.unwrap();
    let refused = school.reader().get(&key("bob")).await.unwrap_err();
    assert!(matches!(&refused, Error::Damaged(_)), "{refused:?}");
    assert!(refused.to_string().contains("belongs elsewhere"), "{refused}");
    assert_eq!(school.read("ada").await["email"], "ada@example.org");
}

async fn a_document_without_personal_values_needs_no_key_and_is_not_copied(place: Place) {
    let mut school = School::at(&place).await;
    school.advance("ada").await;
    let only_the_root: u64 = school.keys.counts().await.unwrap().live.values().sum();
    assert_eq!(only_the_root, 1);
    let read = async || school.reader().get(&key("ada")).await.unwrap().document.unwrap().0;
    assert!(Arc::ptr_eq(&read().await, &read().await), "all readers share what is cached");
}

async fn without_keys_documents_are_stored_as_they_are(place: Place) {
    let mut school = School::at(&place).await;
    school.restart::<1>(options()).await;
    school.enroll("ada", "ada@example.org", 1815, "London").await;
    let stored = school.stored("ada").await;
    assert!(stored.starts_with(r#"{"email":"ada@example.org","born":1815,"address":{"city":"London"}"#), "{stored}");
    assert_eq!(school.found("address.city", Test::Equal(text("London"))).await, ["ada"]);

    // With keys, what is plain can be read, and is sealed when it changes.
    school.restart::<1>(Options { keys: Some(school.keys.clone()), ..options() }).await;
    assert_eq!(school.read("ada").await["email"], "ada@example.org");
    school.advance("ada").await;
    assert!(is_sealed(&school.stored("ada").await, &["ada@", "1815", "London"]));
    assert_eq!(school.found("address.city", Test::Equal(text("London"))).await, ["ada"]);
}

#[test]
fn lists_compare_sealed_values_for_equality_only() {
    let view = definition();
    for (path, value) in [("email", text("a")), ("born", Value::Integer(1)), ("address.city", text("a"))] {
        let refused = QueryError::Personal { path };
        for test in every_test(value.clone()) {
            let is_equality = matches!(test, Test::Equal(_));
            let expected = if is_equality { Ok(()) } else { Err(refused.clone()) };
            assert_eq!(Query::all(1).filter(&view, path, test).map(|_| ()), expected);
        }
        assert!(Query::all(1).filter(&view, path, Test::In(vec![value])).is_ok());
        assert_eq!(Query::all(1).filter(&view, path, Test::Prefix("a".to_owned())), Err(refused.clone()));
        assert_eq!(Query::all(1).sort(&view, path, false), Err(refused));
    }
    let said = Query::all(1).sort(&view, "email", false).unwrap_err().to_string();
    assert!(said.contains("encrypted") && said.contains("equals"), "{said}");
    assert!(Query::all(1).filter(&view, "level", Test::Less(Value::Integer(1))).is_ok());
    assert!(Query::all(1).sort(&view, "subject", false).is_ok());
}

/// A view that is wrong in some way.
struct Wrong<const HOW: u8>;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Ambiguous {
    Personal { email: dormouse_kernel::Personal<String> },
    Plain { email: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Owned {
    email: dormouse_kernel::Personal<String>,
}

macro_rules! wrong {
    ($how:literal, $document:ty, $owner:expr) => {
        impl Projection for Wrong<$how> {
            const NAME: &'static str = "wrong";
            type Document = $document;

            fn fields() -> Fields {
                Fields::none().text("email")
            }

            fn sources(sources: Sources<Self>) -> Sources<Self> {
                sources.of::<Nothing>()
            }

            fn owner_field() -> Option<&'static str> {
                $owner
            }
        }

        impl Project<Nothing> for Wrong<$how> {
            fn keys(_: &Event<'_, Nothing>) -> Keys {
                Keys::none()
            }

            fn project(current: Option<$document>, _: &Event<'_, Nothing>, _: &Key) -> Option<$document> {
                current
            }
        }
    };
}

wrong!(1, Ambiguous, None);
wrong!(2, Owned, Some("email"));

#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_personal_fields_cannot_be_found_or_own_its_documents_is_refused() {
    async fn refused<P: Projection>() -> StartError {
        let school = School::at(&Place::memory()).await;
        let builder = Projections::builder(school.journal.clone(), school.store.clone(), options());
        tokio::time::timeout(Duration::from_secs(60), builder.projection::<P>().start()).await.unwrap().unwrap_err()
    }
    let ambiguous = refused::<Wrong<1>>().await;
    assert!(matches!(ambiguous, StartError::Definition(DefinitionError::Personal { projection: "wrong", .. })));
    assert!(ambiguous.to_string().contains("another variant has a personal value"), "{ambiguous}");
    let owner = refused::<Wrong<2>>().await;
    assert!(matches!(owner, StartError::Definition(DefinitionError::Field { path: "email", .. })));
    assert!(owner.to_string().contains("must not be personal"), "{owner}");
}

#[test]
fn a_document_belongs_to_its_key_unless_the_projection_says_otherwise() {
    let document = Owned { email: "ada@example.org".into() };
    assert_eq!(Wrong::<2>::data_subject(&Key::from("ada"), &document), "wrong/ada");
}
