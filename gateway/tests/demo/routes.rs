//! Routes of an application's own.

use dormouse::{Aggregate, App, Context, DomainEvent, Rejection, Route, RouteAnswer, RouteError, RouteRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{World, is, problem};

/// A guest book.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Book(u64);

#[derive(Serialize, Deserialize, JsonSchema)]
enum BookCommand {
    Sign { words: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum BookEvent {
    Signed { words: String },
}

impl DomainEvent for BookEvent {}

#[derive(Debug, thiserror::Error)]
#[error("somebody must say something")]
struct Silence;

impl Rejection for Silence {
    fn code(&self) -> &'static str {
        "silence"
    }
}

impl Aggregate for Book {
    const TYPE: &'static str = "book";
    type Command = BookCommand;
    type Event = BookEvent;
    type Reply = u64;
    type Rejection = Silence;

    fn decide(&self, BookCommand::Sign { words }: BookCommand, context: &mut Context<Self>) -> Result<u64, Silence> {
        if words.is_empty() {
            return Err(Silence);
        }
        context.emit(BookEvent::Signed { words });
        Ok(context.state().0)
    }

    fn evolve(&mut self, _: &BookEvent) {
        self.0 += 1;
    }
}

/// What a guest writes.
#[derive(Deserialize, JsonSchema)]
struct Words {
    words: String,
}

#[derive(Serialize, JsonSchema)]
struct Signed {
    book: String,
    caller: Option<String>,
    key: Option<String>,
    signatures: u64,
}

async fn sign(request: RouteRequest<Words>) -> Result<RouteAnswer<Signed>, RouteError> {
    let book = request.path("book").to_owned();
    let words = request.body().words.clone();
    let outcome = request.send::<Book>(&book, BookCommand::Sign { words }).await?;
    let (caller, key) = (request.caller().map(str::to_owned), request.key().map(str::to_owned));
    let location = format!("/v1/book/{}", outcome.id.as_str());
    Ok(RouteAnswer::new(Signed { book, caller, key, signatures: outcome.reply }).at(location).after(&outcome))
}

async fn count(request: RouteRequest) -> Result<RouteAnswer<u64>, RouteError> {
    let id =
        dormouse::AggregateId::new(request.path("book")).map_err(|error| RouteError::invalid_path("book", error))?;
    let books = request.engine().aggregates::<Book>().ok_or_else(|| RouteError::internal("no books"))?;
    Ok(RouteAnswer::new(books.state(&id).await?.state.0))
}

async fn nothing(_: RouteRequest) -> Result<RouteAnswer<()>, RouteError> {
    Ok(RouteAnswer::new(()))
}

fn library() -> World {
    let app = App::new("library")
        .aggregate::<Book>()
        .route(Route::post("/books/{book}/signatures", sign).summary("Signs a book").creates())
        .route(Route::get("/books/{book}/signatures", count));
    World::start(app, |config, _| config.gateway.max_body = "1000 B".parse().unwrap())
}

fn words(text: &str) -> Value {
    json!({"words": text})
}

#[test]
fn a_route_gets_its_path_its_body_its_key_and_its_caller() {
    let world = library();
    let headers = [("dormouse-subject", "ada"), ("idempotency-key", "k-1")];
    let send = || world.client.post_with("/books/guests%20%C3%BC/signatures", &headers, &words("hello")).unwrap();
    let signed = send();
    let shown = json!({"book": "guests ü", "caller": "ada", "key": "k-1", "signatures": 1});
    assert_eq!((signed.status, signed.json()), (201, shown), "{signed}");
    assert!(signed.header("location").is_some() && signed.header("x-request-id").is_some(), "{signed}");
    assert!(signed.header("dormouse-position").unwrap().starts_with("1-"), "{signed}");
    let again = send();
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")), "{again}");
    assert_eq!(world.get("/books/guests%20%C3%BC/signatures").json(), 1);
    let events = world.get("/v1/book/guests%20%C3%BC/events").json();
    assert_eq!(events["events"][0]["metadata"]["subject"], "ada", "{events}");
}

#[test]
fn the_caller_is_that_of_commands_and_of_all_lines_of_a_bulk_request() {
    let world = library();
    let caller = ("dormouse-subject", "ada");
    let sent = world.client.post_with("/v1/book/one/sign", &[caller], &words("hello")).unwrap();
    let line = json!({"type": "book", "id": "two", "command": "sign", "body": words("hello")}).to_string();
    let headers = [caller, ("content-type", "application/x-ndjson")];
    let lines = world.client.request("POST", "/v1/commands", &headers, Some(line.as_bytes())).unwrap();
    assert_eq!((sent.status, lines.status), (200, 200), "{sent} {lines}");
    for book in ["one", "two"] {
        let events = world.get(&format!("/v1/book/{book}/events")).json();
        assert_eq!(events["events"][0]["metadata"]["subject"], "ada", "{events}");
    }
}

#[test]
fn a_route_refuses_what_a_command_would_refuse() {
    let world = library();
    let path = "/books/b/signatures";
    let post = |headers: &[(&str, &str)], body: &str| {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        problem(&world.client.request("POST", path, &all, Some(body.as_bytes())).unwrap())
    };
    let good = words("hello").to_string();
    assert_eq!(post(&[], "{"), is(400, "malformed-json"));
    assert_eq!(post(&[], "[]"), is(400, "invalid-body"));
    assert_eq!(post(&[], "{}"), is(400, "invalid-body"));
    assert_eq!(post(&[], r#"{"words": "x", "more": 1}"#), is(400, "unknown-field"));
    assert_eq!(post(&[], r#"{"words": ""}"#), is(422, "rejected"));
    assert_eq!(post(&[], &words(&"x".repeat(1000)).to_string()), is(413, "body-too-large"));
    assert_eq!(post(&[("idempotency-key", "a b")], &good), is(400, "invalid-header"));
    assert_eq!(post(&[("if-match", "*")], &good), is(400, "invalid-header"));
    assert_eq!(post(&[("origin", "https://elsewhere.example")], &good), is(403, "cross-site"));
    let other = world.client.request("POST", path, &[("content-type", "text/plain")], Some(good.as_bytes())).unwrap();
    assert_eq!(problem(&other), is(415, "unsupported-media-type"));
    let get = |path: &str| problem(&world.get(path));
    assert_eq!(get("/books/b/signatures?dry_run=true"), is(400, "unknown-parameter"));
    assert_eq!(get("/books/%FF/signatures"), is(400, "invalid-path"));
    assert_eq!(get("/books/none/signatures"), is(404, "not-found"));
    assert_eq!(get("/books/b"), is(404, "unknown-route"));
    let method = world.client.request("PUT", path, &[], Some(b"")).unwrap();
    assert_eq!(problem(&method), is(405, "method-not-allowed"));
}

#[test]
fn the_description_of_the_api_shows_routes() {
    let world = library();
    let api = world.get("/openapi.json").json();
    let route = &api["paths"]["/books/{book}/signatures"];
    let post = &route["post"];
    assert_eq!((&post["summary"], &post["tags"]), (&json!("Signs a book"), &json!(["application"])));
    let schema = |of: &Value| of["content"]["application/json"]["schema"]["$ref"].as_str().unwrap().to_owned();
    assert_eq!(schema(&post["requestBody"]), "#/components/schemas/Words");
    assert_eq!(schema(&post["responses"]["201"]), "#/components/schemas/Signed");
    assert!(api["components"]["schemas"]["Words"].is_object());
    assert_eq!(post["requestBody"]["content"]["application/json"]["example"], words("text"));
    assert_eq!(post["parameters"][0]["name"], "book");
    assert!(post["responses"]["200"].is_null() && post["responses"]["401"].is_object());
    assert!(route["get"]["requestBody"].is_null() && route["get"]["responses"]["200"].is_object());
}

#[test]
fn a_route_with_the_address_of_something_else_is_refused() {
    let refusal = |routes: &[Route]| {
        let app = routes.iter().fold(App::new("library"), |app, route| app.route(route.clone()));
        World::try_start(app, |_, _| {}).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let get = |path| Route::get(path, nothing);
    for reserved in ["/v1/books", "/health/books", "/metrics", "/admin/books", "/{anything}"] {
        assert!(refusal(&[get(reserved)]).contains("reserves addresses"), "{reserved}");
    }
    for invalid in ["books", "/", "/books/", "/a b", "/books/{}", "/{x", "/books/{a}/{a}", "/books/*"] {
        assert!(refusal(&[get(invalid)]).contains("is not valid"), "{invalid}: {}", refusal(&[get(invalid)]));
    }
    assert_eq!(
        refusal(&[get("/books/{a}"), get("/books/{b}")]),
        "the routes \"/books/{a}\" and \"/books/{b}\" are the same, change one"
    );
    assert!(refusal(&[get("/books"), get("/books")]).contains("are the same"));
    assert_eq!(refusal(&[get("/books/{a}"), get("/books/new"), Route::post("/books/{a}", signless)]), "");
}

async fn signless(_: RouteRequest<Words>) -> Result<RouteAnswer<()>, RouteError> {
    Ok(RouteAnswer::new(()))
}
