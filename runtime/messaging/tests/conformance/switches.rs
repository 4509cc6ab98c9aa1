//! What operators have switched.

use std::collections::HashMap;

use dormouse_messaging::store::{Changes, Switch};

use crate::support::{Place, consumer, mailer};

on_every_store! {
    a_consumer_that_nobody_has_switched_is_left_out,
    a_switch_is_read_as_it_was_set_last;
    durable: a_switch_survives_reopening,
}

const PAUSED: Switch = Switch { paused: true, disabled: false };
const DISABLED: Switch = Switch { paused: false, disabled: true };

async fn a_consumer_that_nobody_has_switched_is_left_out(place: Place) {
    let store = place.owned().await;
    store.commit(&mailer(), &Changes::default()).await.unwrap();
    assert_eq!(store.switches().await.unwrap(), HashMap::new());
}

async fn a_switch_is_read_as_it_was_set_last(place: Place) {
    let store = place.owned().await;
    store.set_switch(&mailer(), PAUSED).await.unwrap();
    store.set_switch(&consumer("timers"), DISABLED).await.unwrap();
    let expected = HashMap::from([(mailer(), PAUSED), (consumer("timers"), DISABLED)]);
    assert_eq!(store.switches().await.unwrap(), expected);
    let both = Switch { paused: true, disabled: true };
    store.set_switch(&mailer(), both).await.unwrap();
    assert_eq!(store.switches().await.unwrap()[&mailer()], both);
    store.set_switch(&mailer(), Switch::default()).await.unwrap();
    assert_eq!(store.switches().await.unwrap()[&mailer()], Switch::default());
    assert_eq!(store.progress(&mailer()).await.unwrap(), None, "to be switched is not to commit");
}

async fn a_switch_survives_reopening(place: Place) {
    let store = place.owned().await;
    store.set_switch(&mailer(), PAUSED).await.unwrap();
    store.close().await;
    assert_eq!(place.store().await.switches().await.unwrap(), HashMap::from([(mailer(), PAUSED)]));
}
