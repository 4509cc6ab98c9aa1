//! The rules for the lessons of a course: each can be reached.

use std::collections::BTreeSet;

use super::{CourseLesson, CourseRejection};
use crate::academy::{LessonId, limits};

/// Checks all lessons of a course together.
pub(super) fn check(lessons: &[CourseLesson]) -> Result<(), CourseRejection> {
    if lessons.len() > limits::LESSONS {
        return Err(CourseRejection::TooManyLessons { lessons: lessons.len() });
    }
    let mut ids = BTreeSet::new();
    if let Some(twice) = lessons.iter().find(|lesson| !ids.insert(&lesson.id)) {
        return Err(CourseRejection::DuplicateLesson { lesson: twice.id.clone() });
    }
    for CourseLesson { id, prerequisites } in lessons {
        if prerequisites.len() > limits::PREREQUISITES {
            return Err(CourseRejection::TooManyPrerequisites { lesson: id.clone() });
        }
        let mut required = BTreeSet::new();
        for prerequisite in prerequisites {
            let (lesson, prerequisite) = (id.clone(), prerequisite.clone());
            if !ids.contains(&prerequisite) {
                return Err(CourseRejection::UnknownPrerequisite { lesson, prerequisite });
            }
            if !required.insert(prerequisite.clone()) {
                return Err(CourseRejection::DuplicatePrerequisite { lesson, prerequisite });
            }
        }
    }
    match unreachable(lessons) {
        Some(lesson) => Err(CourseRejection::Cycle { lesson: lesson.clone() }),
        None => Ok(()),
    }
}

/// A lesson that stays locked whatever a learner completes: it is part of a cycle, or requires one that is.
fn unreachable(lessons: &[CourseLesson]) -> Option<&LessonId> {
    let mut reached = BTreeSet::new();
    loop {
        let open = |lesson: &&CourseLesson| lesson.prerequisites.iter().all(|required| reached.contains(required));
        let next: Vec<_> = lessons.iter().filter(open).map(|lesson| &lesson.id).collect();
        if next.len() == reached.len() {
            return lessons.iter().map(|lesson| &lesson.id).find(|id| !reached.contains(id));
        }
        reached.extend(next);
    }
}
