//! The stored bytes of the events of hosting. If code can no longer read these bytes, the event needs an upcaster.

use dormouse_aggregates::hosting::{
    Backup, BackupEvent, BackupId, BackupStatus, BackupSummary, ByteSize, Domain, DomainReservation,
    DomainReservationEvent, Email, Milliseconds, Site, SiteEvent, SiteId, SiteStatus, SiteSummary, SiteType, Tenant,
    TenantEvent, TenantId, Text,
};
use dormouse_kernel::{Aggregate, EventCodec};

use crate::stored::{bytes, is_pinned};

#[test]
fn names_and_versions_are_stable() {
    assert_eq!([Tenant::TYPE, Site::TYPE, Backup::TYPE], ["tenant", "site", "backup"]);
    assert_eq!(DomainReservation::TYPE, "domain-reservation");
    let tenant = [("TenantCreated", 1), ("SiteCounted", 1), ("SiteUncounted", 1), ("BackupCounted", 1)];
    assert_eq!(EventCodec::<TenantEvent>::new().unwrap().events(), tenant);
    let site = [
        ("SiteCreated", 1),
        ("SiteDomainReserved", 1),
        ("SiteProvisioned", 1),
        ("SiteProvisioningFailed", 1),
        ("SiteDeleted", 1),
    ];
    assert_eq!(EventCodec::<SiteEvent>::new().unwrap().events(), site);
    let backup = [("BackupCreated", 1), ("BackupStarted", 1), ("BackupCompleted", 1), ("BackupFailed", 1)];
    assert_eq!(EventCodec::<BackupEvent>::new().unwrap().events(), backup);
    let reservation = [("DomainReserved", 1), ("DomainReleased", 1)];
    assert_eq!(EventCodec::<DomainReservationEvent>::new().unwrap().events(), reservation);
}

#[test]
fn tenant_events_are_written_like_this() {
    let contact = Email::new("ada@example.org").unwrap();
    is_pinned(
        TenantEvent::TenantCreated { name: text("Ada"), contact: contact.into() },
        "82a46e616d65a3416461a7636f6e74616374af616461406578616d706c652e6f7267",
    );
    is_pinned(TenantEvent::SiteCounted { site: site() }, "81a473697465a3732d31");
    is_pinned(TenantEvent::SiteUncounted { site: site() }, "81a473697465a3732d31");
    let size_bytes = ByteSize::new(5_000).unwrap();
    is_pinned(
        TenantEvent::BackupCounted { backup: BackupId::new("b-1").unwrap(), size_bytes },
        "82a66261636b7570a3622d31aa73697a655f6279746573cd1388",
    );
}

#[test]
fn site_events_are_written_like_this() {
    is_pinned(
        SiteEvent::SiteCreated { domain: domain(), site_type: SiteType::Wordpress, tenant: tenant() },
        "83a6646f6d61696eb5786e2d2d62636865722d6b76612e6578616d706c65a9736974655f74797065a9776f72647072657373a674656e616e74a3616461",
    );
    is_pinned(
        SiteEvent::SiteDomainReserved { was: was(SiteStatus::Created) },
        "81a377617384a674656e616e74a3616461a6646f6d61696eb5786e2d2d62636865722d6b76612e6578616d706c65a9736974655f74797065a9776f72647072657373a6737461747573a763726561746564",
    );
    is_pinned(
        SiteEvent::SiteProvisioned {
            duration_ms: Milliseconds::new(1_200).unwrap(),
            was: was(SiteStatus::Provisioning),
        },
        "82ab6475726174696f6e5f6d73cd04b0a377617384a674656e616e74a3616461a6646f6d61696eb5786e2d2d62636865722d6b76612e6578616d706c65a9736974655f74797065a9776f72647072657373a6737461747573ac70726f766973696f6e696e67",
    );
    is_pinned(
        SiteEvent::SiteProvisioningFailed { reason: text("the domain is taken"), was: was(SiteStatus::Created) },
        "82a6726561736f6eb374686520646f6d61696e2069732074616b656ea377617384a674656e616e74a3616461a6646f6d61696eb5786e2d2d62636865722d6b76612e6578616d706c65a9736974655f74797065a9776f72647072657373a6737461747573a763726561746564",
    );
    is_pinned(
        SiteEvent::SiteDeleted { was: was(SiteStatus::Provisioned) },
        "81a377617384a674656e616e74a3616461a6646f6d61696eb5786e2d2d62636865722d6b76612e6578616d706c65a9736974655f74797065a9776f72647072657373a6737461747573ab70726f766973696f6e6564",
    );
}

