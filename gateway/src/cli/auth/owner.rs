//! To whom an aggregate belongs, read from the journal beside a server.

use dormouse_config::Config;
use dormouse_encryption::{Sealed, open_keys};
use dormouse_journal::event_binding;
use dormouse_kernel::{AggregateRef, Version};

use crate::app::App;
use crate::cli::events::read;
use crate::cli::failure::WrongArgument;

/// An aggregate, as far as permissions are about it.
pub(super) enum Belongs {
    /// The aggregate has no events. Who creates it will be its owner.
    ToNobodyYet,
    /// The aggregate has events. It belongs to this subject, or to nobody.
    To(Option<String>),
}

/// Folds the events of an aggregate, and returns to whom it belongs.
pub(super) async fn of(app: &App, config: &Config, aggregate: &AggregateRef) -> anyhow::Result<Belongs> {
    let name = aggregate.aggregate_type.as_str();
    let state = app
        .state_before_events(name)
        .ok_or_else(|| WrongArgument(format!("there is no aggregate type {name:?}: `events catalogue` lists them")))?;
    let (mut state, mut events) = (state?, 0_u64);
    let keys = open_keys(config).await?;
    read(config, aggregate, Version::ZERO, usize::MAX, async |mut event| {
        if let Some(keys) = &keys {
            let (aggregate, version) = (event.aggregate.clone(), event.version);
            let sealed = Sealed { payload: &mut event.event.payload, binding: event_binding(&aggregate, version) };
            keys.unseal(vec![sealed]).await?;
        }
        events += 1;
        Ok(state.apply(&event)?)
    })
    .await?;
    Ok(if events == 0 { Belongs::ToNobodyYet } else { Belongs::To(state.owner(&aggregate.id)) })
}
