//! What the views contain after any history of real tenants, sites and backups.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_aggregates::hosting::{
    Backup, BackupCommand, BackupEvent, ByteSize, Email, Milliseconds, NewDomain, Site, SiteCommand, SiteEvent, SiteId,
    SiteStatus, SiteType, Tenant, TenantCommand, TenantEvent, TenantId, Text,
};
use dormouse_kernel::{Aggregate, AggregateId, Context, SequentialIds, Timestamp, Version};
use dormouse_projections::Given;
use dormouse_views::Moment;
use dormouse_views::hosting::{HostedSite, Sites, TenantTotal, Tenants};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A command for one aggregate. The tests send answers and results themselves: no message is delivered.
#[derive(Clone, Debug)]
enum Request {
    Tenant(&'static str, TenantCommand),
    Site(&'static str, SiteCommand),
    Backup(&'static str, BackupCommand),
}

enum Happened {
    Tenant(&'static str, TenantEvent),
    Site(&'static str, SiteEvent),
    Backup(&'static str, BackupEvent),
}

/// The states of all aggregates, which are known without their events, and the events.
#[derive(Default)]
struct Installation {
    tenants: BTreeMap<&'static str, Tenant>,
    sites: BTreeMap<&'static str, Site>,
    backups: BTreeMap<&'static str, Backup>,
    /// Sites that were provisioned at some time.
    provisioned: BTreeSet<&'static str>,
    events: Vec<Happened>,
}

impl Installation {
    /// An installation after these requests. The domain refuses some of them.
    fn after(requests: Vec<Request>) -> Self {
        let mut installation = Self::default();
        for request in requests {
            let events: Vec<_> = match request {
                Request::Tenant(id, command) => {
                    let events = decide(id, command, &mut installation.tenants);
                    events.into_iter().map(|event| Happened::Tenant(id, event)).collect()
                }
                Request::Site(id, command) => {
                    let events = decide(id, command, &mut installation.sites);
                    events.into_iter().map(|event| Happened::Site(id, event)).collect()
                }
                Request::Backup(id, command) => {
                    let events = decide(id, command, &mut installation.backups);
                    events.into_iter().map(|event| Happened::Backup(id, event)).collect()
                }
            };
            installation.events.extend(events);
            let provisioned = |(_, site): &(&&'static str, &Site)| site.status == Some(SiteStatus::Provisioned);
            installation.provisioned.extend(installation.sites.iter().filter(provisioned).map(|(id, _)| *id));
        }
        installation
    }

    fn seen_by_sites(&self) -> Given<Sites> {
        self.events.iter().fold(Given::nothing().at(now()), |given, happened| match happened {
            Happened::Site(id, event) => given.when::<Site>(id, [event.clone()]),
            Happened::Tenant(..) | Happened::Backup(..) => given,
        })
    }

    fn seen_by_tenants(&self) -> Given<Tenants> {
        self.events.iter().fold(Given::nothing().at(now()), |given, happened| match happened {
            Happened::Tenant(id, event) => given.when::<Tenant>(id, [event.clone()]),
            Happened::Site(id, event) => given.when::<Site>(id, [event.clone()]),
            Happened::Backup(id, event) => given.when::<Backup>(id, [event.clone()]),
        })
    }
}

proptest! {
    #[test]
    fn the_totals_of_each_tenant_are_those_of_the_aggregates(requests in vec(request(), 0..100)) {
        let installation = Installation::after(requests);
        let mut expected: BTreeMap<String, TenantTotal> = BTreeMap::new();
        let total = |id: &TenantId| TenantTotal {
            tenant: id.clone(),
            name: None,
            sites: 0,
            backups: 0,
            backup_bytes: 0,
            created_at: None,
            updated_at: moment(),
        };
        for (id, tenant) in installation.tenants.iter().filter(|(_, tenant)| tenant.name.is_some()) {
            let entry = expected.entry((*id).to_owned()).or_insert_with(|| total(&TenantId::new(*id).unwrap()));
            (entry.name, entry.created_at) = (tenant.name.clone(), Some(moment()));
        }
        for site in installation.sites.values() {
            let Some(tenant) = &site.tenant else { continue };
            let entry = expected.entry(tenant.to_string()).or_insert_with(|| total(tenant));
            entry.sites += u64::from(site.status != Some(SiteStatus::Deleted));
        }
        for backup in installation.backups.values() {
            let (Some(tenant), Some(size)) = (&backup.tenant, backup.size_bytes) else { continue };
            let entry = expected.entry(tenant.to_string()).or_insert_with(|| total(tenant));
            entry.backups += 1;
            entry.backup_bytes += size.get();
        }
        let keys: Vec<&str> = expected.keys().map(String::as_str).collect();
        let given = installation.seen_by_tenants().then_keys(&keys);
        expected.iter().fold(given, |given, (key, total)| given.then(key, total));
    }

    #[test]
    fn the_view_has_the_present_state_of_each_site(requests in vec(request(), 0..100)) {
        let installation = Installation::after(requests);
        let created = || installation.sites.iter().filter(|(_, site)| site.status.is_some());
        let keys: Vec<&str> = created().map(|(id, _)| *id).collect();
        let given = installation.seen_by_sites().then_keys(&keys);
        created().fold(given, |given, (id, site)| {
            let was_provisioned = installation.provisioned.contains(id);
            given.then(id, &HostedSite {
                site: AggregateId::new(id).unwrap(),
                tenant: site.tenant.clone().unwrap(),
                status: site.status.unwrap(),
                domain: site.domain.clone().unwrap(),
                site_type: site.site_type.unwrap(),
                failed_because: site.failed_because.clone(),
                provisioning_ms: was_provisioned.then(milliseconds),
                created_at: moment(),
                provisioned_at: was_provisioned.then(moment),
                deleted_at: (site.status == Some(SiteStatus::Deleted)).then(moment),
                updated_at: moment(),
            })
        });
    }
}

fn decide<A: Aggregate>(
    id: &'static str,
    command: A::Command,
    states: &mut BTreeMap<&'static str, A>,
) -> Vec<A::Event> {
    let state = states.entry(id).or_default();
    let (aggregate, ids) = (AggregateId::new(id).unwrap(), SequentialIds::default());
    let mut context = Context::new(&aggregate, &*state, Version(1), now(), &ids);
    if state.decide(command, &mut context).is_err() {
        return Vec::new();
    }
    let events = context.into_effects().unwrap().events;
    events.iter().for_each(|event| state.evolve(event));
    events
}

fn request() -> impl Strategy<Value = Request> {
    let site = || select(&["s-1", "s-2", "s-3", "s-4"]);
    let tenant = || select(&["ada", "eve", "grace"]);
    let reason = || Text::new("the disk is full").unwrap();
    let of_tenant = prop_oneof![
        Just(TenantCommand::CreateTenant {
            name: Text::new("Teas").unwrap(),
            contact: Email::new("ada@example.org").unwrap(),
        }),
        site().prop_map(|site| TenantCommand::CountSite { site: SiteId::new(site).unwrap() }),
    ];
    let of_site = prop_oneof![
        3 => tenant().prop_map(|tenant| SiteCommand::CreateSite {
            domain: NewDomain::new("example.org").unwrap(),
            site_type: SiteType::Laravel,
            tenant: TenantId::new(tenant).unwrap(),
        }),
        3 => Just(SiteCommand::RecordDomainReserved { domain: NewDomain::new("example.org").unwrap().into() }),
        1 => Just(SiteCommand::RecordDomainRefused),
        2 => Just(SiteCommand::RecordProvisioned { duration_ms: milliseconds() }),
        1 => Just(SiteCommand::RecordProvisioningFailed { reason: reason() }),
        1 => Just(SiteCommand::DeleteSite),
    ];
    let of_backup = prop_oneof![
        site().prop_map(|site| BackupCommand::CreateBackup { site: SiteId::new(site).unwrap() }),
        tenant().prop_map(|tenant| BackupCommand::RecordSite {
            tenant: TenantId::new(tenant).unwrap(),
            domain: NewDomain::new("example.org").unwrap().into(),
            site_type: SiteType::Laravel,
        }),
        (0..1_000i64).prop_map(|bytes| BackupCommand::RecordCompleted {
            size_bytes: ByteSize::new(bytes).unwrap(),
            duration_ms: milliseconds(),
        }),
        Just(BackupCommand::RecordFailed { reason: reason() }),
    ];
    prop_oneof![
        1 => (tenant(), of_tenant).prop_map(|(id, command)| Request::Tenant(id, command)),
        3 => (site(), of_site).prop_map(|(id, command)| Request::Site(id, command)),
        2 => (select(&["b-1", "b-2", "b-3"]), of_backup).prop_map(|(id, command)| Request::Backup(id, command)),
    ]
}

fn milliseconds() -> Milliseconds {
    Milliseconds::new(1_200).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

fn moment() -> Moment {
    now().into()
}
