//! Publishes events to NATS JetStream, as CloudEvents with the event's id as message id.
//!
//! An event is done once JetStream has acknowledged it. The events of an aggregate are published one after another. An
//! event whose acknowledgement was lost is published again: JetStream removes the double by its message id.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::header::{HeaderMap, NATS_MESSAGE_ID};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, Context, stream};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use dormouse_config::{Config, Nats};
use dormouse_kernel::RecordedEvent;
use dormouse_messaging::{Begin, Builder, Failure, Job, Order, Publish};
use tokio_rustls::rustls::crypto::ring;
use tracing::{debug, error, info, warn};

use crate::cloud_event::{self, cloud_event};
use crate::messaging_side::MessagingError;

/// The name of the consumer.
const NAME: &str = "publisher/nats";

/// The queue whose workers publish.
const QUEUE: &str = "default";

/// How long the stream that is created here knows message ids: an event is published again when its acknowledgement was
/// lost, which can be as long ago as NATS was away.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(3600);

/// Adds the publisher, if the configuration names a server. The server need not be there yet.
pub(crate) async fn add_publisher(
    builder: Builder,
    application: &str,
    config: &Config,
) -> Result<Builder, MessagingError> {
    let Nats { url, stream_subject, create_stream } = &config.nats;
    if url.is_empty() {
        return Ok(builder);
    }
    let invalid = |error: std::io::Error| MessagingError::Nats(error.to_string());
    let servers = url.expose().map(str::parse).collect::<Result<Vec<ServerAddr>, _>>().map_err(invalid)?;
    // The client takes the provider of the process. If there is one already, it stays.
    let _is_installed = ring::default_provider().install_default().is_err();
    let options = ConnectOptions::new().name(application).retry_on_initial_connect().event_callback(tell);
    let client = options.connect(servers).await.map_err(|error| MessagingError::Nats(error.to_string()))?;
    let publisher = Publisher {
        jetstream: jetstream::new(client.clone()),
        client,
        source: cloud_event::source(application),
        subject: stream_subject.clone(),
        creates_stream: *create_stream,
        has_told: AtomicBool::new(false),
    };
    Ok(builder.publisher(NAME, QUEUE, Order::Ordered, Begin::Beginning, publisher))
}

async fn tell(event: Event) {
    match event {
        Event::Connected => info!("connected to NATS"),
        Event::Disconnected => warn!("NATS is away: events wait until it is back"),
        // While NATS is away, each attempt to connect is one of these.
        Event::ClientError(error) => debug!(%error, "the connection to NATS"),
        event => warn!(%event, "the connection to NATS"),
    }
}

struct Publisher {
    client: Client,
    jetstream: Context,
    /// The attribute `source` of the events.
    source: String,
    /// What the subjects begin with.
    subject: String,
    creates_stream: bool,
    /// The log says that there is no stream.
    has_told: AtomicBool,
}

impl Publish for Publisher {
    async fn publish(&self, event: &RecordedEvent, _job: &Job) -> Result<(), Failure> {
        if self.client.connection_state() != State::Connected {
            return Err(Failure::not_now("NATS is away"));
        }
        let id = event.metadata()?.event_id;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, id.to_string());
        headers.insert("Content-Type", cloud_event::MEDIA_TYPE);
        let body = cloud_event(&self.source, id, event).to_string();
        let published = async {
            let sent = self.jetstream.publish_with_headers(self.subject_of(event), headers, body.into()).await?;
            sent.await
        };
        match published.await {
            Ok(_) => {
                self.has_told.store(false, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(self.failed(&error).await),
        }
    }
}

impl Publisher {
    fn subject_of(&self, event: &RecordedEvent) -> String {
        // A subject separates words by dots, and has wildcards.
        let word = |text: &str| text.replace(|c: char| c.is_whitespace() || ".*>".contains(c), "_");
        let (aggregate, event) = (&event.aggregate.aggregate_type, &event.event.event_type);
        format!("{}.{}.{}", self.subject, word(aggregate.as_str()), word(event))
    }

    async fn failed(&self, error: &PublishError) -> Failure {
        match error.kind() {
            // No further attempt can succeed.
            PublishErrorKind::MaxPayloadExceeded => Failure::new(error.to_string()),
            PublishErrorKind::StreamNotFound if self.creates_stream => {
                let config = stream::Config {
                    name: self.stream_name(),
                    subjects: vec![self.subjects()],
                    duplicate_window: DUPLICATE_WINDOW,
                    ..stream::Config::default()
                };
                match self.jetstream.get_or_create_stream(config).await {
                    Ok(_) => info!(stream = self.stream_name(), subjects = self.subjects(), "created a stream"),
                    Err(error) => warn!(%error, stream = self.stream_name(), "cannot create a stream"),
                }
                Failure::not_now("the stream was missing")
            }
            PublishErrorKind::StreamNotFound => {
                let (name, subjects) = (self.stream_name(), self.subjects());
                let reason = format!(
                    "no JetStream stream has the subjects {subjects:?}: create one (nats stream add {name} --subjects \
                     '{subjects}' --storage file --defaults), or set nats.create_stream = true"
                );
                if !self.has_told.swap(true, Ordering::Relaxed) {
                    error!(reason, "events cannot be published to NATS, they wait");
                }
                Failure::not_now(reason)
            }
            _ => Failure::not_now(error.to_string()),
        }
    }

    /// All subjects of events.
    fn subjects(&self) -> String {
        format!("{}.>", self.subject)
    }

    /// The names of streams have no dots.
    fn stream_name(&self) -> String {
        self.subject.replace('.', "_")
    }
}
