//! Events as CloudEvents 1.0 in JSON, as they leave the house.
//!
//! Source: CloudEvents 1.0.2, JSON event format, and the rules for names of extension attributes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dormouse_kernel::{EventId, RecordedEvent};
use serde_json::{Value, json};

use crate::http::payload_json;

/// The media type of an event.
pub(crate) const MEDIA_TYPE: &str = "application/cloudevents+json";

/// The attribute `source` of all events of an application. Together with the id it identifies an event.
pub(crate) fn source(application: &str) -> String {
    format!("urn:dormouse:{application}")
}

/// A stored event. Its type is the aggregate type and the name of the event, its subject the aggregate, and its data the
/// payload as it was written (not upcast). A payload that cannot be read becomes base64 text, as CloudEvents say.
///
/// The extension attributes are text, because numbers of CloudEvents have 32 bits.
pub(crate) fn cloud_event(source: &str, id: EventId, recorded: &RecordedEvent) -> Value {
    let (aggregate, event) = (&recorded.aggregate, &recorded.event);
    let mut shown = json!({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": format!("{}.{}", aggregate.aggregate_type, event.event_type),
        "subject": format!("{}/{}", aggregate.aggregate_type, aggregate.id),
        "time": event.recorded_at,
        "dormouseposition": recorded.position.to_string(),
        "dormouseversion": recorded.version.to_string(),
        "dormouseschema": event.schema_version.to_string(),
    });
    match payload_json(event) {
        Ok(data) => {
            shown["datacontenttype"] = "application/json".into();
            shown["data"] = data;
        }
        Err(_) => {
            shown["datacontenttype"] = "application/octet-stream".into();
            shown["data_base64"] = STANDARD.encode(&event.payload).into();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Chain, NewEvent, Position, Uuid, Version, encode};

    use super::*;

    fn recorded(payload: Vec<u8>) -> RecordedEvent {
        RecordedEvent {
            position: Position(5_000_000_000),
            aggregate: AggregateRef::new(AggregateType::new("order").unwrap(), AggregateId::new("o-1").unwrap()),
            version: Version(3),
            command_key: None,
            event: NewEvent {
                event_type: "OrderPlaced".into(),
                schema_version: 2,
                payload,
                metadata: Vec::new(),
                recorded_at: "2026-11-29T12:00:00.5Z".parse().unwrap(),
                chain: Chain::ROOT,
            },
        }
    }

    #[test]
    fn an_event_has_the_attributes_of_cloud_events() {
        let event = recorded(encode(&json!({"total": 1.5, "lines": [{"sku": "tea"}]})).unwrap());
        let shown = cloud_event(&source("shop"), EventId(Uuid::nil()), &event);
        assert_eq!(
            shown,
            json!({
                "specversion": "1.0",
                "id": "00000000-0000-0000-0000-000000000000",
                "source": "urn:dormouse:shop",
                "type": "order.OrderPlaced",
                "subject": "order/o-1",
                "time": "2026-11-29T12:00:00.5Z",
                "datacontenttype": "application/json",
                "data": {"total": 1.5, "lines": [{"sku": "tea"}]},
                "dormouseposition": "5000000000",
                "dormouseversion": "3",
                "dormouseschema": "2",
            })
        );
    }

    #[test]
    fn a_payload_that_cannot_be_read_is_sent_as_bytes() {
        let shown = cloud_event("urn:x", EventId(Uuid::nil()), &recorded(vec![0xc1]));
        assert_eq!((&shown["data_base64"], &shown["data"]), (&json!("wQ=="), &Value::Null));
    }
}
