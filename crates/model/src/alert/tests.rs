use super::*;
use crate::RestoreId;
use crate::restore::RestoreState;

fn calm() -> Facts {
    Facts {
        server: Server { connections: 10, most_connections: 100, ..Server::default() },
        ..Facts::default()
    }
}

fn kinds(facts: &Facts, open: &[(AlertKind, &str)]) -> Vec<AlertKind> {
    let open = open.iter().map(|(kind, subject)| (*kind, (*subject).to_owned())).collect();
    evaluate(facts, &Thresholds::default(), &open).into_keys().map(|(kind, _)| kind).collect()
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert!(kinds(&calm(), &[]).is_empty());
    // What stays of a moment ago is no condition by itself.
    assert!(kinds(&Facts::default(), &[(AlertKind::Connections, "management")]).is_empty());
}

#[test]
fn a_threshold_opens_and_well_below_it_clears() {
    let depth = |queued| Facts { queued, ..calm() };
    let open = [(AlertKind::QueueDepth, "queue")];
    for (queued, opens, stays) in
        [(0, false, false), (45, false, false), (46, false, true), (50, false, true), (51, true, true)]
    {
        assert_eq!(!kinds(&depth(queued), &[]).is_empty(), opens, "{queued} opens");
        assert_eq!(!kinds(&depth(queued), &open).is_empty(), stays, "{queued} stays");
    }
    // Another subject's alert keeps nothing open.
    assert!(kinds(&depth(46), &[(AlertKind::QueueDepth, "other")]).is_empty());
}

#[test]
fn a_disk_is_first_a_warning_then_critical() {
    let found = |free: u64| {
        let disk = Disk { worker: "here".into(), place: Place::Data, total: 1000 << 20, free: free << 20 };
        let facts = Facts { disks: vec![disk], ..calm() };
        let found = evaluate(&facts, &Thresholds::default(), &BTreeSet::new());
        found.into_iter().map(|((_, subject), finding)| (subject, finding.severity)).next()
    };
    assert_eq!(found(151), None);
    assert_eq!(found(149), Some(("here:data".into(), Severity::Warning)));
    assert_eq!(found(49), Some(("here:data".into(), Severity::Critical)));
    assert_eq!(found(0), Some(("here:data".into(), Severity::Critical)));
    // A disk that nobody could measure is not full.
    let disk = Disk { worker: "here".into(), place: Place::Data, total: 0, free: 0 };
    assert!(kinds(&Facts { disks: vec![disk], ..calm() }, &[]).is_empty());
}

#[test]
fn each_condition_is_found_as_what_it_is() {
    let (project, tenant) = (ProjectId::new(), TenantId::new());
    let lag = Lag { bytes: 1 << 20, since: SignedDuration::from_mins(2) };
    let facts = Facts {
        queued: 1000,
        stale_runs: vec![StaleRun {
            run: RunId::new(),
            kind: RunKind::Backup,
            project,
            worker: "here".into(),
            losses: 0,
            silent: SignedDuration::from_mins(31),
        }],
        dead_runs: vec![DeadRun {
            run: RunId::new(),
            kind: RunKind::Snapshot,
            project,
            tenant: Some("acme".into()),
            reason: "its worker was lost 3 times".into(),
        }],
        lost_workers: vec![LostWorker { name: "here".into(), since: Timestamp::UNIX_EPOCH, clusters: 1 }],
        backups: vec![Backups {
            tenant,
            name: "acme".into(),
            project,
            age: SignedDuration::from_hours(31),
            failed: Some("the disk is full".into()),
        }],
        restores: vec![ProductionRestore {
            id: RestoreId::new(),
            tenant: "acme".into(),
            project,
            state: RestoreState::Materialising,
        }],
        disks: vec![Disk { worker: "here".into(), place: Place::Repository, total: 100, free: 1 }],
        wal: vec![Wal { tenant, name: "acme".into(), project, bytes: 2 << 30, lag: Some(lag) }],
        server: Server {
            connections: 81,
            most_connections: 100,
            oldest_transaction: SignedDuration::from_mins(11),
        },
    };
    assert_eq!(kinds(&facts, &[]), AlertKind::ALL);
    for finding in evaluate(&facts, &Thresholds::default(), &BTreeSet::new()).values() {
        assert!(finding.detail.len() > 20, "{finding:?}");
    }
}

#[test]
fn it_resolves_after_a_while_of_quiet() {
    let now = Timestamp::UNIX_EPOCH;
    let later = |seconds| now + SignedDuration::from_secs(seconds);
    assert_eq!(next(true, None, now), Next::Stays);
    assert_eq!(next(false, None, now), Next::QuietSince(Some(now)));
    assert_eq!(next(false, Some(now), later(59)), Next::Stays);
    assert_eq!(next(true, Some(now), later(59)), Next::QuietSince(None));
    assert_eq!(next(false, Some(now), later(60)), Next::Resolves);
    // A clock that went back makes it wait anew, and not for ever.
    assert_eq!(next(false, Some(later(3600)), now), Next::QuietSince(Some(now)));
}
