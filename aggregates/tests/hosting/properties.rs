//! What holds whatever the order in which commands and messages arrive.

use std::collections::BTreeSet;

use dormouse_aggregates::hosting::{
    Backup, BackupCommand, BackupEvent, BackupStatus, ByteSize, DomainReservationEvent, Milliseconds, NewDomain, Site,
    SiteCommand, SiteEvent, SiteId, SiteStatus, SiteType, TenantId, Text,
};
use dormouse_kernel::variant_name;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::installation::Installation;

const DOMAINS: [&str; 2] = ["a.example", "b.example"];

/// Something that happens in an installation.
#[derive(Clone, Debug)]
enum Step {
    Site(&'static str, SiteCommand),
    Backup(&'static str, BackupCommand),
    /// A message is delivered. `late`: not the first of its sender.
    Deliver {
        sender: usize,
        late: usize,
        again: bool,
    },
    Fire(usize),
}

proptest! {
    #[test]
    fn a_domain_has_one_site_at_most_and_every_site_an_end(steps in vec(step(), 0..120)) {
        holds_through(steps, false);
    }

    /// The bus keeps the order of each sender. The reservation does not need it.
    #[test]
    fn the_same_holds_if_messages_overtake_each_other(steps in vec(step(), 0..120)) {
        holds_through(steps, true);
    }
}

fn holds_through(steps: Vec<Step>, overtaking: bool) -> Installation {
    let mut installation = Installation::default();
    for step in steps {
        happens(&mut installation, step, overtaking);
        check_holders(&installation);
    }
    installation.settle();
    check_holders(&installation);
    check_settled(&installation);
    while installation.fire(0) {}
    check_ended(&installation);
    installation.sites.check_stored();
    installation.reservations.check_stored();
    installation.backups.check_stored();
    check_deletion(&mut installation);
    installation
}

fn happens(installation: &mut Installation, step: Step, overtaking: bool) {
    match step {
        Step::Site(id, command) => _ = installation.request::<Site>(id, &command),
        Step::Backup(id, command) => _ = installation.request::<Backup>(id, &command),
        Step::Deliver { sender, late, again } => {
            _ = installation.deliver(sender, if overtaking { late } else { 0 }, again);
        }
        Step::Fire(timer) => _ = installation.fire(timer),
    }
}

/// At most one site has a domain, and then the reservation is for this site.
fn check_holders(installation: &Installation) {
    for domain in DOMAINS {
        let has = |site: &Site| site.has_domain && site.domain.as_ref().is_some_and(|own| own.as_str() == domain);
        let holders: Vec<_> = installation.sites.iter().filter(|(_, site)| has(site)).map(|(id, _)| id).collect();
        assert!(holders.len() <= 1, "{domain} has {holders:?}");
        if let [holder] = holders[..] {
            let reserved = installation.reservations.get(domain).holder;
            assert_eq!(reserved.as_ref().map(SiteId::as_str), Some(holder), "{domain}");
        }
    }
    for (id, site) in installation.sites.iter().filter(|(_, site)| site.has_domain) {
        assert_ne!(site.status, Some(SiteStatus::Deleted), "{id}");
    }
}

/// No message is under way: no site and no backup waits for an answer, and only sites that exist hold domains.
fn check_settled(installation: &Installation) {
    for domain in DOMAINS {
        if let Some(holder) = installation.reservations.get(domain).holder {
            assert!(installation.sites.get(holder.as_str()).has_domain, "{domain} is blocked by {holder}");
        }
    }
    for (id, site) in installation.sites.iter() {
        assert_ne!(site.status, Some(SiteStatus::Created), "{id}");
        assert_eq!(installation.has_timer::<Site>(id), site.status == Some(SiteStatus::Provisioning), "{id}");
    }
    for (id, backup) in installation.backups.iter() {
        assert_ne!(backup.status, Some(BackupStatus::Created), "{id}");
        assert_eq!(installation.has_timer::<Backup>(id), backup.status == Some(BackupStatus::Running), "{id}");
        if let Some(tenant) = &backup.tenant {
            let site = installation.sites.get(backup.site.as_ref().unwrap().as_str());
            assert_eq!((Some(tenant), &backup.domain), (site.tenant.as_ref(), &site.domain));
        }
    }
}

/// No timer is set: every site is provisioned, failed or deleted, and every backup completed or failed.
fn check_ended(installation: &Installation) {
    let ended = [SiteStatus::Provisioned, SiteStatus::Failed, SiteStatus::Deleted];
    assert!(installation.sites.iter().all(|(_, site)| site.status.is_none_or(|status| ended.contains(&status))));
    let ended = [BackupStatus::Completed, BackupStatus::Failed];
    let has_ended = |backup: &Backup| backup.status.is_none_or(|status| ended.contains(&status));
    assert!(installation.backups.iter().all(|(_, backup)| has_ended(backup)));
}

/// After all sites are deleted, all domains are free, and can be had again.
fn check_deletion(installation: &mut Installation) {
    let ids: Vec<String> = installation.sites.iter().map(|(id, _)| id.to_owned()).collect();
    for id in ids {
        installation.request::<Site>(&id, &SiteCommand::DeleteSite);
    }
    installation.settle();
    for domain in DOMAINS {
        assert_eq!(installation.reservations.get(domain).holder, None, "{domain}");
        let id = format!("next-{domain}");
        assert!(installation.request::<Site>(&id, &create(domain)));
        installation.settle();
        assert_eq!(installation.sites.get(&id).status, Some(SiteStatus::Provisioning), "{domain}");
    }
}

/// The random histories of these tests contain every event, and the races that matter.
#[test]
fn random_steps_lead_to_every_event() {
    let mut runner = TestRunner::deterministic();
    let (mut seen, mut refused, mut given_back) = (BTreeSet::new(), BTreeSet::<&str>::new(), 0);
    for _ in 0..128 {
        let steps = vec(step(), 0..120).new_tree(&mut runner).unwrap().current();
        let installation = holds_through(steps, false);
        seen.extend(installation.sites.events().filter_map(variant_name));
        seen.extend(installation.reservations.events().filter_map(variant_name));
        seen.extend(installation.backups.events().filter_map(variant_name));
        refused.extend(&installation.sites.refusals);
        refused.extend(&installation.reservations.refusals);
        refused.extend(&installation.backups.refusals);
        // A site that was deleted before it learned that it had its domain.
        let granted = |event: &&DomainReservationEvent| matches!(event, DomainReservationEvent::DomainReserved { .. });
        let taken = |event: &&SiteEvent| matches!(event, SiteEvent::SiteDomainReserved { .. });
        let granted = installation.reservations.events().filter(granted).count();
        given_back += granted - installation.sites.events().filter(taken).count();
    }
    let events = ["SiteDomainReserved", "SiteProvisioned", "SiteProvisioningFailed", "SiteDeleted", "DomainReleased"];
    let backups = ["BackupStarted", "BackupCompleted", "BackupFailed"];
    assert!(events.iter().chain(&backups).all(|name| seen.contains(name)), "{seen:?}");
    let codes = ["domain-taken", "site-deleted", "site-not-provisioned", "no-such-site", "domain-not-reserved"];
    assert!(codes.iter().all(|code| refused.contains(code)), "{refused:?}");
    assert!(given_back > 10, "{given_back}");
}

#[test]
fn a_second_site_of_a_domain_fails_and_says_why() {
    let mut installation = Installation::default();
    for id in ["s-1", "s-2"] {
        assert!(installation.request::<Site>(id, &create("a.example")));
    }
    installation.settle();
    assert_eq!(installation.sites.get("s-1").status, Some(SiteStatus::Provisioning));
    let second = installation.sites.get("s-2");
    assert_eq!(second.status, Some(SiteStatus::Failed));
    assert_eq!(second.failed_because.as_ref().map(Text::as_str), Some("the domain is taken"));
    assert!(installation.request::<Site>("s-2", &SiteCommand::DeleteSite));
    installation.settle();
    let holder = installation.reservations.get("a.example").holder;
    assert_eq!(holder.as_ref().map(SiteId::as_str), Some("s-1"), "a refused site releases nothing");
}

#[test]
fn a_backup_of_a_site_that_does_not_exist_fails_and_says_why() {
    let mut installation = Installation::default();
    assert!(installation.request::<Backup>("b-1", &backup("s-1")));
    installation.settle();
    let failed = installation.backups.events().last().cloned();
    let Some(BackupEvent::BackupFailed { reason, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(reason.as_str(), "the site does not exist");
}

#[test]
fn a_domain_that_is_reserved_for_nobody_becomes_free() {
    use dormouse_aggregates::hosting::{DomainReservation, DomainReservationCommand::Reserve};

    let mut installation = Installation::default();
    assert!(installation.request::<Site>("s-1", &create("a.example")));
    installation.settle();
    for site in ["nobody", "s-1"] {
        let reserve = Reserve { site: SiteId::new(site).unwrap() };
        assert!(installation.request::<DomainReservation>("b.example", &reserve));
        installation.settle();
        assert_eq!(installation.reservations.get("b.example").holder, None, "{site}");
    }
    assert!(installation.sites.get("s-1").has_domain);
}

fn step() -> impl Strategy<Value = Step> {
    let site = || select(&["s-1", "s-2", "s-3", "s-4", "s-5", "s-6"]);
    let backup_id = select(&["b-1", "b-2", "b-3", "b-4"]);
    let domain = prop_oneof![3 => Just(DOMAINS[0]), 1 => Just(DOMAINS[1])];
    let of_site = prop_oneof![
        4 => domain.prop_map(create),
        2 => Just(SiteCommand::DeleteSite),
        3 => Just(SiteCommand::RecordProvisioned { duration_ms: Milliseconds::new(1_200).unwrap() }),
        1 => Just(SiteCommand::RecordProvisioningFailed { reason: Text::new("the disk is full").unwrap() }),
    ];
    let size_bytes = ByteSize::new(5_000).unwrap();
    let duration_ms = Milliseconds::new(300).unwrap();
    let of_backup = prop_oneof![
        2 => site().prop_map(backup),
        1 => Just(BackupCommand::RecordCompleted { size_bytes, duration_ms }),
        1 => Just(BackupCommand::RecordFailed { reason: Text::new("the disk is full").unwrap() }),
    ];
    let delivery = (0..8_usize, 0..4_usize, proptest::bool::weighted(0.25));
    prop_oneof![
        5 => (site(), of_site).prop_map(|(id, command)| Step::Site(id, command)),
        2 => (backup_id, of_backup).prop_map(|(id, command)| Step::Backup(id, command)),
        8 => delivery.prop_map(|(sender, late, again)| Step::Deliver { sender, late, again }),
        1 => (0..4_usize).prop_map(Step::Fire),
    ]
}

fn create(domain: &str) -> SiteCommand {
    let domain = NewDomain::new(domain).unwrap();
    SiteCommand::CreateSite { domain, site_type: SiteType::Static, tenant: TenantId::new("ada").unwrap() }
}

fn backup(site: &str) -> BackupCommand {
    BackupCommand::CreateBackup { site: SiteId::new(site).unwrap() }
}
