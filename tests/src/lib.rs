//! End-to-end and fault tests of Dormouse; they are in `tests/`, what they stand on is `dormouse-harness`.
