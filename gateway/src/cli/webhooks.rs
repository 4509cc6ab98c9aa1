//! `webhooks`: the receivers of a running server's events.

use clap::{Args, Subcommand, ValueEnum};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::remote::{Connection, Remote, segment};
use super::table::Table;
use super::{Settings, confirm, output};
use crate::admin::{
    NewWebhook, Webhook, WebhookBegin, WebhookChange, WebhookDeliveries, WebhookDelivery, WebhookFilter, WebhookList,
};

/// Shows, adds and removes receivers of events
///
/// A webhook sends events to a receiver on the web, as CloudEvents, signed as Standard Webhooks say. Each event is sent
/// at least once, always with the same webhook-id.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  {app} webhooks add https://example.org/hook --event OrderConfirmed
  {app} webhooks list
  {app} webhooks deliveries ID")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the webhooks
    #[command(after_long_help = "\
Examples:
  {app} webhooks list
  {app} webhooks list --json | jq -r '.webhooks[] | select(.state == \"disabled\") | .url'")]
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Adds a webhook, and shows its secret
    ///
    /// The secret is not shown again: the receiver checks signatures with it.
    #[command(after_long_help = "\
Examples:
  {app} webhooks add https://example.org/hook
  {app} webhooks add https://example.org/hook --type order --event OrderPlaced --event OrderConfirmed
  {app} webhooks add https://example.org/hook --from beginning --description \"the warehouse\"")]
    Add {
        #[command(flatten)]
        common: Common,
        /// The address of the receiver.
        url: String,
        /// Only events of this aggregate type; may be repeated.
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// Only events that are stored under this name; may be repeated.
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// Which events it gets: those after now, or all.
        #[arg(long, value_enum, default_value_t = Start::Now)]
        from: Start,
        /// A text for people.
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// A secret of your own: whsec_ and 24 to 64 bytes in base64 [default: a random one]
        #[arg(long)]
        secret: Option<String>,
    },
    /// Disables a webhook: it gets nothing, and what it misses it does not get later
    #[command(after_long_help = "\
Examples:
  {app} webhooks disable ID")]
    Disable {
        #[command(flatten)]
        common: Common,
        /// The webhook.
        id: String,
    },
    /// Enables a webhook, also one whose receiver has answered 410
    #[command(after_long_help = "\
Examples:
  {app} webhooks enable ID")]
    Enable {
        #[command(flatten)]
        common: Common,
        /// The webhook.
        id: String,
    },
    /// Removes a webhook, with everything that waits to be delivered
    #[command(after_long_help = "\
Examples:
  {app} webhooks remove ID --yes")]
    Remove {
        #[command(flatten)]
        common: Common,
        /// The webhook.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Shows the latest deliveries of a webhook since the start of the server, the newest first
    #[command(after_long_help = "\
Examples:
  {app} webhooks deliveries ID
  {app} webhooks deliveries ID --json | jq '.deliveries[] | select(.error)'")]
    Deliveries {
        #[command(flatten)]
        common: Common,
        /// The webhook.
        id: String,
    },
    /// Delivers an event once more, now
    #[command(after_long_help = "\
Examples:
  {app} webhooks repeat ID EVENT_ID
  {app} webhooks repeat ID EVENT_ID --position 4711     one that is not among the latest deliveries")]
    Repeat {
        #[command(flatten)]
        common: Common,
        /// The webhook.
        id: String,
        /// The id of the event.
        event: String,
        /// The position of the event, if it is not among the latest deliveries.
        #[arg(long)]
        position: Option<u64>,
    },
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    connection: Connection,
    /// Print the server's response.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Start {
    /// Events after its creation.
    Now,
    /// All events.
    Beginning,
}

pub(super) fn run(application: &'static str, outer: Settings, arguments: Arguments) -> anyhow::Result<()> {
    let connect = |common: Common| Ok::<_, anyhow::Error>((common.connection.remote(application, outer)?, common.json));
    match arguments.command {
        Command::List { common } => {
            let (remote, json) = connect(common)?;
            show(remote.get("/admin/webhooks")?, json, |list: &WebhookList| table_of(&list.webhooks))
        }
        Command::Add { common, url, types, events, from, description, secret } => {
            let from = match from {
                Start::Now => WebhookBegin::Now,
                Start::Beginning => WebhookBegin::Beginning,
            };
            let asked = NewWebhook { url, filter: WebhookFilter { types, events }, secret, description, from };
            let (remote, json) = connect(common)?;
            show(remote.post("/admin/webhooks", &serde_json::to_value(asked)?)?, json, added)
        }
        Command::Disable { common, id } => {
            let (remote, json) = connect(common)?;
            change_state(&remote, &id, "disabled", json)
        }
        Command::Enable { common, id } => {
            let (remote, json) = connect(common)?;
            change_state(&remote, &id, "enabled", json)
        }
        Command::Remove { common, id, yes } => {
            let (remote, json) = connect(common)?;
            confirm::require(yes, &format!("remove the webhook {id} and everything that waits for it"))?;
            show(remote.delete(&address(&id))?, json, |webhook: &Webhook| format!("removed {}\n", webhook.id))
        }
        Command::Deliveries { common, id } => {
            let (remote, json) = connect(common)?;
            show(remote.get(&format!("{}/deliveries", address(&id)))?, json, |all: &WebhookDeliveries| {
                deliveries_table(&all.deliveries)
            })
        }
        Command::Repeat { common, id, event, position } => {
            let (remote, json) = connect(common)?;
            repeat(&remote, &format!("{}/deliveries/{}/repeat", address(&id), segment(&event)), position, json)
        }
    }
}

