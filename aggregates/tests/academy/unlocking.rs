//! Courses, lessons, progress and enrolments together, against a calculation on the graph of lessons, with messages in
//! any order.

use std::collections::BTreeSet;

use dormouse_aggregates::academy::{
    Course, CourseCommand, CourseEvent, CourseId, Enrolment, EnrolmentCommand, EnrolmentEvent, EnrolmentStatus, Lesson,
    LessonId, LessonProgress, LessonProgressCommand, Name, NewLesson, User, UserId,
};
use dormouse_kernel::Timestamp;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::world::World;

/// Lesson `i` requires earlier lessons.
type Graph = Vec<BTreeSet<usize>>;

const MOST: usize = 12;

fn graph() -> impl Strategy<Value = Graph> {
    let lesson = |at: usize| {
        btree_set(0..at.max(1), 0..=at.min(4)).prop_map(move |of| of.into_iter().filter(|of| *of < at).collect())
    };
    (1..=MOST).prop_flat_map(move |count| (0..count).map(lesson).collect::<Vec<_>>())
}

fn name(at: usize) -> String {
    format!("l-{at}")
}

fn id(at: usize) -> LessonId {
    LessonId::new(name(at)).unwrap()
}

fn course() -> CourseId {
    CourseId::new("rust").unwrap()
}

fn ada() -> UserId {
    UserId::new("ada").unwrap()
}

fn create(graph: &Graph, prefix: &str) -> CourseCommand {
    let id = |at: &usize| LessonId::new(format!("{prefix}{}", name(*at))).unwrap();
    // Backwards: the order of the lessons must not matter.
    let lessons = graph.iter().enumerate().rev();
    let lessons = lessons.map(|(at, of)| NewLesson { id: id(&at), prerequisites: of.iter().map(id).collect() });
    CourseCommand::CreateCourse { title: Name::new("Rust").unwrap(), lessons: lessons.collect() }
}

fn enrol() -> EnrolmentCommand {
    EnrolmentCommand::Enrol { course: course(), user: ada() }
}

/// Ada records a score for a lesson. 0.8 completes it.
fn learn(world: &mut World, at: usize, score: f64) {
    let command = LessonProgressCommand::RecordProgress {
        user: ada(),
        lesson: id(at),
        score,
        time_spent_seconds: 60,
        pass_score: None,
    };
    world.tell::<LessonProgress>(&LessonProgress::id(&ada(), &id(at)), &command).unwrap();
}

/// The lessons that are completed, and those whose prerequisites are.
fn expected(graph: &Graph, completed: &BTreeSet<usize>) -> (BTreeSet<LessonId>, BTreeSet<LessonId>) {
    let open = graph.iter().enumerate().filter(|(_, required)| required.is_subset(completed)).map(|(at, _)| id(at));
    (completed.iter().copied().map(id).collect(), open.collect())
}

proptest! {
    /// Ada learns before, while and after she enrols. In the end the enrolment knows all that she has completed.
    #[test]
    fn an_enrolment_knows_every_completed_lesson_and_what_it_unlocks(
        graph in graph(),
        before in vec((0..MOST, 0.0..=1.0), 0..6),
        after in vec((0..MOST, 0.0..=1.0, 0..8_usize), 0..20),
        choices in vec(any::<usize>(), 1..60),
    ) {
        let mut world = World::at(Timestamp::UNIX_EPOCH);
        let mut completed = BTreeSet::new();
        let mut learns = |world: &mut World, at: usize, score: f64| {
            learn(world, at, score);
            if (score * 1e6).round() >= 800_000.0 && at < graph.len() {
                completed.insert(at);
            }
        };
        world.tell::<Course>("rust", &create(&graph, "")).unwrap();
        for (at, score) in before {
            learns(&mut world, at, score);
        }
        while !world.state::<Course>("rust").pending.is_empty() {
            world.deliver_one(choices[0]);
        }
        world.tell::<Enrolment>("rust:ada", &enrol()).unwrap();
        let mut next = choices.iter().cycle();
        for (at, score, deliveries) in after {
            learns(&mut world, at, score);
            for choice in next.by_ref().take(deliveries) {
                world.deliver_one(*choice);
            }
        }
        world.deliver_all(&choices);

        let enrolment = world.state::<Enrolment>("rust:ada");
        let (done, open) = expected(&graph, &completed);
        prop_assert_eq!(&enrolment.completed, &done);
        // What was completed before it was unlocked needs no unlocking any more.
        prop_assert!(enrolment.unlocked.is_subset(&open));
        prop_assert!(open.difference(&enrolment.unlocked).all(|lesson| done.contains(lesson)));
        let status = if done.len() == graph.len() { EnrolmentStatus::Completed } else { EnrolmentStatus::Active };
        prop_assert_eq!(enrolment.status, Some(status));
        in_order(&graph, &world.events::<Enrolment>("rust:ada"))?;
    }

    /// Two courses want the same lessons. Each lesson belongs to exactly one of them, and both get ready.
    #[test]
    fn a_lesson_belongs_to_one_course(graph in graph(), other in graph(), choices in vec(any::<usize>(), 1..40)) {
        let mut world = World::at(Timestamp::UNIX_EPOCH);
        world.tell::<Course>("rust", &create(&graph, "")).unwrap();
        world.tell::<Course>("go", &create(&other, "")).unwrap();
        world.deliver_all(&choices);
        let courses = ["rust", "go"].map(|course| world.state::<Course>(course));
        prop_assert!(courses.iter().all(|course| course.pending.is_empty()));
        for at in 0..graph.len().max(other.len()) {
            let owner = world.state::<Lesson>(&name(at)).course.unwrap();
            for (course, state) in ["rust", "go"].iter().zip(&courses) {
                let has = state.lessons.iter().any(|lesson| lesson.id == id(at));
                prop_assert_eq!(has, owner.as_str() == *course);
            }
        }
        // No lesson requires one that was removed.
        for course in &courses {
            let ids: BTreeSet<_> = course.lessons.iter().map(|lesson| &lesson.id).collect();
            prop_assert!(course.lessons.iter().flat_map(|lesson| &lesson.prerequisites).all(|of| ids.contains(of)));
        }
    }

    /// A graph with any edges is accepted exactly if it has no cycle, by a search in depth.
    #[test]
    fn a_course_is_refused_exactly_if_its_lessons_require_each_other(graph in vec(btree_set(0..7_usize, 0..3), 7)) {
        let mut world = World::at(Timestamp::UNIX_EPOCH);
        let told = world.tell::<Course>("rust", &create(&graph, ""));
        let expected = if (0..7).any(|at| leads_to(&graph, at, at)) { Err("prerequisite-cycle".to_owned()) } else { Ok(()) };
        prop_assert_eq!(told, expected);
    }
}

