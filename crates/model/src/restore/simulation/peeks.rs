//! What a peek shows is what was there, too.

use super::*;
use crate::peek::{Point, is_covered};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_position_shows_what_was_written_before_it(
        backup_first: bool,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(backup_first);
        world.run(&steps);
        let history = world.history();
        let live = world.lines.last().unwrap();
        let own = live.records.iter().filter(|record| matches!(record.kind, Kind::Commit(_))).count();
        let mut state = live.state[..live.state.len() - own].to_vec();
        let backups = world.backups.iter().map(|held| &held.backup);
        let first = backups.filter(|backup| backup.lineage == live.lineage.id).map(|backup| backup.stop).min();
        for record in &live.records {
            if let Kind::Commit(number) = record.kind {
                state.push(number);
            }
            // A record that has begun before the position is there.
            for lsn in [record.end, Lsn(record.end.0 - 1)] {
                match plan_lsn(&history, lsn) {
                    Ok(plan) => prop_assert_eq!(&world.replay(&plan).0, &state, "{} {:?}", lsn, plan),
                    Err(error) => {
                        prop_assert_eq!(error, PlanError::LsnTooEarly { lsn });
                        prop_assert!(live.lineage.parent.is_none() && first.is_none_or(|first| lsn < first));
                    }
                }
            }
        }
        let (end, beyond) = (live.insert, Lsn(live.insert.0 + 1));
        prop_assert_eq!(plan_lsn(&history, beyond), Err(PlanError::LsnNotReached { lsn: beyond, end }));
        if let Some(fork) = live.lineage.parent {
            let lsn = Lsn(fork.lsn.0 - 1);
            prop_assert_eq!(plan_lsn(&history, lsn), Err(PlanError::LsnTooEarly { lsn }));
        }
        let latest = plan_latest(&history, world.now()).unwrap();
        prop_assert_eq!(&world.replay(&latest).0, &live.state);
    }

    /// The serving cell need not be asked for what the repository surely has.
    #[test]
    fn what_is_covered_needs_nothing_of_the_serving_cell(
        steps in prop::collection::vec(step(), 1..60),
        unarchived in prop::collection::vec(30..2_000u64, 1..5),
        times in prop::collection::vec(any::<Index>(), 20),
    ) {
        let mut world = World::new(true);
        world.run(&steps);
        for bytes in unarchived {
            world.commit(1_000, bytes, true);
        }
        let history = world.history();
        prop_assert!(!is_covered(&history, Point::Latest));
        prop_assert!(!is_covered(&history, Point::Time(world.now())), "the last commit is nowhere yet");
        for at in times.iter().map(|pick| world.some_time(pick)) {
            if is_covered(&history, Point::Time(at))
                && let Ok(plan) = plan(&history, Target::Time(at), world.now(), FOREVER)
            {
                prop_assert_eq!(world.replay(&plan).0, world.expected(Target::Time(at)), "{} {:?}", at, plan);
            }
        }
    }
}