#[test]
fn reservation_events_are_written_like_this() {
    is_pinned(DomainReservationEvent::DomainReserved { site: site() }, "81a473697465a3732d31");
    is_pinned(DomainReservationEvent::DomainReleased { site: site() }, "81a473697465a3732d31");
}

#[test]
fn backup_events_are_written_like_this() {
    let started = BackupSummary {
        site: site(),
        tenant: Some(tenant()),
        domain: Some(domain()),
        site_type: Some(SiteType::Static),
        status: BackupStatus::Running,
    };
    let created =
        BackupSummary { tenant: None, domain: None, site_type: None, status: BackupStatus::Created, ..started.clone() };
    is_pinned(BackupEvent::BackupCreated { site: site() }, "81a473697465a3732d31");
    is_pinned(
        BackupEvent::BackupStarted { site: site(), tenant: tenant(), domain: domain(), site_type: SiteType::Static },
        "84a473697465a3732d31a674656e616e74a3616461a6646f6d61696eb5786e2d2d62636865722d6b76612e6578616d706c65a9736974655f74797065a6737461746963",
    );
    is_pinned(
        BackupEvent::BackupCompleted {
            size_bytes: ByteSize::MAX,
            duration_ms: Milliseconds::new(300).unwrap(),
            was: started.clone(),
        },
        "83aa73697a655f6279746573cf001fffffffffffffab6475726174696f6e5f6d73cd012ca377617385a473697465a3732d31a674656e616e74a3616461a6646f6d61696eb5786e2d2d62636865722d6b76612e6578616d706c65a9736974655f74797065a6737461746963a6737461747573a772756e6e696e67",
    );
    is_pinned(
        BackupEvent::BackupFailed { reason: text("the disk is full"), was: started },
        "82a6726561736f6eb0746865206469736b2069732066756c6ca377617385a473697465a3732d31a674656e616e74a3616461a6646f6d61696eb5786e2d2d62636865722d6b76612e6578616d706c65a9736974655f74797065a6737461746963a6737461747573a772756e6e696e67",
    );
    is_pinned(
        BackupEvent::BackupFailed { reason: text("the site does not exist"), was: created },
        "82a6726561736f6eb7746865207369746520646f6573206e6f74206578697374a377617382a473697465a3732d31a6737461747573a763726561746564",
    );
}

#[test]
fn a_summary_in_an_event_may_have_newer_fields() {
    // {duration_ms, was: {…, region: "eu"}}, as a later version may write it.
    let fields = "82ab6475726174696f6e5f6d73cd04b0a377617385a674656e616e74a3616461a6646f6d61696eb5786e2d2d62636865722d6b76612e6578616d706c65a9736974655f74797065a9776f72647072657373a6737461747573ac70726f766973696f6e696e67a6726567696f6ea26575";
    let decoded = EventCodec::<SiteEvent>::new().unwrap().decode("SiteProvisioned", 1, &bytes(fields));
    assert!(decoded.is_ok(), "{decoded:?}");
}

/// Ada's site when it had this status.
fn was(status: SiteStatus) -> SiteSummary {
    SiteSummary { tenant: tenant(), domain: domain(), site_type: SiteType::Wordpress, status }
}

fn tenant() -> TenantId {
    TenantId::new("ada").expect("an id")
}

fn site() -> SiteId {
    SiteId::new("s-1").expect("an id")
}

fn domain() -> Domain {
    Domain::new("xn--bcher-kva.example").expect("a domain")
}

fn text(text: &str) -> Text {
    Text::new(text).expect("a text")
}
