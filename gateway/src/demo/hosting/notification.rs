//! `notification`: tells tenants what became of their sites and backups, by e-mail or in the log.

use std::time::Duration;

use dormouse_aggregates::hosting::{Backup, BackupEvent, Site, SiteEvent, Tenant, TenantId};
use dormouse_config::Config;
use dormouse_engine::QueryError;
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::runtime::Handle as Runtime;
use tokio::task::JoinSet;
use tracing::{error, info};

use crate::{AggregateId, Begin, Engine, Event, Failure, Handle, Handler, HandlerSources, Job, Personal, Retries};

/// How long one step of a conversation with the mail server may take.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a notification for each result that a tenant waits for.
pub(super) struct Notification {
    engine: Engine,
    mail: Mail,
}

/// Where notifications go.
enum Mail {
    /// To the log.
    Log,
    /// To the tenant's contact.
    Smtp {
        transport: Box<AsyncSmtpTransport<Tokio1Executor>>,
        sender: Box<Mailbox>,
        /// The threads of domain code have no network.
        runtime: Runtime,
    },
    /// The configuration is wrong, for this reason.
    Unusable(String),
}

impl Notification {
    pub(super) fn new(config: &Config, engine: &Engine) -> Self {
        let hosting = &config.hosting;
        let mail = match hosting.smtp_url.get() {
            None => Mail::Log,
            Some(url) => Mail::smtp(url, &hosting.sender).unwrap_or_else(|reason| {
                error!(reason, "no notification can be sent");
                Mail::Unusable(reason)
            }),
        };
        Self { engine: engine.clone(), mail }
    }

    async fn send(&self, tenant: &TenantId, text: String, job: &Job) -> Result<(), Failure> {
        let (transport, sender, runtime) = match &self.mail {
            Mail::Log => {
                info!(%tenant, text, key = job.key(), "notification");
                return Ok(());
            }
            Mail::Unusable(reason) => return Err(Failure::new(reason)),
            Mail::Smtp { transport, sender, runtime } => (transport, sender, runtime),
        };
        let Some(contact) = self.contact(tenant).await? else {
            info!(%tenant, text, key = job.key(), "notification of a tenant that does not exist");
            return Ok(());
        };
        let message = Message::builder()
            // The same at every attempt, so that mail programs can tell a repetition.
            .message_id(Some(format!("<{}@{}>", job.key(), sender.email.domain())))
            .from(Mailbox::clone(sender))
            .to(contact.parse()?)
            .subject(text.clone())
            .body(format!("{text}.\n"))?;
        let (transport, mut task) = (transport.clone(), JoinSet::new());
        task.spawn_on(async move { transport.send(message).await }, runtime);
        match task.join_next().await {
            Some(Ok(sent)) => Ok(sent.map(|_| ())?),
            Some(Err(error)) => Err(error.into()),
            None => Err(Failure::new("the e-mail was not sent")),
        }
    }

    /// The address of a tenant. `None`: there is no such tenant, or it was forgotten.
    async fn contact(&self, tenant: &TenantId) -> Result<Option<String>, Failure> {
        let Some(tenants) = self.engine.aggregates::<Tenant>() else { return Ok(None) };
        match tenants.state(&AggregateId::new(tenant.as_str())?).await {
            Ok(tenant) => {
                Ok(tenant.state.contact.and_then(Personal::into_known).map(|contact| contact.as_str().to_owned()))
            }
            Err(QueryError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Mail {
    fn smtp(url: &str, sender: &str) -> Result<Self, String> {
        let sender = sender.parse().map_err(|error| format!("hosting.sender is no e-mail address: {error}"))?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| format!("hosting.smtp_url cannot be used: {error}"))?
            .timeout(Some(SMTP_TIMEOUT))
            .build();
        Ok(Self::Smtp { transport: Box::new(transport), sender: Box::new(sender), runtime: Runtime::current() })
    }
}

impl Handler for Notification {
    const NAME: &'static str = "notification";
    const BEGIN: Begin = Begin::Now;

    fn retries() -> Option<Retries> {
        Some(Retries { tries: 3, pause: Duration::from_secs(120) })
    }

    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
        sources.of::<Site>().of::<Backup>()
    }
}

impl Handle<Site> for Notification {
    async fn handle(&self, event: &Event<'_, Site>, job: &Job) -> Result<(), Failure> {
        let (was, what) = match event.body() {
            SiteEvent::SiteCreated { .. } | SiteEvent::SiteDomainReserved { .. } => return Ok(()),
            SiteEvent::SiteProvisioned { was, .. } => (was, "is ready".to_owned()),
            SiteEvent::SiteProvisioningFailed { was, reason } => (was, format!("could not be made: {reason}")),
            SiteEvent::SiteDeleted { was } => (was, "was deleted".to_owned()),
        };
        self.send(&was.tenant, format!("The site {} {what}", was.domain), job).await
    }
}

impl Handle<Backup> for Notification {
    async fn handle(&self, event: &Event<'_, Backup>, job: &Job) -> Result<(), Failure> {
        let (was, what) = match event.body() {
            BackupEvent::BackupCreated { .. } | BackupEvent::BackupStarted { .. } => return Ok(()),
            BackupEvent::BackupCompleted { was, size_bytes, .. } => (was, format!("is complete: {size_bytes} bytes")),
            BackupEvent::BackupFailed { was, reason } => (was, format!("failed: {reason}")),
        };
        // A site that never told its tenant has no tenant that waits.
        let Some(tenant) = &was.tenant else { return Ok(()) };
        let site = was.domain.as_ref().map_or(was.site.as_str(), |domain| domain.as_str());
        self.send(tenant, format!("The backup {} of the site {site} {what}", event.id()), job).await
    }
}
