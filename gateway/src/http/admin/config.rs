//! `/admin/config`: shows the server's configuration, and changes it while the server runs.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::response::Response;
use dormouse_config::{Changes, Config};
use dormouse_messaging::RequestError;
use serde_json::{Value, json};
use tracing::info;

use super::{parse_body, request_id_of};
use crate::http::address::Parameters;
use crate::http::audit::Details;
use crate::http::commands::unknown;
use crate::http::problem::{self, Problem};
use crate::http::{Api, json};

/// The current configuration. A change holds the lock until it is applied to the components, so that two changes do not
/// mix.
pub(in crate::http) struct LiveConfig(Mutex<Config>);

impl LiveConfig {
    pub(in crate::http) fn new(config: Config) -> Self {
        Self(Mutex::new(config))
    }

    /// Changes the configuration, and passes it to `follow`, which may refuse it. Returns the configuration before and
    /// after.
    fn change(
        &self,
        changes: &Changes,
        follow: impl FnOnce(&Config) -> Result<(), Problem>,
    ) -> Result<(Config, Config), Problem> {
        let mut config = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let after = config.changed(changes)?;
        follow(&after)?;
        let before = std::mem::replace(&mut *config, after.clone());
        Ok((before, after))
    }
}

/// `GET /admin/config`: with secrets masked.
pub(super) async fn show(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let config = api.config.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(answer_config(&config))
}

/// `PATCH /admin/config`: makes all changes or none. They last until the server ends.
pub(super) async fn change(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let request_id = request_id_of(&request).map(str::to_owned);
    let details = request.extensions().get::<Details>().cloned();
    let changes: Changes = parse_body(&api, request).await?;
    if let Some(details) = &details {
        details.add("keys", changes.keys().join(" "));
    }
    let (before, after) = api.config.change(&changes, |config| api.follow(config))?;
    for key in changes.keys() {
        let (from, to) = (value(&before, &key), value(&after, &key));
        info!(key, %from, %to, request_id, "changed the configuration");
        // Keys that can be changed are no secrets.
        if let Some(details) = &details {
            details.add(&key, format_args!("{from} -> {to}"));
        }
    }
    Ok(answer_config(&after))
}

impl Api {
    /// Passes the options that can be changed to their components. If it fails, nothing has changed.
    fn follow(&self, config: &Config) -> Result<(), Problem> {
        let listeners = &config.listeners;
        self.messaging.configure(&listeners.paused, &listeners.disabled).map_err(|error| match error {
            RequestError::NoConsumer(name) => {
                let key = if listeners.paused.contains(&name) { "listeners.paused" } else { "listeners.disabled" };
                let known = self.listener_names();
                let what = format!("{key} names {name:?}, and there is no such listener");
                unknown(&problem::INVALID_CONFIG, &what, &name, known.iter().map(String::as_str))
            }
            error => error.into(),
        })?;
        if let Some(projections) = &self.projections {
            projections.cache().configure(config.cache.clone());
            projections.capacity().configure(config.projections.workers, config.projections.parallelism);
        }
        Ok(())
    }
}

fn answer_config(config: &Config) -> Response {
    json(&json!({ "config": config, "live": Config::live_keys().collect::<Vec<_>>() }))
}

/// The value of a key, as it is shown to operators.
fn value(config: &Config, key: &str) -> Value {
    let config = json!(config);
    key.split('.').try_fold(&config, |value, part| value.get(part)).cloned().unwrap_or_default()
}
