//! The baseline of all benchmarks over HTTP: an axum server that parses a JSON body and sends it back.

use std::io::Write;

use axum::Json;
use axum::Router;
use axum::routing::post;
use serde_json::Value;

/// Serves until it is killed. Prints its address, like the real server.
pub(crate) fn serve() -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let echo = post(|Json(body): Json<Value>| async { Json(body) });
        let router = Router::new().route("/v1/{type}/{id}/{command}", echo);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        axum::serve(listener, router).await?;
        Ok(())
    })
}