/// A lesson is unlocked once, after all that it requires; the course is completed once, at the end.
fn in_order(graph: &Graph, events: &[EnrolmentEvent]) -> Result<(), TestCaseError> {
    let mut done = BTreeSet::new();
    let mut unlocked = BTreeSet::new();
    for (place, event) in events.iter().enumerate() {
        match event {
            EnrolmentEvent::CourseLessonCompleted { lesson } => prop_assert!(done.insert(lesson.clone())),
            EnrolmentEvent::LessonUnlocked { lesson } => {
                prop_assert!(unlocked.insert(lesson.clone()));
                let at = (0..graph.len()).find(|at| id(*at) == *lesson).unwrap();
                prop_assert!(graph[at].iter().all(|required| done.contains(&id(*required))));
            }
            EnrolmentEvent::CourseCompleted { .. } => prop_assert_eq!(place + 1, events.len()),
            EnrolmentEvent::EnrolmentRequested { .. }
            | EnrolmentEvent::EnrolmentRefused { .. }
            | EnrolmentEvent::EnrolmentBegan { .. } => {}
        }
    }
    Ok(())
}

fn leads_to(graph: &Graph, from: usize, to: usize) -> bool {
    let mut seen = BTreeSet::new();
    let mut open: Vec<usize> = graph[from].iter().copied().collect();
    while let Some(at) = open.pop() {
        if seen.insert(at) {
            open.extend(&graph[at]);
        }
    }
    seen.contains(&to)
}

#[test]
fn a_largest_course_can_be_created_and_taken() {
    let graph: Graph = (0..200).map(|at: usize| (at.saturating_sub(10)..at).collect()).collect();
    let mut world = World::at(Timestamp::UNIX_EPOCH);
    world.tell::<Course>("rust", &create(&graph, "")).unwrap();
    world.deliver_all(&[]);
    world.tell::<Enrolment>("rust:ada", &enrol()).unwrap();
    world.deliver_all(&[]);
    for at in 0..200 {
        assert!(world.state::<Enrolment>("rust:ada").unlocked.contains(&id(at)));
        learn(&mut world, at, 1.0);
        world.deliver_all(&[]);
    }
    assert_eq!(world.state::<Enrolment>("rust:ada").status, Some(EnrolmentStatus::Completed));
    assert_eq!(world.state::<User>("ada").streak, 1);
}

#[test]
fn an_enrolment_in_a_course_that_is_not_ready_can_be_asked_for_again() {
    let mut world = World::at(Timestamp::UNIX_EPOCH);
    world.tell::<Enrolment>("rust:ada", &enrol()).unwrap();
    world.deliver_all(&[]);
    assert_eq!(world.state::<Enrolment>("rust:ada").refused_because.as_deref(), Some("no-such-course"));
    world.tell::<Course>("rust", &create(&vec![BTreeSet::new()], "")).unwrap();
    world.deliver_all(&[]);
    world.tell::<Enrolment>("rust:ada", &enrol()).unwrap();
    world.deliver_all(&[]);
    assert_eq!(world.state::<Enrolment>("rust:ada").status, Some(EnrolmentStatus::Active));
}

#[test]
fn a_lesson_that_is_added_later_is_for_later_learners() {
    let mut world = World::at(Timestamp::UNIX_EPOCH);
    world.tell::<Course>("rust", &create(&vec![BTreeSet::new()], "")).unwrap();
    world.deliver_all(&[]);
    world.tell::<Enrolment>("rust:ada", &enrol()).unwrap();
    world.deliver_all(&[]);
    let lesson = NewLesson { id: id(1), prerequisites: vec![id(0)] };
    world.tell::<Course>("rust", &CourseCommand::AddLesson { lesson }).unwrap();
    world.deliver_all(&[]);
    assert!(matches!(world.events::<Course>("rust").last(), Some(CourseEvent::LessonConfirmed { .. })));
    learn(&mut world, 1, 1.0);
    learn(&mut world, 0, 1.0);
    world.deliver_all(&[]);
    let ada = world.state::<Enrolment>("rust:ada");
    assert_eq!((ada.status, ada.completed.len()), (Some(EnrolmentStatus::Completed), 1));
}