fn address(id: &str) -> String {
    format!("/admin/webhooks/{}", segment(id))
}

/// Prints a response as it is, or for people.
fn show<T: DeserializeOwned>(response: Value, json: bool, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    if json {
        return Ok(output::line(serde_json::to_string_pretty(&response)?)?);
    }
    Ok(output::text(&text(&serde_json::from_value(response)?))?)
}

fn change_state(remote: &Remote, id: &str, state: &str, json: bool) -> anyhow::Result<()> {
    let change = WebhookChange { state: Some(state.to_owned()), ..WebhookChange::default() };
    let response = remote.patch(&address(id), &serde_json::to_value(change)?)?;
    show(response, json, |webhook: &Webhook| format!("{} is {}\n", webhook.id, webhook.state))
}

fn repeat(remote: &Remote, path: &str, position: Option<u64>, json: bool) -> anyhow::Result<()> {
    let body = position.map_or_else(|| json!({}), |position| json!({ "position": position }));
    let response: Value = remote.post(path, &body)?;
    let delivery: WebhookDelivery = serde_json::from_value(response.clone())?;
    show(response, json, |delivery: &WebhookDelivery| deliveries_table(std::slice::from_ref(delivery)))?;
    match delivery.error {
        Some(error) => anyhow::bail!("it was not delivered: {error}"),
        None => Ok(()),
    }
}

fn added(webhook: &Webhook) -> String {
    let secret = webhook.secret.as_deref().unwrap_or_default();
    format!("added {}\nsecret, which is not shown again: {secret}\n", webhook.id)
}

fn table_of(webhooks: &[Webhook]) -> String {
    let mut table = Table::headed(["ID", "STATE", "URL", "TYPES", "EVENTS", "DESCRIPTION", "REASON"]);
    let names = |names: &[String]| if names.is_empty() { "all".to_owned() } else { names.join(",") };
    for Webhook { id, state, url, filter, description, reason, .. } in webhooks {
        table.row([
            id.to_string(),
            state.clone(),
            url.clone(),
            names(&filter.types),
            names(&filter.events),
            description.clone(),
            reason.clone().unwrap_or_default(),
        ]);
    }
    table.text()
}

fn deliveries_table(deliveries: &[WebhookDelivery]) -> String {
    let mut table =
        Table::headed(["AT", "EVENT ID", "EVENT", "AGGREGATE", "POSITION#", "ATTEMPT#", "STATUS#", "MS#", "ERROR"]);
    for delivery in deliveries {
        let WebhookDelivery { event_id, position, event, aggregate, attempt, at, duration_ms, status, error } =
            delivery;
        table.row([
            at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            event_id.to_string(),
            event.clone(),
            aggregate.clone(),
            position.to_string(),
            attempt.to_string(),
            status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            duration_ms.to_string(),
            error.clone().unwrap_or_default(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_and_deliveries_are_tables() {
        let webhook = json!({"id": "0190a7c2-0000-7000-8000-000000000000", "url": "https://a/", "filter": {"types": [],
            "events": ["A", "B"]}, "description": "", "state": "disabled", "reason": "the receiver answered 410 Gone",
            "created_at": "2026-11-29T12:00:00Z"});
        let webhook = serde_json::from_value(webhook).unwrap();
        assert_eq!(
            table_of(&[webhook]),
            "ID                                    STATE     URL         TYPES  EVENTS  DESCRIPTION  REASON\n\
             0190a7c2-0000-7000-8000-000000000000  disabled  https://a/  all    A,B                  the receiver \
             answered 410 Gone\n"
        );
        let delivery = json!({"event_id": "0190a7c2-0000-7000-8000-000000000000", "position": 7, "event": "A",
            "aggregate": "order/o", "attempt": 2, "at": "2026-11-29T12:00:00Z", "duration_ms": 12, "status": null,
            "error": "away"});
        assert_eq!(
            deliveries_table(&[serde_json::from_value(delivery).unwrap()]),
            "AT                        EVENT ID                              EVENT  AGGREGATE  POSITION  ATTEMPT  \
             STATUS  MS  ERROR\n\
             2026-11-29T12:00:00.000Z  0190a7c2-0000-7000-8000-000000000000  A      order/o           7        2       \
             -  12  away\n"
        );
    }
}
