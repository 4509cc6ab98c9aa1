//! The modules of the application: which of them run, and whether their listeners do.

use std::collections::HashMap;

use dormouse_messaging::ConsumerState;
use serde_json::{Map, Value, json};

use super::{Check, Status};
use crate::http::Api;

impl Api {
    /// A module that the configuration leaves out, and a listener that an operator has paused or disabled, are as they
    /// should be.
    pub(super) fn modules(&self) -> Check {
        let states = self.messaging.states();
        let states: HashMap<String, ConsumerState> =
            states.into_iter().map(|info| (info.name.to_string(), info.state)).collect();
        let mut status = Status::Ok;
        let modules = self.modules.iter().map(|module| {
            let listeners = module.listeners.iter().filter_map(|name| {
                let state = states.get(name)?;
                if matches!(state, ConsumerState::Retrying(_) | ConsumerState::Failed(_)) {
                    status = Status::Degraded;
                }
                Some((name.clone(), Value::from(state.name())))
            });
            let listeners: Map<String, Value> = listeners.collect();
            (module.name.to_owned(), json!({ "enabled": module.enabled, "listeners": listeners }))
        });
        let modules: Map<String, Value> = modules.collect();
        Check::new(status, [("modules", modules.into())])
    }
}
