//! Clients that read old events, beside other clients.

use std::num::NonZeroU32;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use tokio::time::Instant;

use super::support::{Server, request};

#[tokio::test]
async fn only_a_client_that_catches_up_waits_for_a_turn() {
    let server = Server::with(|config| config.gateway.catch_up_reads = NonZeroU32::MIN).await;
    // As long as something follows the log, new events are in memory, and nobody has to catch up.
    server.messaging.stop(Instant::now()).await;
    server.fill_cart("c-1").await;
    let turn = server.service.api.catch_ups.turn().await;
    let page = server.begin(request(Method::GET, "/v1/events?event=Created", &[], Body::empty()));
    let mut from_the_start = server.follow("/v1/events").await;
    let mut from_now_on = server.follow("/v1/events?after=latest").await;
    from_the_start.hear().await;
    from_now_on.hear().await;
    let mut past = tokio::spawn(async move { from_the_start.events(6).await });

    server.fill_cart("c-2").await;
    assert_eq!(from_now_on.events(3).await.len(), 3);
    assert_eq!(server.get("/v1/cart/c-1").await.status, 200);
    assert!(!page.is_finished() && !past.is_finished());
    drop(turn);
    assert_eq!(page.await.unwrap().json()["events"].as_array().unwrap().len(), 1);
    assert_eq!((&mut past).await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_client_that_gets_no_turn_in_time_is_refused() {
    let server = Server::with(|config| config.gateway.catch_up_reads = NonZeroU32::MIN).await;
    let turn = server.service.api.catch_ups.turn().await;
    let refused = server.service.api.turn_by(Instant::now()).await.unwrap_err().into_response();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(turn);
    server.service.api.turn_by(Instant::now()).await.unwrap();
}
