//! What the summary of a user contains after any reports of progress, by a calculation on the reports.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_aggregates::academy::{LessonId, LessonProgress, LessonProgressCommand, Score, UserId};
use dormouse_kernel::{Aggregate, AggregateId, Context, SequentialIds, Timestamp, Version};
use dormouse_projections::Given;
use dormouse_views::Moment;
use dormouse_views::academy::{UserProgressSummaries, UserProgressSummary};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A report: the user, the lesson, the score in millionths, the seconds spent, and the seconds since the last report.
type Report = (&'static str, &'static str, u32, u64, i64);

fn reports() -> impl Strategy<Value = Vec<Report>> {
    let score = prop_oneof![1 => Just(1_000_000), 1 => Just(800_000), 3 => 0..=1_000_000_u32];
    let seconds = prop_oneof![4 => 0..600_u64, 1 => 0..90_000_u64];
    vec((select(&["ada", "grace"]), select(&["l-1", "l-2", "l-3"]), score, seconds, 0..100_000_i64), 1..60)
}

fn command(&(user, lesson, score, time_spent_seconds, _): &Report) -> LessonProgressCommand {
    LessonProgressCommand::RecordProgress {
        user: UserId::new(user).unwrap(),
        lesson: LessonId::new(lesson).unwrap(),
        score: f64::from(score) / 1e6,
        time_spent_seconds,
        pass_score: None,
    }
}

proptest! {
    #[test]
    fn the_summary_of_each_user_is_that_of_the_reports(reports in reports()) {
        let (mut given, mut states, mut now) = (Given::<UserProgressSummaries>::nothing(), BTreeMap::new(), 1_795_000_000);
        let mut accepted: BTreeMap<&str, Vec<(Report, Timestamp)>> = BTreeMap::new();
        for report in reports {
            now += report.4;
            let at = Timestamp::from_second(now).unwrap();
            let id = format!("{}:{}", report.0, report.1);
            let state: &mut LessonProgress = states.entry(id.clone()).or_default();
            let (aggregate, ids) = (AggregateId::new(&id).unwrap(), SequentialIds::default());
            let mut context = Context::new(&aggregate, state, Version(1), at, &ids);
            if state.decide(command(&report), &mut context).is_err() {
                prop_assert!(report.3 > 86_400);
                continue;
            }
            let events = context.into_effects().unwrap().events;
            events.iter().for_each(|event| state.evolve(event));
            given = given.at(at).when::<LessonProgress>(&id, events);
            accepted.entry(report.0).or_default().push((report, at));
        }
        let users: Vec<&str> = accepted.keys().copied().collect();
        given = given.then_keys(&users);
        for (user, reports) in accepted {
            let lessons = |least: u32| {
                let passed = reports.iter().filter(|((_, _, score, ..), _)| *score >= least);
                passed.map(|((_, lesson, ..), _)| *lesson).collect::<BTreeSet<_>>().len() as u64
            };
            let sum: u64 = reports.iter().map(|((_, _, score, ..), _)| u64::from(*score)).sum();
            let count = reports.len() as u64;
            let seconds: u64 = reports.iter().map(|((_, _, _, seconds, _), _)| seconds).sum();
            // The nearest millionth: the one that differs by at most half of one from the exact fraction.
            let average = (0..=1).map(|more| sum / count + more).find(|near| (2 * near * count).abs_diff(2 * sum) < count
                || 2 * near * count == 2 * sum + count);
            given = given.then(user, &UserProgressSummary {
                user: UserId::new(user).unwrap(),
                total_lessons: lessons(0),
                completed_lessons: lessons(800_000),
                average_score: Score::from_millionths(average.unwrap()),
                total_time_spent_minutes: seconds / 60,
                last_activity: Moment::from(reports.last().unwrap().1),
                scores: count,
                score_sum_millionths: sum,
                total_time_spent_seconds: seconds,
            });
        }
    }
}
